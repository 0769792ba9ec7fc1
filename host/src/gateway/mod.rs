//! The gateway: listens for clients, finds the route of each request, and has it answered.
//!
//! Knows nothing of Wasm, back ends or the registry; below it stands `balance`. In reading order: `listener` accepts
//! connections and reads requests strictly; `pipeline` is the path of a request, with `context` what is known about
//! it; `framing` checks its head; `routing` finds its route, `auth` who may use it, `login` lets browsers sign in,
//! `policies` what that asks of a request and does to its response; `limits` bounds its body; `coding` is how content
//! can be packed, `part` what of it is asked for, also by `date`; `location`, `files` or `ask`, from the `cache` or by
//! `forward`, answers it; `reply` turns a refusal into a response; `account` follows it to its end, and `access_log`
//! writes it down.

mod listener;
mod pipeline;
mod context;
mod framing;
mod routing;
mod auth;
mod login;
mod policies;
mod limits;
mod coding;
mod date;
mod part;
mod pages;
mod location;
mod files;
mod ask;
mod cache;
mod forward;
mod reply;
mod account;
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
use self::auth::Authenticator;
use self::cache::Cache;
use self::listener::Role;
use self::listener::admission::Admission;
use self::listener::entry::Entry;
use self::login::{Login, Visits};
use self::pipeline::Pipeline;
use self::policies::rate_limit::RateLimiters;
use self::routing::Routes;
use crate::balance::Balancer;
use crate::config::{GatewayConfig, RouteConfig};
use crate::sessions::Sessions;
use crate::telemetry::metrics::Metrics;

pub use self::auth::{ApiKey, ApiKeys, NewKey};
pub use self::cache::Purge;
pub use self::listener::{TlsError, note_rest};
pub use self::routing::RouteError;
pub use self::routing::RouteView;

/// The listener and the current pipeline, which is swapped whole.
pub struct Gateway {
    address: SocketAddr,
    /// Taken by [`Gateway::run`], which closes them when it begins to drain.
    listeners: Mutex<Vec<(TcpListener, Role)>>,
    shared: Arc<Shared>,
    views: ArcSwap<Vec<RouteView>>,
    rate_limiters: RateLimiters,
    authenticator: Arc<Authenticator>,
    visits: Arc<Visits>,
    /// None while no route uses it. It outlives the pipelines, so that a reload empties nothing.
    cache: ArcSwapOption<Cache>,
}

/// What every connection needs.
struct Shared {
    /// None until the first routes are set.
    pipeline: ArcSwapOption<Pipeline>,
    entry: ArcSwap<Entry>,
    admission: Arc<Admission>,
    /// Requests in flight.
    in_flight: AtomicUsize,
    access_log: AccessLog,
    metrics: Arc<Metrics>,
}

impl Gateway {
    /// Binds the listeners, reads the certificates and opens the access log; requests are answered 503 until
    /// routes are set.
    ///
    /// # Errors
    ///
    /// When an address is taken, or a certificate or the access log cannot be opened; the message names
    /// which.
    pub async fn bind(config: &GatewayConfig, sessions: Sessions, metrics: Arc<Metrics>) -> io::Result<Self> {
        let entry = Entry::new(config).map_err(io::Error::other)?;
        let listener = bound(config.listen).await?;
        let address = listener.local_addr()?;
        let mut listeners = vec![(listener, Role::Serve)];
        if let Some(redirect) = config.listener.redirect() {
            let port = redirect.port.unwrap_or(address.port());
            listeners.push((bound(redirect.listen).await?, Role::Redirect(port)));
        }
        let access_log = AccessLog::open(config.access_log.as_deref()).map_err(|error| {
            named(&error, &format!("the access log {:?} cannot be opened", config.access_log))
        })?;
        Ok(Self {
            address,
            listeners: Mutex::new(listeners),
            shared: Arc::new(Shared {
                pipeline: ArcSwapOption::empty(),
                entry: ArcSwap::from_pointee(entry),
                admission: Arc::default(),
                in_flight: AtomicUsize::default(),
                access_log,
                metrics,
            }),
            views: ArcSwap::default(),
            rate_limiters: RateLimiters::default(),
            authenticator: Arc::default(),
            visits: Arc::new(Visits::new(sessions)),
            cache: ArcSwapOption::empty(),
        })
    }

    /// The address in use, with the port that the system chose for port 0.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Takes routes and limits of requests into use for the requests that follow. The addresses and the
    /// access log stay as they were bound.
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
        let parsed = Routes::new(routes, &self.rate_limiters, &self.authenticator)?;
        let pipeline = Pipeline {
            routes: parsed,
            login: config
                .login
                .as_ref()
                .map(|login| Arc::new(Login::new(login, &self.authenticator, &self.visits))),
            cache: self.cache_for(config, routes),
            balancer: balancer.clone(),
            body_bytes_max: config.body_bytes_max,
            body_timeout: config.body_timeout,
            requests_max: config.requests_max,
        };
        self.shared.pipeline.store(Some(Arc::new(pipeline)));
        self.views.store(Arc::new(routes.iter().map(RouteView::from).collect()));
        Ok(())
    }

    /// Takes limits and certificates, which are read again, into use for the connections that follow; those
    /// that are open keep theirs.
    ///
    /// # Errors
    ///
    /// When a certificate cannot be used; everything stays as it was.
    pub fn set_entry(&self, config: &GatewayConfig) -> Result<(), TlsError> {
        self.shared.entry.store(Arc::new(Entry::new(config)?));
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

    /// The API keys that count, to be filled by who keeps them.
    pub fn api_keys(&self) -> &Arc<ApiKeys> {
        self.authenticator.api_keys()
    }

    /// Serves until `shutdown`, then lets requests in flight end, at most for `drain`. Returns when all
    /// connections are closed and the access log is written. A second call returns at once.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken, drain: Duration) {
        let listeners = std::mem::take(&mut *self.listeners.lock().unwrap_or_else(PoisonError::into_inner));
        let running = listeners.into_iter().map(|(listener, role)| {
            listener::run(self.shared.clone(), listener, role, shutdown.clone(), drain)
        });
        futures::future::join_all(running).await;
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

async fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| named(&error, &format!("the gateway cannot listen on {address}")))
}

/// The same kind of error, with words for what was tried.
fn named(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
