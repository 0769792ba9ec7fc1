//! The scene of a promise: services that misbehave, beside an innocent one under a steady load.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use super::client::{Answer, Client};
use super::guests::component;
use super::host::Host;
use super::load::{Load, Report};
use super::process::{Peak, TICKS_PER_SECOND, memory_is_back, ticks};
use super::samples::samples;

/// 200 requests a second.
const PACE: Duration = Duration::from_millis(5);

/// How long the innocent service is watched before anybody misbehaves.
const QUIET: Duration = Duration::from_secs(2);

/// How many times as long as in quiet the slowest percent of innocent requests may take.
const STRETCH_MAX: u32 = 4;

/// No test fails for less: on a machine of two cores that others use too, a host built for debugging now and then
/// keeps a request waiting so long when nobody misbehaves.
const NOISE: Duration = Duration::from_millis(50);

/// How long the innocent service is under load beside those who misbehave, at least: less would tell nothing.
const BESIDE_MIN: Duration = Duration::from_secs(1);

/// Scenes are played one after another: each measures times.
static STAGE: Mutex<()> = Mutex::const_new(());

/// Keeps scenes from being played while it is held.
pub type Stage = MutexGuard<'static, ()>;

/// A host under load, and how it was in quiet.
pub struct Scene {
    /// The host.
    pub host: Host,
    /// A client of it.
    pub client: Client,
    process: u32,
    quiet: Duration,
    load: Load,
    began: Instant,
    peak: Peak,
    _stage: Stage,
}

/// The stage, for a test that measures times of its own.
pub async fn stage() -> Stage {
    STAGE.lock().await
}

/// A service of this component under `/{name}/`, with these further lines in its section.
pub fn service(name: &str, package: &str, lines: &str) -> String {
    format!(
        "[services.{name}]\ncomponent = {:?}\n{lines}\n[[routes]]\npath = \"/{name}/{{*rest}}\"\nservice = \"{name}\"\n",
        component(package)
    )
}

impl Scene {
    /// A host with this configuration and an innocent service, which has been watched in quiet and is under load now.
    pub async fn open(config: &str) -> Self {
        let stage = stage().await;
        let host = Host::start(&(config.to_owned() + &service("innocent", "misbehaving", ""))).await;
        let client = host.client();
        // What happens only once counts for neither side.
        for _ in 0..50 {
            assert_eq!(client.get("/innocent/ok").await.status, 200);
        }
        let process = host.process();
        let quiet = watch(&client).await;
        let (peak, load) = (Peak::watch(process), innocent(&client));
        Self { host, client, process, quiet, load, began: Instant::now(), peak, _stage: stage }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.client.get(path).await
    }

    /// What the metrics say.
    pub async fn metrics(&self) -> String {
        let Value::String(text) = self.host.admin().get("/metrics").await.body else {
            panic!("metrics are text")
        };
        text
    }

    /// How often a service met a limit, as the metrics tell it.
    pub async fn hits(&self, service: &str, limit: &str) -> u64 {
        hits(&self.host, service, limit).await
    }

    /// The value of a metric with these labels; 0 when it is not there.
    pub async fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        count(&self.host, name, labels).await
    }

    /// How much more memory than in quiet the host has had at most so far, in MiB.
    pub fn growth_mib(&self) -> u64 {
        self.peak.growth_kib() >> 10
    }

    /// How long the host has computed so far.
    pub fn computed(&self) -> Duration {
        Duration::from_millis(ticks(self.process).unwrap() * 1_000 / TICKS_PER_SECOND)
    }

    /// How many file descriptors the host has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process)).unwrap().count()
    }

    /// Ends the load, and checks that the innocent service was not disturbed.
    pub async fn close(self) {
        self.close_within(Duration::ZERO).await;
    }

    /// The same where the slowest percent of the innocent requests may take so long.
    pub async fn close_within(self, slow_max: Duration) {
        let Self { host, client, process, quiet, load, began, peak, _stage } = self;
        let memory_kib = peak.before_kib();
        tokio::time::sleep(BESIDE_MIN.saturating_sub(began.elapsed())).await;
        let report = load.stop().await;
        let few = &report.failures[..report.failures.len().min(5)];
        assert!(few.is_empty(), "{} of the innocent failed: {few:#?}", report.failures.len());
        let slow = slow(&report);
        let mut slow_max = slow_max.max(quiet * STRETCH_MAX).max(NOISE);
        if slow > slow_max {
            // Whoever else shares the machine may have come meanwhile: then it is not quiet now either.
            slow_max = slow_max.max(watch(&client).await * STRETCH_MAX);
        }
        // The client computes on the same processors: how long the host itself had a request tells whose the time was.
        let inside = inside(&host.log(), report.times.len());
        let told = format!(
            "p99 of {} innocent requests: {slow:?}, {inside} ms of it in the host, in quiet {quiet:?}",
            report.times.len()
        );
        eprintln!("{told}");
        assert!(slow <= slow_max, "{told}");
        memory_is_back(process, memory_kib).await;
        assert_eq!(host.process(), process);
        assert_eq!(client.get("/innocent/ok").await.status, 200);
    }
}

/// How often a service met a limit, as the metrics of its host tell it.
pub async fn hits(host: &Host, service: &str, limit: &str) -> u64 {
    count(host, "hostel_limit_hits_total", &[("service", service), ("limit", limit)]).await
}

async fn count(host: &Host, name: &str, labels: &[(&str, &str)]) -> u64 {
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let samples = samples(host, name).await;
    let meant = samples.iter().find(|sample| labels.iter().all(|label| sample.labels.contains(label)));
    meant.map_or(0, |sample| sample.value as u64)
}

/// What the slowest percent of the innocent requests take while nobody misbehaves.
async fn watch(client: &Client) -> Duration {
    let load = innocent(client);
    tokio::time::sleep(QUIET).await;
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "in quiet: {:?}", report.failures);
    slow(&report)
}

fn innocent(client: &Client) -> Load {
    Load::start(client.clone(), "/innocent/ok", PACE)
}

/// The time that 99 of 100 requests did not exceed.
fn slow(report: &Report) -> Duration {
    let mut times = report.times.clone();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// The same of the last so many innocent requests, in milliseconds, as the host itself has seen them.
fn inside(log: &str, count: usize) -> f64 {
    let lines = log.lines().rev().filter(|line| line.contains("path=\"/innocent/ok\"")).take(count);
    let times =
        lines.filter_map(|line| line.split("duration_ms=").nth(1)?.split(' ').next()?.parse::<f64>().ok());
    let mut times: Vec<_> = times.collect();
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}
