//! The gateway: listens for clients, finds the route of each request, and has it answered.
//!
//! Knows nothing of Wasm, back ends or the registry; below it stands `balance`. Files in reading order:
//! `listen` accepts connections (`admission` counts them, `connection` is what lies below HTTP); `pipeline` is
//! the path of a request, with `context` what is known about it; `framing` and `host` check its head; `path`
//! and `route` find its route; `limits` bounds its body; `files` answers it, or `ask`, from the
//! `cache` or by `forward`; `reply` turns a refusal into a response; `access_log` writes it down.

mod listen;
mod admission;
mod connection;
mod pipeline;
mod context;
mod framing;
mod host;
mod path;
mod route;
mod limits;
mod files;
mod cache;
mod ask;
mod forward;
mod reply;
mod access_log;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::access_log::AccessLog;
use self::admission::Admission;
use self::cache::Cache;
use self::connection::Timeouts;
use self::pipeline::Pipeline;
use self::route::Routes;
use crate::balance::Balancer;
use crate::config::{GatewayConfig, RouteConfig};
use crate::telemetry::metrics::Metrics;

pub use self::cache::Purge;
pub use self::route::{RouteError, RouteView};

/// The listener and the current pipeline, which is swapped whole.
pub struct Gateway {
    address: SocketAddr,
    /// Taken by [`Gateway::run`], which closes it when it begins to drain.
    listener: Mutex<Option<TcpListener>>,
    shared: Arc<Shared>,
    views: ArcSwap<Vec<RouteView>>,
    /// None while no route uses it. It outlives the pipelines, so that a reload empties nothing.
    cache: ArcSwapOption<Cache>,
}

/// What every connection needs.
struct Shared {
    /// None until the first routes are set.
    pipeline: ArcSwapOption<Pipeline>,
    limits: ArcSwap<Limits>,
    admission: Arc<Admission>,
    in_flight: Arc<AtomicUsize>,
    access_log: Arc<AccessLog>,
    metrics: Arc<Metrics>,
}

/// The limits of connections; a connection keeps the times with which it began.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connections: ConnectionLimits,
    timeouts: Timeouts,
}

#[derive(Debug, Clone, Copy)]
struct ConnectionLimits {
    all: usize,
    by_client: usize,
}

impl Gateway {
    /// Binds the listener and opens the access log; requests are answered 503 until routes are set.
    ///
    /// # Errors
    ///
    /// When the address is taken or the access log cannot be opened; the message names which.
    pub async fn bind(config: &GatewayConfig, metrics: Arc<Metrics>) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| named(&error, &format!("the gateway cannot listen on {}", config.listen)))?;
        let access_log = AccessLog::open(config.access_log.as_deref()).await.map_err(|error| {
            named(&error, &format!("the access log {:?} cannot be opened", config.access_log))
        })?;
        Ok(Self {
            address: listener.local_addr()?,
            listener: Mutex::new(Some(listener)),
            shared: Arc::new(Shared {
                pipeline: ArcSwapOption::empty(),
                limits: ArcSwap::from_pointee(Limits::of(config)),
                admission: Arc::default(),
                in_flight: Arc::default(),
                access_log: Arc::new(access_log),
                metrics,
            }),
            views: ArcSwap::default(),
            cache: ArcSwapOption::empty(),
        })
    }

    /// The address in use, with the port that the system chose for port 0.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Takes routes and limits into use for the requests and connections that follow. The address and
    /// the access log stay as they were bound.
    ///
    /// # Errors
    ///
    /// When two routes are equal or a pattern is none; the old routes stay.
    pub fn set_routes(
        &self,
        config: &GatewayConfig,
        routes: &[RouteConfig],
        balancer: &Balancer,
    ) -> Result<(), RouteError> {
        let parsed = Routes::new(routes)?;
        let pipeline = Pipeline {
            routes: parsed,
            cache: self.cache_for(config, routes),
            balancer: balancer.clone(),
            body_bytes_max: config.body_bytes_max,
            requests_max: config.requests_max,
        };
        self.shared.limits.store(Arc::new(Limits::of(config)));
        self.shared.pipeline.store(Some(Arc::new(pipeline)));
        self.views.store(Arc::new(routes.iter().map(RouteView::from).collect()));
        Ok(())
    }

    /// Throws away kept responses; answers how many.
    pub fn purge(&self, purge: &Purge) -> usize {
        self.cache.load().as_ref().map_or(0, |cache| cache.purge(purge))
    }

    /// The routes in use, in the order of gateway.toml.
    pub fn routes(&self) -> Vec<RouteView> {
        self.views.load().to_vec()
    }

    /// Serves until `shutdown`, then lets requests in flight end, at most for `drain`. Returns when all
    /// connections are closed and the access log is written. A second call returns at once.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken, drain: Duration) {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(listener) = listener else {
            return;
        };
        listen::run(self.shared.clone(), listener, shutdown, drain).await;
        self.shared.access_log.flush().await;
    }
}

impl Gateway {
    /// The cache for these routes: the one in use, unless its limits have changed.
    fn cache_for(&self, config: &GatewayConfig, routes: &[RouteConfig]) -> Option<Arc<Cache>> {
        let same = self.cache.load_full().filter(|cache| cache.limits() == config.cache);
        let is_used = routes.iter().any(|route| route.cache.is_some());
        let cache = is_used.then(|| same.unwrap_or_else(|| Arc::new(Cache::new(config.cache))));
        self.cache.store(cache.clone());
        cache
    }
}

impl Shared {
    fn timeouts(&self) -> Timeouts {
        self.limits.load().timeouts
    }

    fn connection_limits(&self) -> ConnectionLimits {
        self.limits.load().connections
    }
}

impl Limits {
    fn of(config: &GatewayConfig) -> Self {
        Self {
            connections: ConnectionLimits {
                all: config.connections_max,
                by_client: config.connections_per_address_max,
            },
            timeouts: Timeouts {
                header: config.header_timeout,
                idle: config.idle_timeout,
                write: config.write_timeout,
            },
        }
    }
}

/// The same kind of error, with words for what was tried.
fn named(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
