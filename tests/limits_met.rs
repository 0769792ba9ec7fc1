//! Each limit of a service: what meets it ends so, and shows under the name of the limit wherever operators look.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::limits::probe;
use crate::support::client::Client;
use crate::support::guests::component;
use crate::support::host::Host;
use crate::support::scene::{hits, service};

/// How long a limit may take to show.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a busy machine and a build for debugging add to a time.
const NOISE: Duration = Duration::from_millis(600);

/// How long calls of an old version may go on: longer than the command of the deploy takes to end.
const DRAIN: Duration = Duration::from_secs(3);

/// A long line: as much as a guest may print at once.
const LONG_LINE_BYTES: usize = 4_000;

/// A limit, and what meets it.
struct Meeting {
    limit: &'static str,
    /// The component, and the limits of its service.
    package: &'static str,
    lines: &'static str,
    /// What is asked for, this many times at once.
    path: &'static str,
    times: usize,
    /// What one of these requests is answered; none where every one is served.
    status: Option<u16>,
}

const MEETINGS: &[Meeting] = &[
    Meeting {
        limit: "memory",
        package: "misbehaving",
        lines: "limits = { memory = \"8MiB\" }",
        path: "hoard?what=memory",
        times: 1,
        status: Some(502),
    },
    Meeting {
        limit: "service-memory",
        package: "misbehaving",
        lines: "limits = { memory = \"16MiB\", service-memory = \"16MiB\" }",
        path: "hoard?what=memory&count=9000&ms=1000",
        times: 2,
        status: Some(502),
    },
    Meeting {
        limit: "time",
        package: "concurrent",
        lines: "limits = { time = \"300ms\" }",
        path: "wait?ms=60000",
        times: 1,
        status: Some(504),
    },
    Meeting {
        limit: "cpu",
        package: "misbehaving",
        lines: "limits = { cpu = \"100ms\" }",
        path: "compute",
        times: 1,
        status: Some(504),
    },
    Meeting {
        limit: "idle",
        package: "concurrent",
        lines: "limits = { idle = \"300ms\" }",
        path: "drip?count=2&ms=60000",
        times: 1,
        // It had begun.
        status: Some(0),
    },
    Meeting {
        limit: "resources",
        package: "misbehaving",
        lines: "limits = { resources = 100 }",
        path: "hoard?what=pollables",
        times: 1,
        status: Some(502),
    },
    Meeting {
        limit: "outgoing",
        package: "misbehaving",
        lines: "calls = [\"slow\"]\nlimits = { outgoing = 2 }",
        path: "send?authority=slow.internal&path=/slow/slow?ms=500&count=3&ms=100",
        times: 1,
        status: None,
    },
    Meeting {
        limit: "instances",
        package: "misbehaving",
        lines: "instances = { max = 1 }\nlimits = { wait = \"200ms\" }",
        path: "hoard?what=memory&count=1&ms=1500",
        times: 2,
        status: Some(503),
    },
    Meeting {
        limit: "log-lines",
        package: "misbehaving",
        lines: "limits = { log-lines = 10 }",
        path: "flood?count=100",
        times: 1,
        status: None,
    },
];

/// GET; the status 0 where the response breaks off.
async fn status(client: &Client, path: &str) -> u16 {
    let request = client.request(Method::GET, path).timeout(PATIENCE);
    client.try_send(request).await.map_or(0, |answer| answer.status)
}

/// Waits until the limit shows: in the metrics, in the log of its service, and in what the admin API tells of that.
async fn is_told(host: &Host, service: &str, limit: &str) {
    host.logged(&format!("the limit `{limit}` was reached, 1 times so far service=\"{service}\"")).await;
    assert!(hits(host, service, limit).await >= 1, "{limit} is not in the metrics");
    let shown = host.admin().get(&format!("/services/{service}")).await.body;
    assert!(shown["limits_met"][limit].as_u64() >= Some(1), "{limit}: {shown}");
    let (_, table, _) = host.run(&["services"]);
    let row =
        table.lines().find(|line| line.trim_start().starts_with(&format!("{service} "))).unwrap_or_default();
    assert!(row.contains(limit), "{limit}:\n{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_limit_stopped_is_told_under_its_name() {
    let mut config = probe("slow", "");
    for Meeting { limit, package, lines, .. } in MEETINGS {
        config.push_str(&service(limit, package, lines));
    }
    let host = Host::start(&config).await;
    for Meeting { limit, path, times, status: expected, .. } in MEETINGS {
        let mut asked = JoinSet::new();
        for _ in 0..*times {
            let (client, path) = (host.client(), format!("/{limit}/{path}"));
            asked.spawn(async move { status(&client, &path).await });
        }
        let statuses = asked.join_all().await;
        let is_as_expected = match expected {
            Some(status) => statuses.contains(status),
            None => statuses.iter().all(|status| *status == 200),
        };
        assert!(is_as_expected, "{limit}: {statuses:?}");
        is_told(&host, limit, limit).await;
        assert_eq!(host.client().get(&format!("/{limit}/ok")).await.status, 200, "after {limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lines_are_held_to_their_bytes() {
    let host = Host::start(&service("misbehaving", "misbehaving", "limits = { log-bytes = \"8KiB\" }")).await;
    let line = "x".repeat(LONG_LINE_BYTES);
    let deadline = Instant::now() + PATIENCE;
    // Three of them fall into one second sooner or later.
    while hits(&host, "misbehaving", "log-bytes").await == 0 {
        assert!(Instant::now() < deadline, "every line was written");
        assert_eq!(status(&host.client(), &format!("/misbehaving/print?text={line}")).await, 200);
    }
    is_told(&host, "misbehaving", "log-bytes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_instance_is_refused_after_its_wait() {
    let lines = "instances = { max = 1 }\nlimits = { wait = \"1s\" }";
    let host = Host::start(&probe("probe", lines)).await;
    let first = host.client();
    let slow = tokio::spawn(async move { first.get("/probe/slow?ms=4000").await.status });
    while host.run_json(&["instances", "probe"])[0]["busy"] != true {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    assert_eq!(host.client().get("/probe/ok").await.status, 503);
    let waited = began.elapsed();
    let wait = Duration::from_secs(1);
    assert!(waited >= wait.mul_f64(0.9) && waited <= wait.mul_f64(1.1) + NOISE, "{waited:?}");
    assert_eq!(slow.await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_takes_no_more_requests_at_a_time_than_it_may() {
    let lines = "instances = { max = 1, concurrency = 2 }";
    let host = Host::start(&service("concurrent", "concurrent", lines)).await;
    let began = Instant::now();
    let mut asked = JoinSet::new();
    for _ in 0..3 {
        let client = host.client();
        asked.spawn(async move { (client.get("/concurrent/wait?ms=1000").await.status, began.elapsed()) });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(_, time)| *time);
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    assert!(answers[1].1 < Duration::from_millis(1900), "two at once: {answers:?}");
    assert!(answers[2].1 >= Duration::from_secs(2), "never three: {answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_version_that_was_replaced_end_with_its_time_to_drain() {
    for package in ["misbehaving", "concurrent"] {
        let lines = format!("drain = \"{}s\"\nlimits = {{ time = \"60s\" }}", DRAIN.as_secs());
        let host = Host::start(&service("old", package, &lines)).await;
        let client = host.client();
        let path = if package == "concurrent" { "/old/wait?ms=50000" } else { "/old/hoard?count=0&ms=50000" };
        let lasting = tokio::spawn(async move { status(&client, path).await });
        while host.run_json(&["instances", "old"]).as_array().unwrap().iter().all(|it| it["busy"] != true) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let other = if package == "concurrent" { "misbehaving" } else { "concurrent" };
        let deployed = host.run_json(&["deploy", "old", component(other).to_str().unwrap()]);
        assert_ne!(deployed, Value::Null);
        assert!(!lasting.is_finished(), "{package}: it was not let go on");
        let switched = Instant::now();
        let status = lasting.await.unwrap();
        assert!(matches!(status, 502..=504), "{package}: {status}");
        assert!(switched.elapsed() <= DRAIN + NOISE, "{package}: {:?}", switched.elapsed());
        is_told(&host, "old", "drain").await;
        assert_eq!(host.client().get("/old/ok").await.status, 200);
    }
}
