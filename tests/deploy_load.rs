//! Fifty deploys in a minute, under every kind of load that a gateway has.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use tokio::task::JoinSet;

use crate::limits::probe;
use crate::support::client::Client;
use crate::support::guests::component;
use crate::support::host::Host;
use crate::support::lasting::Lasting;
use crate::support::load::Load;
use crate::support::process::{memory_is_back, rss_kib};
use crate::support::samples::samples;
use crate::support::stamps::{Ledger, Stamped};
use crate::support::version::stamped;

/// How many deploys there are.
const DEPLOYS: u64 = 50;

/// One deploy begins so long after the one before, when that was quick enough.
const PACE: Duration = Duration::from_millis(900);

/// The quiet time before, in which the other service is measured.
const QUIET: Duration = Duration::from_secs(4);

/// Between two requests of a connection that lasts: all of them together make 200 a second.
const PAUSE: Duration = Duration::from_millis(25);

/// How many times as long as in quiet the other service may take; and what is no delay on a machine that others use.
const DELAY_MAX: u32 = 4;
const NO_DELAY: Duration = Duration::from_millis(250);

/// How long an old instance may stay once nobody asks.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the clients share.
struct Storm {
    host: Host,
    ledger: Ledger,
    is_over: AtomicBool,
    asked: AtomicU64,
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_deploys_in_a_minute_fail_no_request_and_mix_no_versions() {
    let config = probe("probe", "") + &probe("caller", "calls = [\"probe\"]") + &probe("innocent", "");
    let host = Host::start(&config).await;
    let innocent = |host: &Host| Load::start(host.client(), "/innocent/ok", Duration::from_millis(20));
    let quiet = innocent(&host);
    tokio::time::sleep(QUIET).await;
    let quiet = quiet.stop().await.time_of(990);
    let memory_kib = rss_kib(host.process());

    let storm = Storm::new(host);
    let load = innocent(&storm.host);
    let clients = storm.clone().clients();
    let good = fs::read(component("probe")).unwrap();
    let admin = storm.host.admin();
    let (started, mut slowest) = (Instant::now(), Duration::ZERO);
    let mut active = 1;
    for number in 1..=DEPLOYS {
        // By turns a new component, which is compiled, and the one before the last, whose machine code is there.
        let mark = if number.is_multiple_of(2) { number / 2 - 1 } else { number.div_ceil(2) };
        let bytes = if mark == 0 { good.clone() } else { stamped(&good, mark) };
        let begun = Instant::now();
        active = deploy(&admin, "probe", bytes).await;
        storm.ledger.changed("probe", active, mark, begun);
        slowest = slowest.max(begun.elapsed());
        tokio::time::sleep(PACE.saturating_sub(begun.elapsed())).await;
    }
    let took = started.elapsed();
    storm.is_over.store(true, Ordering::Relaxed);
    let failures: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    let report = load.stop().await;
    let (answers, versions) = storm.ledger.counts();
    let busy = report.time_of(990);
    println!(
        "{DEPLOYS} deploys in {took:?}, the slowest {slowest:?}; {answers} answers of {versions} versions; \
         p99 of the other service {quiet:?} in quiet, {busy:?} meanwhile"
    );
    assert!(
        failures.is_empty(),
        "{} of {answers} failed: {:#?}",
        failures.len(),
        &failures[..failures.len().min(10)]
    );
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let faults = storm.ledger.faults();
    assert!(
        faults.is_empty(),
        "{} answers of a wrong version: {:#?}",
        faults.len(),
        &faults[..faults.len().min(10)]
    );
    assert!(versions >= DEPLOYS as usize / 2, "only {versions} versions were asked");
    assert!(busy <= NO_DELAY.max(quiet * DELAY_MAX), "{busy:?} instead of {quiet:?}");
    only_the_active_stays(&storm.host, active).await;
    memory_is_back(storm.host.process(), memory_kib).await;
    // Each new component takes a second of processor time, which a busy machine makes longer.
    println!("{DEPLOYS} deploys in {took:?}");
}

/// Deploys by the admin API; answers the number of the version.
pub async fn deploy(admin: &Client, service: &str, bytes: Vec<u8>) -> u64 {
    let request = admin.request(Method::POST, &format!("/services/{service}/versions")).body(bytes);
    let answer = admin.send(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["version"]["number"].as_u64().unwrap()
}

/// Waits until no other version has an instance.
async fn only_the_active_stays(host: &Host, active: u64) {
    let deadline = Instant::now() + PATIENCE;
    let label = format!("version=\"v{active}\"");
    loop {
        let all = samples(host, "hostel_instances").await;
        let old: Vec<_> =
            all.iter().filter(|it| it.labels.contains("\"probe\"") && !it.labels.contains(&label)).collect();
        if old.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "old instances stay: {old:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Storm {
    fn new(host: Host) -> Arc<Self> {
        let ledger = Ledger::default();
        for service in ["probe", "caller"] {
            ledger.changed(service, 1, 0, Instant::now());
        }
        Arc::new(Self { host, ledger, is_over: AtomicBool::new(false), asked: AtomicU64::new(0) })
    }

    /// Every kind of client; each answers what failed.
    fn clients(self: Arc<Self>) -> JoinSet<Vec<String>> {
        let mut clients = JoinSet::new();
        for _ in 0..2 {
            clients.spawn(self.clone().lasting(false));
            clients.spawn(self.clone().lasting(true));
        }
        for _ in 0..4 {
            clients.spawn(self.clone().again_and_again(Self::stream));
        }
        for _ in 0..2 {
            clients.spawn(self.clone().again_and_again(Self::upload));
            clients.spawn(self.clone().again_and_again(Self::relayed));
        }
        clients
    }

    fn next_id(&self) -> String {
        format!("r{}", self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// Request after request on one connection, which must last.
    async fn lasting(self: Arc<Self>, is_two: bool) -> Vec<String> {
        let address = self.host.gateway_address();
        let mut connection = if is_two { Lasting::two(address).await } else { Lasting::one(address).await };
        let mut failures = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let (id, asked) = (self.next_id(), Instant::now());
            let body =
                self.asked.load(Ordering::Relaxed).is_multiple_of(2).then(|| format!("body of {id}\n"));
            let lines = 1 + usize::from(body.is_some());
            let heard = match connection.ask(&format!("/probe/stamp?id={id}"), body.clone()).await {
                Ok(heard) => heard,
                Err(broken) => return vec![format!("the connection did not last: {broken}")],
            };
            if let Err(fault) = self.judge(&heard.text, heard.status, &id, lines, body, asked, heard.begun) {
                failures.push(fault);
            }
            tokio::time::sleep(PAUSE).await;
        }
        failures.extend(connection.end().await.err());
        failures
    }

    async fn again_and_again<F>(self: Arc<Self>, ask: fn(Arc<Self>) -> F) -> Vec<String>
    where
        F: Future<Output = Result<(), String>>,
    {
        let mut failures = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            failures.extend(ask(self.clone()).await.err());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        failures
    }

    /// A response of a second and a half, longer than a deploy.
    async fn stream(self: Arc<Self>) -> Result<(), String> {
        let (id, asked) = (self.next_id(), Instant::now());
        let path = format!("/probe/stamp?id={id}&lines=30&ms=50");
        let response = self.host.client().request(Method::GET, &path).send().await.map_err(told)?;
        let (status, begun) = (response.status().as_u16(), Instant::now());
        let text = response.text().await.map_err(told)?;
        self.judge(&text, status, &id, 30, None, asked, begun)
    }

    /// A request body of a second, which comes back.
    async fn upload(self: Arc<Self>) -> Result<(), String> {
        let (id, asked) = (self.next_id(), Instant::now());
        let lines: Vec<String> = (0..20).map(|line| format!("line {line} of {id}\n")).collect();
        let sent = lines.concat();
        let body = futures::stream::unfold(lines.into_iter(), |mut lines| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            lines.next().map(|line| (Ok::<_, std::io::Error>(Bytes::from(line)), lines))
        });
        let request = self.host.client().request(Method::POST, &format!("/probe/stamp?id={id}"));
        let response = request.body(reqwest::Body::wrap_stream(body)).send().await.map_err(told)?;
        let (status, begun) = (response.status().as_u16(), Instant::now());
        let text = response.text().await.map_err(told)?;
        self.judge(&text, status, &id, 2, Some(sent), asked, begun)
    }

    /// A call from service to service.
    async fn relayed(self: Arc<Self>) -> Result<(), String> {
        let (id, asked) = (self.next_id(), Instant::now());
        let path = format!("/caller/relay?name=probe&id={id}&ms=20");
        let client = self.host.client();
        let answer = client.try_send(client.request(Method::GET, &path)).await.map_err(told)?;
        let text = answer.body.as_str().unwrap_or_default();
        if answer.status != 200 {
            return Err(format!("{answer:?}"));
        }
        let mut stamped = Stamped::read(text, &id)?;
        let outer = [stamped.stamps.remove(0), stamped.stamps.pop().unwrap()].to_vec();
        let (caller, _) = Stamped { stamps: outer, rest: String::new() }.whole(2)?;
        let (called, _) = stamped.whole(2)?;
        if (&*caller.service, &*called.service) != ("caller", "probe") {
            return Err(format!("{id} was answered by {caller:?} and {called:?}"));
        }
        let answered = Instant::now();
        self.ledger.saw(caller, asked, answered);
        self.ledger.saw(called, asked, answered);
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "one answer, whatever client has it")]
    fn judge(
        &self,
        text: &str,
        status: u16,
        id: &str,
        lines: usize,
        body: Option<String>,
        asked: Instant,
        begun: Instant,
    ) -> Result<(), String> {
        if status != 200 {
            return Err(format!("{id}: {status} {text}"));
        }
        let (stamp, rest) = Stamped::read(text, id)?.whole(lines)?;
        if stamp.service != "probe" || rest != body.unwrap_or_default() {
            return Err(format!("{id} got {text:?}"));
        }
        self.ledger.saw(stamp, asked, begun);
        Ok(())
    }
}

fn told(error: reqwest::Error) -> String {
    format!("{error:?}")
}
