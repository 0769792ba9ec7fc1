//! `Balancer`: service name -> instance, shared by load; the table is swapped, never edited.
//!
//! Knows nothing of routes, callers or tokens. Files in reading order: `call` is what is asked and answered;
//! `verdict` is what a try says about whom it asked, unless its client's `upload` was waited for; `service` is one
//! service of components, `pool` the instances of one version behind a `queue`, into which `admission` lets calls by
//! the `rate` at which others end, `lease` one on loan, `breaker` counts failures for its `circuit`, `health` is its
//! probe; `upstream` is an external service with the state of each `address`, `pick` chooses among them, `outlier` and
//! `check` find those that fail, `client` speaks to them over what `connect` makes, `stream` is what comes back; `retry`
//! tries calls again, with the body that `lend` kept.

pub mod call;
pub mod verdict;
pub mod upload;
pub mod service;
pub mod queue;
mod rate;
pub mod admission;
pub mod pool;
pub mod lease;
pub mod breaker;
pub mod circuit;
pub mod health;
pub mod upstream;
pub mod address;
pub mod pick;
pub mod outlier;
pub mod check;
pub mod client;
pub mod connect;
pub mod stream;
pub mod retry;
pub mod lend;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::{BoxFuture, FutureExt};
use http::Method;
use tokio::time::Instant;

use crate::balance::call::Tries;
pub use crate::balance::call::{Answer, Call, CallError};
use crate::balance::retry::Budget;
use crate::balance::service::{Service, Version};
use crate::balance::upstream::Upstream;
use crate::body::Response;
use crate::config::Retry;
use crate::interfaces::siblings::{SiblingCall, SiblingError, Siblings};
use crate::names::ServiceName;
use crate::registry::{Endpoint, Health, Registry};
use crate::telemetry::metrics::Metrics;

/// How often a drained version is looked at: an old version costs only memory meanwhile.
const DRAIN_LOOK: Duration = Duration::from_millis(50);

/// Finds the instance for each call; cheap to clone.
#[derive(Clone)]
pub struct Balancer {
    table: Arc<ArcSwap<Table>>,
    changes: Arc<Mutex<()>>,
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    host: Arc<str>,
}

type Table = BTreeMap<ServiceName, Target>;

/// What stands behind a service name.
#[derive(Clone)]
pub enum Target {
    /// Components of this host.
    Component(Arc<Service>),
    /// An external service.
    External(Arc<Upstream>),
}

impl Balancer {
    /// A balancer without services; `host` is the name under which they stand in the registry.
    pub fn new(registry: Arc<Registry>, metrics: Arc<Metrics>, host: Arc<str>) -> Self {
        Self { table: Arc::default(), changes: Arc::default(), registry, metrics, host }
    }

    /// Adds or replaces a service.
    pub fn insert(&self, name: &ServiceName, target: Target) {
        self.change(|table| {
            table.insert(name.clone(), target);
        });
    }

    /// Removes a service; calls that run end where they began.
    pub fn remove(&self, name: &ServiceName) {
        self.change(|table| {
            table.remove(name);
        });
        self.registry.withdraw(name);
    }

    /// What stands behind a name.
    pub fn target(&self, name: &str) -> Option<Target> {
        self.table.load().get(name).cloned()
    }

    /// The service of components of this name.
    pub fn service(&self, name: &str) -> Option<Arc<Service>> {
        match self.target(name)? {
            Target::Component(service) => Some(service),
            Target::External(_) => None,
        }
    }

    /// Sends a request to a service and answers its response head.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub async fn send(&self, service: &ServiceName, call: Call) -> Result<Answer, CallError> {
        let Some(target) = self.target(service.as_str()) else {
            return Err(CallError::Unknown(service.clone()));
        };
        let chosen = call.retry.clone().or_else(|| target.retry());
        let policy = chosen.as_deref().or_else(|| default_retry(&call));
        let policy = policy.filter(|policy| policy.tries > 1);
        policy.inspect(|policy| target.budget().earn(policy.budget_percent));
        // No other try: what is refused while it waits has had no effect, but such a call does not wait.
        if let Target::Component(service) = &target
            && let Some(ready) = service.at_once(call.depth)
        {
            return service.answer(ready, call).await;
        }
        // Boxed, as few calls have to wait for an instance: the way of a call is moved as one future.
        match policy {
            Some(policy) => Box::pin(retry::send(&target, call, policy)).await,
            None => Box::pin(target.send(call, &mut Tries::default())).await,
        }
    }

    /// Whether a service can switch protocols: only an external one can, over HTTP/1.1.
    pub fn takes_upgrades(&self, service: &ServiceName) -> bool {
        match self.target(service.as_str()) {
            Some(Target::External(upstream)) => upstream.takes_upgrades(),
            _ => false,
        }
    }

    /// Lets calls into this version end, at most for its `drain`, then drops it.
    pub async fn drain(&self, name: ServiceName, version: Arc<Version>) {
        version.pool.retire();
        let deadline = Instant::now() + version.context().config.drain;
        // Every call holds its version from the moment it chose it until it has ended.
        while Arc::strong_count(&version) > 1 && Instant::now() < deadline {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        version.pool.stop().cancel();
        let still_active = self.service(name.as_str()).and_then(|service| service.active());
        if still_active.is_none_or(|active| active.number != version.number) {
            self.metrics.pool_gone(&name, version.number);
        }
    }

    /// Shrinks pools, and tells registry and metrics how things are. To be called about once a second.
    pub fn look_after(&self) {
        for (name, target) in self.table.load().iter() {
            match target {
                Target::Component(service) => self.look_after_service(name, service),
                Target::External(upstream) => {
                    for endpoint in upstream.endpoints() {
                        self.registry.report(name, &endpoint.address, 0, endpoint.health);
                    }
                }
            }
        }
    }

    /// Asks every service whether it can work. To be called every few seconds.
    pub async fn probe(&self) {
        for target in self.table.load_full().values() {
            if let Target::Component(service) = target {
                health::probe(service).await;
            }
        }
    }

    /// The endpoint of a service of components on this host.
    pub fn endpoint(&self, health: Health) -> Endpoint {
        Endpoint { address: self.host.to_string(), instances: 0, health }
    }

    fn look_after_service(&self, name: &ServiceName, service: &Service) {
        let Some(version) = service.active() else { return };
        version.pool.shrink(Instant::now());
        let size = version.pool.size();
        self.metrics.pool(name, version.number, size.all, size.busy, size.waiting);
        let context = version.context();
        self.metrics.memory(name, context.usage.memory.used());
        let health =
            if service.is_failing() || service.is_unfit() { Health::Unhealthy } else { Health::Healthy };
        let instances = u32::try_from(size.all).unwrap_or(u32::MAX);
        self.registry.report(name, &self.host, instances, health);
    }

    fn change(&self, edit: impl FnOnce(&mut Table)) {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&self.table.load());
        edit(&mut table);
        self.table.store(Arc::new(table));
    }

    async fn send_sibling(
        self,
        caller: ServiceName,
        service: ServiceName,
        call: Call,
    ) -> Result<Response, SiblingError> {
        let result = self.send(&service, call).await;
        let status = result.as_ref().map_or(0, |answer| answer.response.status().as_u16());
        self.metrics.call(&caller, &service, status);
        match result {
            Ok(answer) => Ok(answer.response),
            Err(error) => Err(match error {
                CallError::Unknown(_) | CallError::NoVersion(_) => SiblingError::Absent,
                CallError::Busy { .. } | CallError::CircuitOpen { .. } => SiblingError::Busy,
                CallError::Timeout { .. } => SiblingError::Timeout,
                _ => SiblingError::Failed,
            }),
        }
    }
}

impl Target {
    /// Sends a request once.
    async fn send(&self, call: Call, tries: &mut Tries) -> Result<Answer, CallError> {
        match self {
            Self::Component(service) => service.send(call).await,
            Self::External(upstream) => upstream.send(call, tries).await,
        }
    }

    /// How calls are tried again where the caller does not say.
    fn retry(&self) -> Option<Arc<Retry>> {
        match self {
            Self::Component(service) => service.retry(),
            Self::External(upstream) => upstream.retry(),
        }
    }

    fn budget(&self) -> &Budget {
        match self {
            Self::Component(service) => service.budget(),
            Self::External(upstream) => upstream.budget(),
        }
    }
}

impl Siblings for Balancer {
    fn send(&self, sibling: SiblingCall) -> BoxFuture<'static, Result<Response, SiblingError>> {
        let SiblingCall { caller, service, request, request_id, trace, deadline, depth } = sibling;
        let call = Call {
            request,
            request_id,
            trace,
            route: None,
            deadline,
            depth,
            client: None,
            keeps_host: false,
            retry: None,
        };
        self.clone().send_sibling(caller, service, call).boxed()
    }
}

/// How a call is tried again of which neither route nor service says it. Between services a safe one is: their
/// authors see one address behind the name, whose failures they do not expect.
fn default_retry(call: &Call) -> Option<&'static Retry> {
    let is_sibling = call.depth > 0;
    let is_safe = matches!(*call.request.method(), Method::GET | Method::HEAD);
    (is_sibling && is_safe).then_some(&Retry::DEFAULT)
}
