//! The parts that a file has once: gateway, admin, storage, telemetry, messaging.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::cache::{self, CacheLimits, CacheRules};
use super::directory::Directory;
use super::file;
pub use super::file::LogFormat;
use super::grants::Subscription;
use super::key::Key;
use super::listener::{self, ListenerConfig};
use super::login::LoginConfig;
use super::policies::{self, Policies};
use super::report::Report;
use super::units::{self, MIB, SIZE_BYTES_MAX};

/// Forms and photos pass; a client cannot fill the memory of a service by accident.
const BODY_BYTES: u64 = 10 * MIB;
/// A connection costs about 20 KiB: 200 MiB in all.
const CONNECTIONS: usize = 10_000;
/// Leaves room for others when one client leaks connections; an office behind one address still fits.
const CONNECTIONS_PER_ADDRESS: usize = 1_024;
/// More would only wait: the instances of all services are fewer by far.
const REQUESTS: usize = 10_000;
/// A head fits into one packet; whoever needs longer holds the connection on purpose.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Short stalls of mobile networks pass.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than the 60 s after which most balancers re-use a connection no more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// As long as a stream of a service may be silent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// As long as Kubernetes waits before it kills.
const DRAIN: Duration = Duration::from_secs(30);
/// Small components take a tenth of a second; those that are made to take long are refused within 10 s on a quiet
/// machine.
const COMPILE_TIME: Duration = Duration::from_secs(6);
/// The compiler is looked at often, not bounded by the system, and grows by less than the rest of a GiB in between.
const COMPILE_MEMORY: u64 = 896 * MIB;
/// An engine alone takes as much.
const COMPILE_MEMORY_MIN: u64 = 64 * MIB;
/// Where durable data lies when the file does not say.
const STORAGE_PATH: &str = "data";
/// Messages outlive a night without an operator.
const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// With the back-off below: about four minutes.
const ATTEMPTS: u32 = 10;
/// A lock or a restart is over by then.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
/// A service that comes back waits no longer for its messages.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// The listener for clients and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// The address for clients; port 0 takes any free port.
    pub listen: SocketAddr,
    /// The longest request body, unless a route says otherwise.
    pub body_bytes_max: u64,
    /// The file of the access log; without one it goes to the log.
    pub access_log: Option<PathBuf>,
    /// Open connections at most.
    pub connections_max: usize,
    /// Open connections from one address at most.
    pub connections_per_address_max: usize,
    /// Requests in flight at most.
    pub requests_max: usize,
    /// A client's time for its request head.
    pub header_timeout: Duration,
    /// How long a request body may come slowly before its pace counts.
    pub body_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long a client may take no byte of a response.
    pub write_timeout: Duration,
    /// How long requests may go on when the host is told to stop.
    pub drain: Duration,
    /// How they connect: TLS, proxies, HTTP/2.
    pub listener: ListenerConfig,
    /// What routes do that do not say it themselves.
    pub policies: Policies,
    /// How much the cache holds.
    pub cache: CacheLimits,
    /// What `cache = true` means on a route.
    pub cache_rules: CacheRules,
    /// How browsers sign in; none: not at all.
    pub login: Option<Arc<LoginConfig>>,
    /// The topics whose messages throw kept responses away.
    pub cache_purged_by: Vec<Subscription>,
}

/// The listener for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// The address for operators; port 0 takes any free port.
    pub listen: SocketAddr,
}

/// Where the host keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// The folder of everything durable, absolute; it need not exist yet.
    pub path: PathBuf,
}

/// What the host tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// How log lines look.
    pub format: LogFormat,
    /// Levels: `info`, or by target as in `info,hostel::gateway=debug`.
    pub level: String,
}

/// What a component may take to be compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeploysConfig {
    /// Processor time, beside more for much code.
    pub compile_time: Duration,
    /// Bytes of memory.
    pub compile_memory: u64,
}

impl Default for DeploysConfig {
    fn default() -> Self {
        Self { compile_time: COMPILE_TIME, compile_memory: COMPILE_MEMORY }
    }
}

/// How messages are kept and repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagingConfig {
    /// How long messages are kept.
    pub retention: Duration,
    /// Tries before a message goes to the dead letters.
    pub attempts_max: u32,
    /// The wait after the first try; it doubles with each.
    pub backoff_min: Duration,
    /// The longest wait between two tries.
    pub backoff_max: Duration,
}

/// Checks `[gateway]`.
pub fn gateway(
    written: &file::Gateway,
    folder: &Path,
    directory: &Directory,
    report: &mut Report<'_>,
) -> GatewayConfig {
    let key = Key::root().field("gateway");
    let access_log = written.access_log.as_ref();
    let (cache, cache_rules) = cache::of_gateway(written.cache.as_ref(), &key.field("cache"), report);
    let cache_purged_by = cache::purged_by(written.cache.as_ref(), directory, &key.field("cache"), report);
    GatewayConfig {
        listen: units::listen(written.listen.as_deref(), &key.field("listen"), report),
        body_bytes_max: units::size(
            written.body.as_ref(),
            BODY_BYTES,
            1..=SIZE_BYTES_MAX,
            &key.field("body"),
            report,
        ),
        access_log: access_log.map(|path| units::path(path, folder, &key.field("access-log"), report)),
        connections_max: units::count(written.connections_max, CONNECTIONS),
        connections_per_address_max: units::count(
            written.connections_per_address_max,
            CONNECTIONS_PER_ADDRESS,
        ),
        requests_max: units::count(written.requests_max, REQUESTS),
        header_timeout: units::time(
            written.header_timeout.as_ref(),
            HEADER_TIMEOUT,
            &key.field("header-timeout"),
            report,
        ),
        body_timeout: units::time(
            written.body_timeout.as_ref(),
            BODY_TIMEOUT,
            &key.field("body-timeout"),
            report,
        ),
        idle_timeout: units::time(
            written.idle_timeout.as_ref(),
            IDLE_TIMEOUT,
            &key.field("idle-timeout"),
            report,
        ),
        write_timeout: units::time(
            written.write_timeout.as_ref(),
            WRITE_TIMEOUT,
            &key.field("write-timeout"),
            report,
        ),
        drain: units::time(written.drain.as_ref(), DRAIN, &key.field("drain"), report),
        listener: listener::check(written, folder, &key, report),
        policies: policies::check(written, &Policies::default(), &key, report),
        cache,
        cache_rules,
        cache_purged_by,
        // Issuers are checked behind this section.
        login: None,
    }
}

/// Checks `[admin]`; each listener needs a port of its own.
pub fn admin(written: &file::Admin, gateway: &GatewayConfig, report: &mut Report<'_>) -> AdminConfig {
    let key = Key::root().field("admin").field("listen");
    let listen = units::listen(written.listen.as_deref(), &key, report);
    listener::refuse_same_port(&key, listen, (gateway.listen, "gateway.listen"), report);
    if let Some(redirect) = gateway.listener.redirect() {
        let key = Key::root().field("gateway").field("tls").field("redirect");
        listener::refuse_same_port(&key, redirect.listen, (gateway.listen, "gateway.listen"), report);
        listener::refuse_same_port(&key, redirect.listen, (listen, "admin.listen"), report);
    }
    AdminConfig { listen }
}

/// Checks `[storage]`.
pub fn storage(written: &file::Storage, folder: &Path, report: &mut Report<'_>) -> StorageConfig {
    let key = Key::root().field("storage").field("path");
    let path = units::path(written.path.as_deref().unwrap_or(STORAGE_PATH), folder, &key, report);
    if path.exists() && !path.is_dir() {
        report.refuse(&key, "name a folder; this is a file");
    }
    StorageConfig { path }
}

/// Checks `[telemetry]`.
pub fn telemetry(written: &file::Telemetry, report: &mut Report<'_>) -> TelemetryConfig {
    let key = Key::root().field("telemetry").field("level");
    let level = written.level.as_deref().unwrap_or("info");
    if !level.split(',').all(|directive| is_directive(directive.trim())) {
        report.refuse(
            &key,
            "write off, error, warn, info, debug or trace, also by target: \"info,hostel::gateway=debug\"",
        );
    }
    TelemetryConfig { format: written.format.unwrap_or(LogFormat::Human), level: level.to_owned() }
}

/// Checks `[deploys]`.
pub fn deploys(written: &file::Deploys, report: &mut Report<'_>) -> DeploysConfig {
    let key = Key::root().field("deploys");
    DeploysConfig {
        compile_time: units::time(
            written.compile_time.as_ref(),
            COMPILE_TIME,
            &key.field("compile-time"),
            report,
        ),
        compile_memory: units::size(
            written.compile_memory.as_ref(),
            COMPILE_MEMORY,
            COMPILE_MEMORY_MIN..=SIZE_BYTES_MAX,
            &key.field("compile-memory"),
            report,
        ),
    }
}

/// Checks `[messaging]`.
pub fn messaging(written: &file::Messaging, report: &mut Report<'_>) -> MessagingConfig {
    let key = Key::root().field("messaging");
    let (back_off, back_off_key) = (&written.back_off, key.field("back-off"));
    let backoff_min = units::time(back_off.min.as_ref(), BACK_OFF_MIN, &back_off_key.field("min"), report);
    let backoff_max = units::time(back_off.max.as_ref(), BACK_OFF_MAX, &back_off_key.field("max"), report);
    if backoff_min > backoff_max && !report.refused_within(&back_off_key) {
        let wrong = if back_off.max.is_some() { "max" } else { "min" };
        report.refuse(&back_off_key.field(wrong), "let `min` be at most `max` (60s when absent)");
    }
    MessagingConfig {
        retention: units::time(written.retention.as_ref(), RETENTION, &key.field("retention"), report),
        attempts_max: written.attempts.and_then(|attempts| attempts.try_into().ok()).unwrap_or(ATTEMPTS),
        backoff_min,
        backoff_max,
    }
}

/// One part of a filter: a level, or a target and its level.
fn is_directive(text: &str) -> bool {
    let (target, level) = text.rsplit_once('=').unwrap_or(("hostel", text));
    let is_target = !target.is_empty()
        && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-.".contains(&byte));
    is_target && ["off", "error", "warn", "info", "debug", "trace"].contains(&level)
}
