//! Load, calls between services, deploys, traps and limits all at once, in an order that a seed gives: each request has
//! one answer of the right service and version, and afterwards nothing is left of any of them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::limits::{MISDEEDS, probe};
use crate::support::client::Answer;
use crate::support::guests::component;
use crate::support::host::Host;
use crate::support::lasting::Lasting;
use crate::support::samples::samples;
use crate::support::stamps::{Ledger, Stamped};
use crate::support::version::{replaced, stamped};

/// The services, each of which calls the others.
const SERVICES: [&str; 3] = ["alpha", "beta", "gamma"];

/// Outgoing calls of one service at a time: few, so that this limit is met and what leaks of it is seen.
const OUTGOING: usize = 4;

/// Who asks, and how long.
const CLIENTS: u64 = 12;
const TIME: Duration = Duration::from_secs(30);

/// A compiler is nice to those who ask: beside a storm it takes its time.
const DEPLOY_TIME_MAX: Duration = Duration::from_secs(300);

/// An instance stays for half a minute without work; then everything has to be gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// The environment variable that repeats a storm.
const SEED: &str = "STORM_SEED";

/// What all share.
struct Storm {
    host: Host,
    ledger: Ledger,
    is_over: AtomicBool,
    asked: AtomicU64,
    /// How often there was which answer to what.
    answers: Mutex<BTreeMap<String, u64>>,
    /// The status of each request whose answer was read to its end, by the id that the host gave it.
    heard: Mutex<BTreeMap<String, u16>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_one_answer_and_nothing_is_left_of_a_storm() {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("to repeat it: {SEED}={seed}");
    let lines = format!(
        "calls = [\"alpha\", \"beta\", \"gamma\"]\ninstances = {{ max = 6 }}\n\
         limits = {{ memory = \"32MiB\", time = \"3s\", cpu = \"300ms\", outgoing = {OUTGOING} }}"
    );
    let services: String = SERVICES
        .iter()
        .map(|name| probe(name, &lines.replace(&format!("\"{name}\""), "\"innocent\"")))
        .collect();
    let config = format!("access-log = \"access.log\"\n{services}{}", probe("innocent", ""));
    let storm = Arc::new(Storm {
        host: Host::start(&config).await,
        ledger: Ledger::default(),
        is_over: AtomicBool::new(false),
        asked: AtomicU64::new(0),
        answers: Mutex::default(),
        heard: Mutex::default(),
    });
    for service in SERVICES {
        storm.ledger.changed(service, 1, 0, Instant::now());
    }
    let mut clients = JoinSet::new();
    for number in 1..=CLIENTS {
        clients.spawn(storm.clone().client(StdRng::seed_from_u64(seed ^ (number << 32))));
    }
    storm.deploys(StdRng::seed_from_u64(seed)).await;
    storm.is_over.store(true, Ordering::Relaxed);
    let failures: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    println!("{:#?} {:?}", storm.answers.lock().unwrap(), storm.ledger.counts());
    assert!(failures.is_empty(), "{} wrong: {:#?}", failures.len(), &failures[..failures.len().min(10)]);
    storm.was_one();
    let faults = storm.ledger.faults();
    assert!(faults.is_empty(), "{} of a wrong version: {:#?}", faults.len(), &faults[..faults.len().min(10)]);
    storm.each_has_one_line().await;
    storm.all_calls_are_free_again().await;
    storm.nothing_is_left().await;
}

impl Storm {
    fn note(&self, what: &str, status: u16) {
        *self.answers.lock().unwrap().entry(format!("{what} {status}")).or_default() += 1;
    }

    /// Everything that a storm is made of has happened, and much of it ended well.
    fn was_one(&self) {
        let answers = self.answers.lock().unwrap();
        // A compiler is nice to all else: in a storm few deploys come to their end.
        for (good, least) in [("stamp 200", 10), ("relay 200", 10), ("deploy 200", 1)] {
            assert!(answers.get(good) >= Some(&least), "{good}: {answers:#?}");
        }
        for (misdeed, status) in MISDEEDS {
            assert!(answers.contains_key(&format!("{misdeed} {status}")), "no {misdeed}: {answers:#?}");
        }
    }

    /// New versions, old ones, bad ones and rollbacks, one after the other.
    async fn deploys(&self, mut random: StdRng) {
        let good = fs::read(component("probe")).unwrap();
        let unfit = replaced(&good, "probe-health=well  ", "probe-health=trap  ");
        let admin = self.host.admin();
        let (mut marks, mut mark) = (BTreeMap::from(SERVICES.map(|name| ((name, 1), 0))), 0);
        let started = Instant::now();
        while started.elapsed() < TIME {
            let service = SERVICES[random.random_range(0..SERVICES.len())];
            let begun = Instant::now();
            let version = match random.random_range(0..10) {
                0..5 => {
                    mark += 1;
                    let version = self.deploy(service, stamped(&good, mark)).await;
                    version.inspect(|version| _ = marks.insert((service, *version), mark));
                    version
                }
                5 => {
                    let of: Vec<u64> =
                        marks.iter().filter(|((of, _), _)| *of == service).map(|(_, mark)| *mark).collect();
                    let again = of[random.random_range(0..of.len())];
                    self.deploy(service, stamped(&good, again)).await
                }
                6 => {
                    let answer = self.offer(service, unfit.clone()).await;
                    assert_eq!(answer.status, 422, "{answer:?}");
                    None
                }
                _ => {
                    let answer = admin.post(&format!("/services/{service}/rollback"), &json!({})).await;
                    assert!([200, 404].contains(&answer.status), "{answer:?}");
                    answer.body["version"]["number"].as_u64()
                }
            };
            if let Some(version) = version {
                self.ledger.changed(service, version, marks[&(service, version)], begun);
            }
            tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
        }
    }

    async fn offer(&self, service: &str, bytes: Vec<u8>) -> Answer {
        let admin = self.host.admin();
        let request = admin.request(Method::POST, &format!("/services/{service}/versions"));
        admin.send(request.timeout(DEPLOY_TIME_MAX).body(bytes)).await
    }

    /// Deploys what is good; answers its version.
    async fn deploy(&self, service: &str, bytes: Vec<u8>) -> Option<u64> {
        let answer = self.offer(service, bytes).await;
        self.note("deploy", answer.status);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["version"]["number"].as_u64()
    }

    /// One client, on a connection that only a cut response may end; answers what was wrong.
    async fn client(self: Arc<Self>, mut random: StdRng) -> Vec<String> {
        let is_two = random.random();
        let mut faults = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let address = self.host.gateway_address();
            let mut connection =
                if is_two { Lasting::two(address).await } else { Lasting::one(address).await };
            loop {
                match self.ask(&mut connection, &mut random).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(fault) => faults.push(fault),
                }
                if self.is_over.load(Ordering::Relaxed) || faults.len() > 20 {
                    faults.extend(connection.end().await.err());
                    return faults;
                }
                if connection.is_closing() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(random.random_range(0..15))).await;
            }
        }
        faults
    }

    /// Asks for something; answers whether the connection goes on.
    async fn ask(&self, connection: &mut Lasting, random: &mut StdRng) -> Result<bool, String> {
        let id = format!("r{}", self.asked.fetch_add(1, Ordering::Relaxed));
        let service = SERVICES[random.random_range(0..SERVICES.len())];
        match random.random_range(0..100) {
            0..50 => self.stamp(connection, random, &id, service).await,
            50..80 => self.relay(connection, random, &id, service).await,
            80..85 => self.give_up(random, &id, service).await,
            85..88 => {
                // The response is cut, and with HTTP/1.1 the connection.
                let cut = connection.ask(&format!("/{service}/late-trap"), None).await;
                match cut {
                    Ok(heard) if heard.status == 200 => Err(format!("{id}: a cut response ends well")),
                    Ok(heard) => Ok(self.refused("late-trap", &heard.request_id, heard.status)),
                    Err(_) => Ok(false),
                }
            }
            _ => {
                let (misdeed, status) = MISDEEDS[random.random_range(0..MISDEEDS.len())];
                let heard = connection.ask(&format!("/{service}/{misdeed}"), None).await?;
                self.refused(misdeed, &heard.request_id, heard.status);
                // A loop may meet either of its two limits.
                let is_told = [status, 503, 504].contains(&heard.status);
                if is_told { Ok(true) } else { Err(format!("{misdeed}: {heard:?}")) }
            }
        }
    }

    async fn stamp(
        &self,
        on: &mut Lasting,
        random: &mut StdRng,
        id: &str,
        service: &str,
    ) -> Result<bool, String> {
        let (lines, ms) = (random.random_range(1..6), random.random_range(0..30));
        let body = random
            .random_bool(0.3)
            .then(|| format!("{id} has sent this\n").repeat(random.random_range(1..2000)));
        let path = format!("/{service}/stamp?id={id}&lines={lines}&ms={ms}");
        let asked = Instant::now();
        let heard = on.ask(&path, body.clone()).await?;
        self.refused("stamp", &heard.request_id, heard.status);
        match heard.status {
            200 => {
                let all = lines + usize::from(body.is_some());
                let (stamp, rest) = Stamped::read(&heard.text, id)?.whole(all)?;
                if stamp.service != service || rest != body.unwrap_or_default() {
                    return Err(format!("{id} to {service} was answered by {stamp:?} with {rest:?}"));
                }
                self.ledger.saw(stamp, asked, heard.begun);
                Ok(true)
            }
            // Its circuit is open or all its instances are busy; or the machine is slower than its time.
            503 | 504 => Ok(true),
            _ => Err(format!("{id} to {service}: {heard:?}")),
        }
    }

    async fn relay(
        &self,
        on: &mut Lasting,
        random: &mut StdRng,
        id: &str,
        service: &str,
    ) -> Result<bool, String> {
        let others: Vec<_> = SERVICES.into_iter().filter(|other| *other != service).collect();
        let name = others[random.random_range(0..others.len())];
        let path = format!("/{service}/relay?name={name}&id={id}&ms={}", random.random_range(0..30));
        let asked = Instant::now();
        let heard = on.ask(&path, None).await?;
        self.refused("relay", &heard.request_id, heard.status);
        match heard.status {
            200 => {
                let mut stamps = Stamped::read(&heard.text, id)?.stamps;
                if stamps.len() != 4 || stamps[0] != stamps[3] || stamps[1] != stamps[2] {
                    return Err(format!("{id}: {heard:?}"));
                }
                let (called, caller) = (stamps.remove(1), stamps.remove(0));
                if (&*caller.service, &*called.service) != (service, name) {
                    return Err(format!(
                        "{id} by {service} to {name} was answered by {caller:?} and {called:?}"
                    ));
                }
                self.ledger.saw(caller, asked, heard.begun);
                self.ledger.saw(called, asked, Instant::now());
                Ok(true)
            }
            // The service that was called may fail as well; its caller's own limits hold too.
            500 | 502 | 503 | 504 => Ok(true),
            _ => Err(format!("{id} by {service} to {name}: {heard:?}")),
        }
    }

    /// A client that does not wait for the end.
    async fn give_up(&self, random: &mut StdRng, id: &str, service: &str) -> Result<bool, String> {
        let client = self.host.client();
        let path = format!("/{service}/relay?name=innocent&id={id}&ms=200");
        let patience = Duration::from_millis(random.random_range(1..150));
        let _ = client.request(Method::GET, &path).timeout(patience).send().await;
        Ok(true)
    }

    /// Notes an answer; the connection goes on after each.
    fn refused(&self, what: &str, request_id: &str, status: u16) -> bool {
        self.note(what, status);
        let before = self.heard.lock().unwrap().insert(request_id.to_owned(), status);
        assert_eq!(before, None, "{request_id} was given twice");
        true
    }

    /// The access log has one line of each request, with the answer that its client got.
    async fn each_has_one_line(&self) {
        let heard = self.heard.lock().unwrap().clone();
        let deadline = Instant::now() + PATIENCE;
        let lines = loop {
            let text = fs::read_to_string(self.host.path("access.log")).unwrap();
            let mut lines = BTreeMap::<String, Vec<Value>>::new();
            for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
                lines.entry(line["request"].as_str().unwrap().to_owned()).or_default().push(line);
            }
            if heard.keys().all(|id| lines.contains_key(id)) {
                break lines;
            }
            assert!(Instant::now() < deadline, "requests stand in no line of the access log");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        for (id, of) in &lines {
            assert_eq!(of.len(), 1, "{id} ended more than once: {of:?}");
        }
        for (id, status) in &heard {
            assert_eq!(lines[id][0]["status"], *status, "{:?}", lines[id]);
        }
    }

    /// As many outgoing calls can be made at a time as there may be, and no more: none is still counted.
    async fn all_calls_are_free_again(&self) {
        let client = self.host.client();
        for service in SERVICES {
            let deadline = Instant::now() + PATIENCE;
            while client.get(&format!("/{service}/ok")).await.status != 200 {
                assert!(Instant::now() < deadline, "the circuit of {service} stays open");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let relays = |count: usize| {
                let relays = (0..count).map(|number| {
                    let (client, path) =
                        (client.clone(), format!("/{service}/relay?name=innocent&id=x{number}&ms=1000"));
                    async move { client.get(&path).await.status }
                });
                futures::future::join_all(relays)
            };
            // More than the limit first: a control that it is one. An overloaded host lets fewer calls in at a time,
            // which then meet no limit; soon it lets in more.
            let statuses = loop {
                let statuses = relays(OUTGOING + 2).await;
                if statuses.iter().any(|status| *status != 200) {
                    break statuses;
                }
                assert!(Instant::now() < deadline + PATIENCE, "{service} meets no limit of outgoing calls");
            };
            let served = statuses.iter().filter(|status| **status == 200).count();
            // One that comes late may find another ended; one that is still counted would leave fewer.
            assert!(served >= OUTGOING, "{service}: {statuses:?}");
            let statuses = relays(OUTGOING).await;
            assert!(statuses.iter().all(|status| *status == 200), "{service}: {statuses:?}");
        }
    }

    /// Instances, memory and queues are back at nothing, and old versions are forgotten.
    async fn nothing_is_left(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut left = Vec::new();
            for name in
                ["hostel_instances", "hostel_instances_busy", "hostel_queue_length", "hostel_memory_bytes"]
            {
                let found = samples(&self.host, name).await;
                assert!(found.len() >= SERVICES.len(), "{name} is not told: {found:?}");
                left.extend(
                    found
                        .iter()
                        .filter(|sample| sample.value != 0.0)
                        .map(|sample| format!("{name} {sample:?}")),
                );
                // One version of each service, or no version where it is told of the service.
                if found.len() > SERVICES.len() + 1 {
                    left.push(format!("old versions: {found:?}"));
                }
            }
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "this stays: {left:#?}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}
