//! Promise 20: more work than the processors can do is refused early, so that what is accepted is done.

use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::task::JoinSet;

use crate::guests_endless::{computed, rounds_of};
use crate::support::client::Client;
use crate::support::host::Host;
use crate::support::scene::{service, stage};

/// What one request computes: 5 ms. To refuse one costs a host and a client that are built for debugging eight times as
/// much, of the same two cores; other tests use these too, so there the work is twelve times as large.
const WORK: Duration = Duration::from_millis(if cfg!(debug_assertions) { 60 } else { 5 });

/// How many times as many requests come as can be served.
const FACTOR: f64 = 10.0;

/// How long each phase is.
const PHASE: Duration = Duration::from_secs(8);

/// How soon who is refused is told: 100 ms. Host, test and whoever else shares the machine compute on the same two
/// cores, and this host is built for debugging: each of the many refusals costs it three times as much. So 300 ms
/// here, and of ninety-five in a hundred.
const REFUSED_TIME_MAX: Duration = Duration::from_millis(300);

/// How soon all is as before.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(5);

/// What came of the requests.
#[derive(Debug, Default)]
struct Seen {
    served: Vec<Duration>,
    /// How many were served before the last requests came.
    in_time: u32,
    refused: Vec<Duration>,
    other: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn at_ten_times_its_capacity_a_service_does_most_of_what_it_can() {
    let _stage = stage().await;
    let host = Host::start(&service("busy", "misbehaving", "")).await;
    let client = host.client();
    let rounds = rounds_of(&client, "busy", WORK).await;
    let capacity = computed(&client, "busy", rounds, 4, PHASE).await;
    let path = format!("/busy/compute?rounds={rounds}");
    let admin = tokio::spawn(admin_times(host.admin(), PHASE));
    let seen = flood(&client, &path, capacity * FACTOR).await;
    let goodput = f64::from(seen.in_time) / PHASE.as_secs_f64();
    eprintln!(
        "capacity {capacity:.0} a second, goodput {goodput:.0}, {} refused, p95 {:?}, p99 {:?}; served p50 {:?}, p99 {:?}",
        seen.refused.len(),
        quantile(&seen.refused, 95),
        quantile(&seen.refused, 99),
        quantile(&seen.served, 50),
        quantile(&seen.served, 99)
    );
    let recovered = recovery(&client, &path).await;
    // Whoever else shares the machine changes what it can do; the less of both counts.
    let after = computed(&client, "busy", rounds, 4, PHASE).await;
    eprintln!("capacity {after:.0} a second afterwards");
    let capacity = capacity.min(after);
    let admin = admin.await.unwrap();
    eprintln!("admin p95 {:?} of {}, recovery {recovered:?}", quantile(&admin, 95), admin.len());
    assert!(seen.other.is_empty(), "{:?}", &seen.other[..seen.other.len().min(5)]);
    assert!(!seen.refused.is_empty(), "nobody was refused: it was no overload");
    assert!(goodput >= capacity * 0.8, "goodput {goodput:.0} of {capacity:.0}");
    let refused = quantile(&seen.refused, 95);
    assert!(refused < REFUSED_TIME_MAX, "refused after {refused:?}");
    assert!(admin.len() > 10, "the admin listener answered {} times", admin.len());
    assert!(recovered < RECOVERY_TIME_MAX, "{recovered:?}");
}

/// Requests at this rate, whether or not those before have been answered.
async fn flood(client: &Client, path: &str, rate: f64) -> Seen {
    let began = Instant::now();
    let mut requests = JoinSet::new();
    let mut sent = 0.0;
    while began.elapsed() < PHASE {
        while sent < began.elapsed().as_secs_f64() * rate {
            sent += 1.0;
            let request = client.request(Method::GET, path);
            requests.spawn(async move {
                let asked = Instant::now();
                let result = request.send().await;
                (asked.elapsed(), began.elapsed(), result.map(|response| response.status().as_u16()))
            });
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut seen = Seen::default();
    while let Some(done) = requests.join_next().await {
        match done.unwrap() {
            (time, at, Ok(200)) => {
                seen.served.push(time);
                seen.in_time += u32::from(at <= PHASE);
            }
            (time, _, Ok(503)) => seen.refused.push(time),
            (.., other) => seen.other.push(format!("{other:?}")),
        }
    }
    seen
}

/// How long the admin listener takes to answer, again and again.
async fn admin_times(admin: Client, time: Duration) -> Vec<Duration> {
    let until = Instant::now() + time;
    let mut times = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        assert_eq!(admin.get("/metrics").await.status, 200);
        times.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    times
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
