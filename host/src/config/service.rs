//! A service: where it comes from, its domain, grants, instances and limits.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::names::{DomainName, InvalidName, ServiceName, default_domain};

use super::circuit::{self, Circuit};
use super::file;
use super::grants::{self, Grants, Surroundings};
use super::key::Key;
use super::report::Report;
use super::retry::{self, Retry};
use super::service_file;
use super::units::{self, GIB, KIB, MIB, SIZE_BYTES_MAX};
use super::upstream::{self, Upstreams};

/// Enough for a burst; the engine's pool has room for many such services.
const INSTANCES_MAX: usize = 32;
/// What small services need, three times over.
const MEMORY: u64 = 64 * MIB;
/// One page of WebAssembly memory; no instance has less.
const MEMORY_MIN: u64 = 64 * KIB;
/// The whole address space of 32-bit WebAssembly.
const MEMORY_MAX: u64 = 4 * GIB;
/// Eight instances with all their memory; most never use it.
const SERVICE_MEMORY: u64 = 512 * MIB;
/// People do not wait longer.
const TIME: Duration = Duration::from_secs(10);
/// A fifth of the time: the rest is waiting for others.
const CPU: Duration = Duration::from_secs(2);
/// As long as a client's connection may be silent.
const IDLE: Duration = Duration::from_secs(60);

/// As `wasmtime serve` has it: what waits overlaps, what computes is not held up for long.
const CONCURRENCY: usize = 16;
/// Many more than a sound request needs, few enough that leaked ones cost little memory.
const RESOURCES: usize = 10_000;
/// Eight for each instance that there may be.
const OUTGOING: usize = 256;
/// More than anybody reads; with the bytes below at most 90 GB a day, which somebody sees in time.
const LOG_LINES: u64 = 2_000;
/// The longest line.
const LOG_BYTES_MIN: u64 = 8 * KIB;
/// Half a KiB for each of these lines.
const LOG_BYTES: u64 = MIB;
/// Later the client has lost patience, and an early 503 helps it more.
const WAIT: Duration = Duration::from_secs(5);

/// As long as most downloads and streams last.
const DRAIN: Duration = Duration::from_secs(300);

/// One service, checked.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Its name, also of its host in `http://<name>.internal`.
    pub name: ServiceName,
    /// Its domain; `default` when the file names none.
    pub domain: DomainName,
    /// Where it comes from.
    pub source: Source,
    /// What it may reach.
    pub grants: Grants,
    /// How many instances it has.
    pub instances: Instances,
    /// What it may use.
    pub limits: Limits,
    /// How requests that fail are tried again, where a route does not say.
    pub retry: Option<Arc<Retry>>,
    /// When it is left alone for a while.
    pub circuit: Circuit,
    /// How long calls of a version that was replaced may go on.
    pub drain: Duration,
    /// The line of the file where it begins, for messages; it does not count when services are compared.
    pub line: usize,
}

/// Where a service comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A component that this host runs.
    Component {
        /// The `.wasm` file, absolute; without one the service waits for a deploy.
        file: Option<PathBuf>,
        /// The command that makes the file, run in the folder of gateway.toml.
        build: Option<String>,
    },
    /// An external service.
    Upstreams(Arc<Upstreams>),
}

/// How many instances a service has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instances {
    /// Kept when idle; at most `max`.
    pub min: usize,
    /// At most under load; at least 1.
    pub max: usize,
    /// Calls before an instance is replaced, at least 1; none for no bound.
    pub reuse: Option<u32>,
    /// Requests that one instance of WASI 0.3 handles at a time, at least 1.
    pub concurrency: usize,
}

/// What one call, one instance and the whole service may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one instance with everything that the host holds for it.
    pub memory: u64,
    /// Bytes of all instances; at least `memory`.
    pub service_memory: u64,
    /// From the call to the response head.
    pub time: Duration,
    /// Computing time of one call.
    pub cpu: Duration,
    /// A stream without a byte.
    pub idle: Duration,
    /// Bytes of a request body; none: as the gateway's.
    pub body: Option<u64>,
    /// Resources that the host holds for one instance.
    pub resources: usize,
    /// Outgoing requests of all instances at a time.
    pub outgoing: usize,
    /// Lines that the service may write to its log in a second.
    pub log_lines: u64,
    /// The bytes of these lines.
    pub log_bytes: u64,
    /// How long a request waits for an instance.
    pub wait: Duration,
}

impl PartialEq for ServiceConfig {
    /// Whether a running service could stay as it is; moving it in the file changes nothing.
    fn eq(&self, other: &Self) -> bool {
        let Self { name, domain, source, grants, instances, limits, retry, circuit, drain, line: _ } = self;
        *name == other.name
            && *domain == other.domain
            && *source == other.source
            && *grants == other.grants
            && *instances == other.instances
            && *limits == other.limits
            && *retry == other.retry
            && *circuit == other.circuit
            && *drain == other.drain
    }
}

/// Checks one service; none when it has no valid name, which is reported.
pub fn check(
    name: &str,
    written: &file::Service,
    around: Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<ServiceConfig> {
    let key = Key::root().field("services").field(name);
    let checked_name: Result<ServiceName, InvalidName> = name.parse();
    if let Err(error) = &checked_name {
        report.refuse_found(&key, format!("the name {name:?}"), format!("rename the service: {error}"));
    }
    if checked_name.as_ref().is_ok_and(|name| *name == ServiceName::of_host()) {
        report.refuse_found(
            &key,
            format!("the name {name:?}"),
            "rename the service: the host itself has this name",
        );
    }
    let domain = domain(written, &key.field("domain"), report);
    let (source, grants) = if written.upstreams.is_some() {
        refuse_component_keys(written, &key, report);
        (Source::Upstreams(upstream::check(written, around.folder, &key, report)), Grants::default())
    } else {
        upstream::refuse_keys(written, &key, report);
        let source = component(written, around.folder, &key, report);
        (source, grants::check(written, name, &domain, around, &key, report))
    };
    let absent = service_file::Limits::default();
    let written_limits = written.limits.as_ref().unwrap_or(&absent);
    Some(ServiceConfig {
        name: checked_name.ok()?,
        domain,
        source,
        grants,
        instances: instances(written, &key.field("instances"), report),
        limits: limits(written_limits, &key.field("limits"), report),
        retry: retry::check(written.retry.as_ref(), &key.field("retry"), report),
        circuit: circuit::check(written.circuit.as_ref(), &key.field("circuit"), report),
        drain: units::time(written.drain.as_ref(), DRAIN, &key.field("drain"), report),
        line: report.line(&key),
    })
}

fn domain(written: &file::Service, key: &Key, report: &mut Report<'_>) -> DomainName {
    let Some(text) = &written.domain else { return default_domain() };
    match text.parse() {
        Ok(domain) => domain,
        Err(error) => {
            let error: InvalidName = error;
            report.refuse(key, format!("correct it: {error}"));
            default_domain()
        }
    }
}

fn component(written: &file::Service, folder: &Path, key: &Key, report: &mut Report<'_>) -> Source {
    let file_key = key.field("component");
    let build = written.build.clone();
    if build.as_ref().is_some_and(|command| command.trim().is_empty()) {
        report.refuse(&key.field("build"), "write the command that makes the component, or take the key out");
    }
    let Some(text) = &written.component else {
        if build.is_some() && !report.refused_within(&file_key) {
            report.refuse(&key.field("build"), "add `component`, the file that the command makes");
        }
        return Source::Component { file: None, build };
    };
    if text.starts_with("oci://") {
        report.refuse(
            &file_key,
            "name a file, or leave the key out and deploy: registries are not supported yet",
        );
        return Source::Component { file: None, build };
    }
    let file = units::path(text, folder, &file_key, report);
    if file.is_dir() && !report.refused_within(&file_key) {
        report.refuse(&file_key, "name the .wasm file; this is a folder");
    } else if !file.exists() && build.is_none() && !report.refused_within(&key.field("build")) {
        report.refuse(
            &file_key,
            "correct the path, or add `build` with the command that makes it: there is no such file",
        );
    }
    Source::Component { file: Some(file), build }
}

/// An external service runs elsewhere: nothing can be built for it, granted to it or held against it.
fn refuse_component_keys(written: &file::Service, key: &Key, report: &mut Report<'_>) {
    let limits = written.limits.as_ref();
    let sources = [
        ("component", written.component.is_some()),
        ("build", written.build.is_some()),
        ("drain", written.drain.is_some()),
    ];
    let grants = [
        ("database", written.database.is_some()),
        ("buckets", written.buckets.is_some()),
        ("publishes", written.publishes.is_some()),
        ("subscribes", written.subscribes.is_some()),
        ("calls", written.calls.is_some()),
        ("fetches", written.fetches.is_some()),
        ("config", written.config.is_some()),
        ("secrets", written.secrets.is_some()),
    ];
    let resources = [
        ("memory", limits.is_some_and(|limits| limits.memory.is_some())),
        ("service-memory", limits.is_some_and(|limits| limits.service_memory.is_some())),
        ("cpu", limits.is_some_and(|limits| limits.cpu.is_some())),
        ("resources", limits.is_some_and(|limits| limits.resources.is_some())),
        ("outgoing", limits.is_some_and(|limits| limits.outgoing.is_some())),
        ("log-lines", limits.is_some_and(|limits| limits.log_lines.is_some())),
        ("log-bytes", limits.is_some_and(|limits| limits.log_bytes.is_some())),
    ];
    for (name, _) in sources.iter().filter(|(_, is_written)| *is_written) {
        report.refuse_found(
            &key.field(name),
            format!("`{name}` beside `upstreams`"),
            "keep one of them: a service is a component of this host or an external service",
        );
    }
    for (name, _) in grants.iter().filter(|(_, is_written)| *is_written) {
        report.refuse_found(
            &key.field(name),
            format!("the grant `{name}` to nobody"),
            "take it out: a service with `upstreams` runs outside this host and cannot use it",
        );
    }
    if written.instances.is_some() {
        let remedy = "take it out: this host makes no instances of a service with `upstreams`";
        report.refuse_found(&key.field("instances"), "`instances` beside `upstreams`", remedy);
    }
    for (name, _) in resources.iter().filter(|(_, is_written)| *is_written) {
        report.refuse_found(
            &key.field("limits").field(name),
            format!("`{name}` beside `upstreams`"),
            "take it out: a service with `upstreams` computes outside this host",
        );
    }
}

fn instances(written: &file::Service, key: &Key, report: &mut Report<'_>) -> Instances {
    let absent = service_file::Instances::default();
    let written = written.instances.as_ref().unwrap_or(&absent);
    let min = units::count(written.min, 0);
    let max = units::count(written.max, INSTANCES_MAX);
    if min > max && !report.refused_within(key) {
        let default = if written.max.is_none() { " (32 when absent)" } else { "" };
        report.refuse(&key.field("min"), format!("let `min` be at most `max`{default}"));
    }
    let reuse = written.reuse.and_then(|reuse| reuse.try_into().ok());
    Instances { min, max, reuse, concurrency: units::count(written.concurrency, CONCURRENCY) }
}

fn limits(written: &service_file::Limits, key: &Key, report: &mut Report<'_>) -> Limits {
    let memory_key = key.field("memory");
    let service_key = key.field("service-memory");
    let memory = units::size(written.memory.as_ref(), MEMORY, MEMORY_MIN..=MEMORY_MAX, &memory_key, report);
    let service_memory = units::size(
        written.service_memory.as_ref(),
        SERVICE_MEMORY,
        MEMORY_MIN..=SIZE_BYTES_MAX,
        &service_key,
        report,
    );
    let is_sound = !report.refused_within(&memory_key) && !report.refused_within(&service_key);
    if service_memory < memory && is_sound {
        let remedy = format!("write at least {:?}, the `memory` of one instance", units::size_text(memory));
        match written.service_memory {
            Some(_) => report.refuse(&service_key, remedy),
            None => {
                let found = format!("{:?} (the default)", units::size_text(SERVICE_MEMORY));
                report.refuse_found(&service_key, found, remedy);
            }
        }
    }
    Limits {
        memory,
        service_memory,
        time: units::time(written.time.as_ref(), TIME, &key.field("time"), report),
        cpu: units::time(written.cpu.as_ref(), CPU, &key.field("cpu"), report),
        idle: units::time(written.idle.as_ref(), IDLE, &key.field("idle"), report),
        body: units::size_or_none(written.body.as_ref(), 1..=SIZE_BYTES_MAX, &key.field("body"), report),
        resources: units::count(written.resources, RESOURCES),
        outgoing: units::count(written.outgoing, OUTGOING),
        log_lines: written.log_lines.unwrap_or(LOG_LINES),
        log_bytes: units::size(
            written.log_bytes.as_ref(),
            LOG_BYTES,
            LOG_BYTES_MIN..=SIZE_BYTES_MAX,
            &key.field("log-bytes"),
            report,
        ),
        wait: units::time(written.wait.as_ref(), WAIT, &key.field("wait"), report),
    }
}
