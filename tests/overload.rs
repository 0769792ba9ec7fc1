//! Promise 20: more work than the processors can do is refused early, so that what is accepted is done.

use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::task::JoinSet;

use crate::guests_endless::{computed, rounds_of};
use crate::support::client::Client;
use crate::support::host::Host;
use crate::support::process::{TICKS_PER_SECOND, processors, ticks, ticks_of_others};
use crate::support::scene::{service, stage};

/// What one request computes: 5 ms. To refuse one costs a host and a client that are built for debugging eight times as
/// much, of the same two cores; other tests use these too, so there the work is twelve times as large.
const WORK: Duration = Duration::from_millis(if cfg!(debug_assertions) { 60 } else { 5 });

/// How many times as many requests come as can be served.
const FACTOR: f64 = 10.0;

/// How long each phase is.
const PHASE: Duration = Duration::from_secs(8);

/// When what is served of a flood counts: as much has begun before as is unfinished behind.
const STEADY: Duration = Duration::from_secs(2);

/// How much a service does under overload of what it does alone: in the time that others left it of the processors, and
/// for the processor time that it took.
const GOODPUT_MIN: f64 = 0.8;

/// How many times as long as alone a call that was let in may take, once the host has seen how long calls take.
const STRETCH_MAX: f64 = 4.0;

/// How soon ninety-five in a hundred of those who are refused are told: whoever else shares the machine may stop host or
/// test for longer now and then.
const REFUSED_TIME_MAX: Duration = Duration::from_millis(100);

/// How soon all is as before.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(5);

/// What came of the requests.
#[derive(Debug, Default)]
struct Seen {
    served: Vec<Duration>,
    /// What was served between `STEADY` and the last requests.
    steady: Rate,
    refused: Vec<Duration>,
    other: Vec<String>,
}

/// What was computed by the clock, by a clock that stands still while others have the processors, and for the processor
/// time that this took the host.
#[derive(Debug, Default, Clone, Copy)]
struct Rate {
    per_second: f64,
    per_free_second: f64,
    per_tick: f64,
}

/// Where the clock stood, and the processor times of the host and of all others.
struct Mark {
    at: Instant,
    host: u64,
    others: u64,
}

impl Mark {
    fn of(host: &Host) -> Self {
        let own = [host.process(), std::process::id()];
        Self { at: Instant::now(), host: ticks(own[0]).unwrap(), others: ticks_of_others(&own) }
    }

    /// The rate between this and a later one.
    fn rate(&self, later: &Self, computed: f64) -> Rate {
        let seconds = (later.at - self.at).as_secs_f64();
        let others = later.others.saturating_sub(self.others) as f64 / TICKS_PER_SECOND as f64;
        Rate {
            per_second: computed / seconds,
            per_free_second: computed / (seconds - others / processors() as f64),
            per_tick: computed / (later.host - self.host) as f64,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_ten_times_its_capacity_a_service_does_most_of_what_it_can() {
    let _stage = stage().await;
    let host = Host::start(&service("busy", "misbehaving", "")).await;
    let client = host.client();
    let rounds = rounds_of(&client, "busy", WORK).await;
    let before = alone(&host, rounds).await;
    let path = format!("/busy/compute?rounds={rounds}");
    let admin = tokio::spawn(admin_times(host.admin(), PHASE));
    let seen = flood(&host, &path, before.per_second * FACTOR).await;
    let goodput = seen.steady;
    eprintln!(
        "alone {before:.2?}, goodput {goodput:.2?}, {} refused, p95 {:?}, p99 {:?}; served p50 {:?}, p99 {:?}",
        seen.refused.len(),
        quantile(&seen.refused, 95),
        quantile(&seen.refused, 99),
        quantile(&seen.served, 50),
        quantile(&seen.served, 99)
    );
    let recovered = recovery(&client, &path).await;
    // Whoever else shares the machine changes what it can do; the less of both counts.
    let after = alone(&host, rounds).await;
    eprintln!("alone {after:.2?} afterwards");
    let per_second = before.per_free_second.min(after.per_free_second);
    let per_tick = before.per_tick.min(after.per_tick);
    let (admin, mut busy) = admin.await.unwrap();
    // The later half: at first nobody knows how long a call takes.
    busy.drain(..busy.len() / 2);
    busy.sort_unstable();
    let busy = busy[busy.len() / 2];
    eprintln!(
        "admin p95 {:?} of {}, {busy} calls at a time, recovery {recovered:?}",
        quantile(&admin, 95),
        admin.len()
    );
    assert!(seen.other.is_empty(), "{:?}", &seen.other[..seen.other.len().min(5)]);
    assert!(!seen.refused.is_empty(), "nobody was refused: it was no overload");
    assert!(goodput.per_tick >= per_tick * GOODPUT_MIN, "{goodput:.2?} of {per_tick:.2} a tick");
    let enough = goodput.per_free_second >= per_second * GOODPUT_MIN;
    assert!(enough, "{goodput:.2?} of {per_second:.1} a free second");
    let refused = quantile(&seen.refused, 95);
    assert!(refused < REFUSED_TIME_MAX, "refused after {refused:?}");
    let busy_max = (processors() as f64 * STRETCH_MAX) as u64;
    assert!(busy <= busy_max, "{busy} calls share {} processors", processors());
    assert!(admin.len() > 10, "the admin listener answered {} times", admin.len());
    assert!(recovered < RECOVERY_TIME_MAX, "{recovered:?}");
}

/// What the service can do where nobody asks for more.
async fn alone(host: &Host, rounds: u64) -> Rate {
    let before = Mark::of(host);
    let per_second = computed(&host.client(), "busy", rounds, 4, PHASE).await;
    before.rate(&Mark::of(host), per_second * PHASE.as_secs_f64())
}

/// Requests at this rate, whether or not those before have been answered.
async fn flood(host: &Host, path: &str, rate: f64) -> Seen {
    let client = host.client();
    let began = Instant::now();
    let mut requests = JoinSet::new();
    let mut sent = 0.0;
    let mut steady = None;
    while began.elapsed() < PHASE {
        if began.elapsed() >= STEADY {
            steady.get_or_insert_with(|| Mark::of(host));
        }
        while sent < began.elapsed().as_secs_f64() * rate {
            sent += 1.0;
            let request = client.request(Method::GET, path);
            requests.spawn(async move {
                let asked = Instant::now();
                let result = request.send().await;
                (asked, Instant::now(), result.map(|response| response.status().as_u16()))
            });
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (from, to) = (steady.unwrap(), Mark::of(host));
    let mut seen = Seen::default();
    let mut served = 0;
    while let Some(done) = requests.join_next().await {
        match done.unwrap() {
            (asked, told, Ok(200)) => {
                seen.served.push(told - asked);
                served += u32::from((from.at..to.at).contains(&told));
            }
            (asked, told, Ok(503)) => seen.refused.push(told - asked),
            (.., other) => seen.other.push(format!("{other:?}")),
        }
    }
    seen.steady = from.rate(&to, served.into());
    seen
}

/// How long the admin listener takes to answer, again and again; and how many instances are busy, as it tells.
async fn admin_times(admin: Client, time: Duration) -> (Vec<Duration>, Vec<u64>) {
    let until = Instant::now() + time;
    let (mut times, mut busy) = (Vec::new(), Vec::new());
    while Instant::now() < until {
        let began = Instant::now();
        let answer = admin.get("/metrics").await;
        assert_eq!(answer.status, 200);
        times.push(began.elapsed());
        let mut lines = answer.body.as_str().unwrap().lines();
        let line = lines.rfind(|line| line.starts_with("hostel_instances_busy{"));
        busy.extend(line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (times, busy)
}

/// How long until twenty requests in a row are served at once.
async fn recovery(client: &Client, path: &str) -> Duration {
    let began = Instant::now();
    let mut in_a_row = 0;
    let mut since = began.elapsed();
    while in_a_row < 20 {
        let asked = Instant::now();
        let status = client.get(path).await.status;
        if status == 200 && asked.elapsed() < WORK * 12 {
            in_a_row += 1;
        } else {
            in_a_row = 0;
            since = began.elapsed();
            assert!(since < Duration::from_secs(30), "it does not recover: {status}");
        }
    }
    since
}

fn quantile(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
}
