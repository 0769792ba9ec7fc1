//! Hyper before one component of WASI 0.2 whose instances are used again, and nothing else: the least that a host of
//! components does here.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result, Store, format_err,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

/// Answers every request of every connection with this component.
pub async fn serve(listener: TcpListener, component: &Path) -> Result<()> {
    let host = Arc::new(Host::new(component)?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let host = host.clone();
        let answer = service_fn(move |request| host.clone().answer(request));
        // A connection that breaks concerns nobody else.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

struct Host {
    component: ProxyPre<State>,
    idle: Mutex<Vec<(Store<State>, Proxy)>>,
}

#[derive(Default)]
struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: Nowhere,
}

/// A component that answers by itself sends no requests.
#[derive(Default)]
struct Nowhere;

type BodyWork = Box<dyn Future<Output = std::result::Result<(), Error>> + Send>;

impl Host {
    /// With the settings of Hostel's engine that make calls cheap.
    fn new(component: &Path) -> Result<Self> {
        let mut config = Config::new();
        let pool = InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::new());
        config.allocation_strategy(pool).concurrency_support(false);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        let linked = linker.instantiate_pre(&Component::from_file(&engine, component)?)?;
        Ok(Self { component: ProxyPre::new(linked)?, idle: Mutex::default() })
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (mut store, proxy) = match idle {
            Some(instance) => instance,
            None => self.instantiate().await?,
        };
        let (head, begun) = oneshot::channel();
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let out = store.data_mut().http().new_response_outparam(head)?;
        let call = proxy.wasi_http_incoming_handler().call_handle(&mut store, request, out);
        let response = async {
            let (head, body) = begun.await??.into_parts();
            let body = body.collect().await.map_err(|error| format_err!("{error:?}"))?;
            Ok(Response::from_parts(head, Full::new(body.to_bytes())))
        };
        let (_, response) = tokio::try_join!(call, response)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((store, proxy));
        Ok(response)
    }

    async fn instantiate(&self) -> Result<(Store<State>, Proxy)> {
        let mut store = Store::new(self.component.engine(), State::default());
        let proxy = self.component.instantiate_async(&mut store).await?;
        Ok((store, proxy))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}

impl WasiHttpHooks for Nowhere {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: BodyWork,
    ) -> Box<dyn Future<Output = std::result::Result<(Response<WasiBody>, BodyWork), Error>> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
