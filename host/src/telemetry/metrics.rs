//! Every metric of the host, in Prometheus text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::names::{ServiceName, VersionNumber};
use crate::telemetry::labels::*;
use crate::telemetry::requests::{Kind, Series};
use crate::telemetry::standard_error;

/// Upper bounds in seconds of the latency histograms: from a warm instance to a request at its time limit.
const LATENCY_BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Every metric; counted where things happen, read by `/metrics`.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    latency: Family<VersionLabels, Histogram, Buckets>,
    queue_wait: Family<VersionLabels, Histogram, Buckets>,
    calls: Family<CallLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    instances: Family<VersionLabels, Gauge>,
    instances_busy: Family<VersionLabels, Gauge>,
    instances_made: Family<VersionLabels, Counter>,
    queue: Family<VersionLabels, Gauge>,
    memory: Family<ServiceLabels, Gauge>,
    database: Family<OperationLabels, Histogram, Buckets>,
    published: Family<VersionLabels, Counter>,
    deliveries: Family<OutcomeLabels, Counter>,
    backlog: Family<BacklogLabels, Gauge>,
    denials: Family<DenialLabels, Counter>,
    deploys: Family<DeployLabels, Counter>,
    limit_hits: Family<LimitLabels, Counter>,
    log_lines_dropped: Gauge,
}

/// Counts how long something takes. To be kept by who counts often: to find it costs more than to count.
#[derive(Debug, Clone)]
pub struct Durations(Histogram);

impl Durations {
    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

type Buckets = fn() -> Histogram;

/// The backlog of one subscription, for its gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries that could be made now.
    pub ready: u64,
    /// Deliveries that wait for another try.
    pub delayed: u64,
    /// Deliveries being handled.
    pub in_flight: u64,
    /// Dead letters.
    pub dead: u64,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let histogram: Buckets = || Histogram::new(LATENCY_BUCKETS);
        let mut metrics = Self {
            registry: Registry::with_prefix("hostel"),
            requests: Family::default(),
            latency: Family::new_with_constructor(histogram),
            queue_wait: Family::new_with_constructor(histogram),
            calls: Family::default(),
            failures: Family::default(),
            instances: Family::default(),
            instances_busy: Family::default(),
            instances_made: Family::default(),
            queue: Family::default(),
            memory: Family::default(),
            database: Family::new_with_constructor(histogram),
            published: Family::default(),
            deliveries: Family::default(),
            backlog: Family::default(),
            denials: Family::default(),
            deploys: Family::default(),
            limit_hits: Family::default(),
            log_lines_dropped: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let Self { registry, .. } = self;
        registry.register("requests", "Requests answered by the gateway", self.requests.clone());
        registry.register(
            "request_duration_seconds",
            "Time from request to response head",
            self.latency.clone(),
        );
        registry.register(
            "queue_wait_seconds",
            "Time a call waited for an instance",
            self.queue_wait.clone(),
        );
        registry.register("calls", "Calls between services", self.calls.clone());
        registry.register("guest_failures", "Traps and limits, by reason", self.failures.clone());
        registry.register("instances", "Instances that exist", self.instances.clone());
        registry.register("instances_busy", "Instances that handle something", self.instances_busy.clone());
        registry.register("instances_made", "Instances made", self.instances_made.clone());
        registry.register("queue_length", "Calls that wait for an instance", self.queue.clone());
        registry.register("memory_bytes", "Guest memory of a service", self.memory.clone());
        registry.register("database_duration_seconds", "Time of database operations", self.database.clone());
        registry.register("messages_published", "Messages published", self.published.clone());
        registry.register("deliveries", "Deliveries settled, by outcome", self.deliveries.clone());
        registry.register("backlog", "Deliveries that wait, by state", self.backlog.clone());
        registry.register("denials", "What a service tried without a grant", self.denials.clone());
        registry.register("deploys", "Deploys, by outcome", self.deploys.clone());
        registry.register("limit_hits", "What a limit stopped, by its name", self.limit_hits.clone());
        registry.register(
            "log_lines_dropped",
            "Lines of the host's log that nobody read",
            self.log_lines_dropped.clone(),
        );
    }

    /// Where the requests of one kind are counted; `route` is the pattern of the route, never the path.
    pub fn requests(&self, kind: Kind<'_>, route: Option<&Arc<str>>) -> Series {
        let Kind { service, version, method, status } = kind;
        let shared = |text: Option<&Arc<str>>| text.cloned().map_or(Text::Fixed(""), Text::Shared);
        let name = shared(service.map(ServiceName::as_arc));
        let labels = VersionLabels { service: name.clone(), version: Version(version) };
        let latency = Durations(self.latency.get_or_create_owned(&labels));
        let labels =
            RequestLabels { service: name, version: Version(version), route: shared(route), method, status };
        let count = self.requests.get_or_create_owned(&labels);
        Series { service: service.cloned(), version, method, status, count, latency }
    }

    /// Counts one call from service to service.
    pub fn call(&self, caller: &ServiceName, service: &ServiceName, status: u16) {
        let labels = CallLabels { caller: Text::from(caller), service: Text::from(service), status };
        self.calls.get_or_create(&labels).inc();
    }

    /// Counts how long the calls of a version wait for an instance.
    pub fn queue_wait(&self, service: &ServiceName, version: VersionNumber) -> Durations {
        Durations(self.queue_wait.get_or_create_owned(&labels(service, version)))
    }

    /// Counts a trap or a limit that ended a call; `reason` is the limit's name or `trap`.
    pub fn failure(&self, service: &ServiceName, version: VersionNumber, reason: &'static str) {
        let labels = FailureLabels { service: Text::from(service), version: Version(Some(version)), reason };
        self.failures.get_or_create(&labels).inc();
    }

    /// Counts an instance that was made.
    pub fn instance_made(&self, service: &ServiceName, version: VersionNumber) {
        self.instances_made.get_or_create(&labels(service, version)).inc();
    }

    /// Sets the gauges of one pool.
    pub fn pool(&self, service: &ServiceName, version: VersionNumber, all: usize, busy: usize, queue: usize) {
        let labels = labels(service, version);
        self.instances.get_or_create(&labels).set(all as i64);
        self.instances_busy.get_or_create(&labels).set(busy as i64);
        self.queue.get_or_create(&labels).set(queue as i64);
    }

    /// Forgets the gauges of a version that is gone.
    pub fn pool_gone(&self, service: &ServiceName, version: VersionNumber) {
        let labels = labels(service, version);
        self.instances.remove(&labels);
        self.instances_busy.remove(&labels);
        self.queue.remove(&labels);
    }

    /// Sets how many bytes the guests of a service hold.
    pub fn memory(&self, service: &ServiceName, bytes: u64) {
        self.memory.get_or_create(&ServiceLabels { service: Text::from(service) }).set(bytes as i64);
    }

    /// Counts one database operation.
    pub fn database(
        &self,
        service: &ServiceName,
        version: VersionNumber,
        operation: &'static str,
        good: bool,
        duration: Duration,
    ) {
        let labels = OperationLabels {
            service: Text::from(service),
            version: Version(Some(version)),
            operation,
            outcome: if good { "ok" } else { "error" },
        };
        self.database.get_or_create(&labels).observe(duration.as_secs_f64());
    }

    /// Counts a published message.
    pub fn published(&self, service: &ServiceName, version: VersionNumber) {
        self.published.get_or_create(&labels(service, version)).inc();
    }

    /// Counts a settled delivery.
    pub fn delivery(&self, service: &ServiceName, version: Option<VersionNumber>, outcome: &'static str) {
        let labels = OutcomeLabels { service: Text::from(service), version: Version(version), outcome };
        self.deliveries.get_or_create(&labels).inc();
    }

    /// Sets the gauges of one subscription.
    pub fn backlog(&self, domain: &str, service: &ServiceName, backlog: Backlog) {
        let Backlog { ready, delayed, in_flight, dead } = backlog;
        for (state, count) in
            [("ready", ready), ("delayed", delayed), ("in-flight", in_flight), ("dead", dead)]
        {
            let labels =
                BacklogLabels { domain: Text::Shared(domain.into()), service: Text::from(service), state };
            self.backlog.get_or_create(&labels).set(count as i64);
        }
    }

    /// Counts a right that a service tried to use without a grant.
    pub fn denial(&self, service: &ServiceName, right: &'static str) {
        let labels = DenialLabels { service: Text::from(service), right };
        self.denials.get_or_create(&labels).inc();
    }

    /// Counts that a service met a limit.
    pub fn limit_hit(&self, service: &ServiceName, limit: &'static str) {
        self.limit_hits.get_or_create(&LimitLabels { service: Text::from(service), limit }).inc();
    }

    /// Counts a deploy.
    pub fn deploy(&self, service: &ServiceName, good: bool) {
        let outcome = if good { "deployed" } else { "refused" };
        self.deploys.get_or_create(&DeployLabels { service: Text::from(service), outcome }).inc();
    }

    /// Everything in the Prometheus text format (OpenMetrics 1.0).
    pub fn text(&self) -> Result<String, fmt::Error> {
        self.log_lines_dropped.set(standard_error::dropped() as i64);
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn labels(service: &ServiceName, version: VersionNumber) -> VersionLabels {
    VersionLabels { service: Text::from(service), version: Version(Some(version)) }
}
