//! Outgoing HTTP of WASI 0.3: the same way as `http_out`, once it is known for which of several calls.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, HasData, Linker, Resource};
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_http::p3::bindings::http::client;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{WasiHttp, WasiHttpCtxView, WasiHttpView};

use crate::interfaces::guest::GuestState;

/// The client interface of guests that handle several calls at a time.
struct Client;

impl HasData for Client {
    type Data<'a> = WasiHttpCtxView<'a>;
}

/// Adds the interface, in the place of the one of wasmtime-wasi-http.
///
/// # Errors
///
/// Never, as the interface is shadowed.
pub fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let added = client::add_to_linker::<_, Client>(linker, GuestState::http);
    linker.allow_shadowing(false);
    added
}

impl client::HostWithStore<GuestState> for Client {
    async fn send(
        accessor: &Accessor<GuestState, Self>,
        request: Resource<Request>,
    ) -> Result<Resource<Response>, TrappableError<ErrorCode>> {
        let task = accessor.with(|mut access| {
            let mut store = access.as_context_mut();
            store.async_call_stack().map(|tasks| tasks.last())
        });
        let task = task.map_err(TrappableError::trap)?;
        let focus = |task| accessor.with(|mut access| access.as_context_mut().data_mut().this.focus(task));
        let http = accessor.with_getter::<WasiHttp>(GuestState::http);
        let mut sent = pin!(<WasiHttp as client::HostWithStore<GuestState>>::send(&http, request));
        // Where the request may go, and in whose name, is decided within the first poll.
        focus(task);
        let first = poll_fn(|context| Poll::Ready(sent.as_mut().poll(context))).await;
        focus(None);
        match first {
            Poll::Ready(result) => result,
            Poll::Pending => sent.await,
        }
    }
}
