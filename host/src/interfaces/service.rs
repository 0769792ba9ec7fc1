//! What all instances of one version of a service share: its grants and the back ends behind them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::backends::database::Database;
use crate::backends::key_value::KeyValue;
use crate::backends::messaging::Broker;
use crate::body::BodyError;
use crate::config::ServiceConfig;
use crate::interfaces::call::Call;
use crate::interfaces::http_client::{Forbidden, HttpClient};
use crate::interfaces::siblings::Siblings;
use crate::interfaces::turns::Turns;
use crate::interfaces::usage::Usage;
use crate::names::VersionNumber;
use crate::registry::Registry;
use crate::telemetry::journal::{Journal, Level, Speaker, Stream, neutralise};
use crate::telemetry::metrics::{Durations, Metrics};

/// What every service of this host shares.
pub struct HostContext {
    /// The name of this host.
    pub name: Arc<str>,
    /// Which services exist.
    pub registry: Arc<Registry>,
    /// How services call each other.
    pub siblings: Arc<dyn Siblings>,
    /// How services call outside hosts.
    pub http: HttpClient,
    /// The host's own listeners, which no guest may reach.
    pub forbidden: Forbidden,
    /// The turns of long calls on the processors.
    pub turns: Arc<Turns>,
    /// The lines of services.
    pub journal: Arc<Journal>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// One version of a service as its instances see it.
pub struct ServiceContext {
    /// Name, domain, grants and limits.
    pub config: Arc<ServiceConfig>,
    /// Which version runs here.
    pub version: VersionNumber,
    /// The host that it runs on.
    pub host: Arc<HostContext>,
    /// The service's database, when it has one.
    pub database: Option<Database>,
    /// The broker of its domain.
    pub broker: Broker,
    /// Its buckets, when it has some.
    pub buckets: Option<KeyValue>,
    /// What all instances of the service use.
    pub usage: Arc<Usage>,
    /// How long its calls wait for an instance.
    pub queue_wait: Durations,
    /// The rights whose refusal was told once and need not be told again.
    pub told: Mutex<HashSet<&'static str>>,
}

impl ServiceContext {
    /// Who speaks when this version does, or one of its instances in a call.
    pub fn speaker(&self, instance: Option<Arc<str>>, call: Option<&Call>) -> Speaker {
        Speaker {
            service: self.config.name.clone(),
            version: Some(self.version),
            instance,
            request: call.map(|call| call.request.clone()),
            trace: call.map(|call| call.trace.trace_text().as_str().into()),
        }
    }

    /// Writes a line that the service says, or makes the host say, unless that is too much in one second.
    pub fn say(&self, level: Level, stream: Stream, speaker: Speaker, message: &str) {
        let (second, limits) = (jiff::Timestamp::now().as_second(), &self.config.limits);
        let message = neutralise(message);
        match self.usage.output.admit(second, message.len(), limits.log_lines, limits.log_bytes) {
            Ok(()) => self.host.journal.write_neutral(level, stream, speaker, message),
            Err(limit) => self.limited(limit),
        }
    }

    /// Logs that a response breaks off by a fault of the guest, such as more bytes than it had announced.
    pub fn broken_off(&self, speaker: Speaker, error: &BodyError) {
        self.say(Level::Warn, Stream::Host, speaker, &format!("a response breaks off: {error}"));
    }

    /// Counts that the service met a limit, by its name, and tells of it now and then.
    pub fn limited(&self, limit: &'static str) {
        self.host.metrics.limit_hit(&self.config.name, limit);
        if let Some(count) = self.usage.hit(limit, Instant::now()) {
            let speaker = self.speaker(None, None);
            let message = format!("the limit `{limit}` was reached, {count} times so far");
            self.host.journal.write(Level::Warn, Stream::Host, speaker, &message);
        }
    }

    /// Logs and counts that the service tried what it was not granted.
    pub fn denied(&self, right: &'static str, speaker: Speaker, message: &str) {
        self.host.metrics.denial(&self.config.name, right);
        self.say(Level::Warn, Stream::Host, speaker, message);
    }

    /// The same, but only the first time: some tool chains ask for everything at every start.
    pub fn denied_once(&self, right: &'static str, speaker: Speaker, message: &str) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(right) {
            self.denied(right, speaker, message);
        }
    }
}
