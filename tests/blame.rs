//! Whose fault it is that a request fails, and what follows for others: circuits, ejection, retries.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::limits::probe;
use crate::support::host::Host;
use crate::support::upstream::{Mood, Upstream};

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// An address at which nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// More failures in a row than open a circuit.
const FAILURES: usize = 6;

/// A service `up` at these addresses, with these further keys, and a route below `/up` with these.
fn up(urls: &[String], keys: &str, route: &str) -> String {
    let urls: Vec<String> = urls.iter().map(|url| format!("{url:?}")).collect();
    format!(
        "[services.up]\nupstreams = [{}]\n{keys}\n[[routes]]\npath = \"/up/{{*rest}}\"\nservice = \"up\"\n{route}\n",
        urls.join(", ")
    )
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "there was not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_that_fail_together_open_the_circuit_once() {
    let mut only = Upstream::start().await;
    let host = Host::start(&up(&[only.url()], "limits = { time = \"60s\" }", "")).await;
    only.set(Mood::Silent);
    let mut requests = JoinSet::new();
    for _ in 0..40 {
        let client = host.client();
        requests.spawn(async move { client.get("/up/x").await.status });
    }
    until("all requests", async || only.asked() == 40).await;
    only.kill().await;
    assert_eq!(requests.join_all().await, [502; 40]);
    let refused = host.client().request(Method::GET, "/up/x").send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1", "forty times the same fault: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_health_check_closes_the_circuit_whatever_was_found_before() {
    let only = Upstream::start().await;
    let check = "health-check = { path = \"/healthz\", every = \"20ms\", timeout = \"5s\" }";
    let host = Host::start(&up(&[only.url()], check, "")).await;
    only.set(Mood::Hollow);
    // The circuit alone would let through five, and then one after 1, 3, 7, 15 and 31 s.
    until("more requests than a circuit lets through", async || {
        host.client().get("/up/x").await;
        only.asked() > 30
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_in_a_hurry_says_nothing_about_whom_it_calls() {
    let only = Upstream::start().await;
    let external = up(&[only.url()], "limits = { time = \"60s\" }", "time = \"50ms\"");
    let config = [probe("probe", "calls = [\"friend\"]"), probe("friend", ""), external].concat();
    let host = Host::start(&config).await;
    let client = host.client();
    assert_eq!(client.get("/friend/ok").await.status, 200);
    for _ in 0..FAILURES {
        let hurried = client.get("/probe/sibling?name=friend&path=slow%3Fms=60000&ms=1").await;
        assert_eq!(hurried.body["error"], "timeout", "{hurried:?}");
    }
    assert_eq!(client.get("/friend/ok").await.status, 200);
    only.set(Mood::Silent);
    for _ in 0..FAILURES {
        assert_eq!(client.get("/up/x").await.status, 504);
    }
    only.set(Mood::Well);
    until("an answer", async || {
        let answer = client.get("/up/x").await;
        assert!([200, 504].contains(&answer.status), "the circuit is open: {answer:?}");
        answer.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_hangs_is_found_by_requests_with_a_body_too() {
    let (stuck, well) = (Upstream::start().await, Upstream::start().await);
    let keys = "limits = { time = \"300ms\" }\noutlier = { failures = 2, ejection = \"1h\" }";
    let host = Host::start(&up(&[stuck.url(), well.url()], keys, "")).await;
    stuck.set(Mood::Silent);
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let request = host.client().request(Method::POST, "/up/x").body("a whole body");
        statuses.push(host.client().send(request).await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 504).count(), 2, "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stalls_with_its_body_is_nobody_elses_fault() {
    let only = Upstream::start().await;
    let external = up(&[only.url()], "limits = { time = \"300ms\" }", "");
    let host = Host::start(&(external + &probe("probe", "limits = { time = \"300ms\" }"))).await;
    for path in ["/up/x", "/probe/sql"] {
        for _ in 0..FAILURES {
            let mut stream = TcpStream::connect(host.gateway_address()).await.unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
            assert_eq!(&answer, b"HTTP/1.1 504", "{path}");
        }
    }
    assert_eq!(host.client().get("/up/x").await.status, 200);
    assert_eq!(host.client().get("/probe/ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_goes_where_the_call_has_not_failed() {
    let well = Upstream::start().await;
    let keys = "balance = \"hash:header:x-user\"\nretry = { budget = 100 }\noutlier = false";
    let host = Host::start(&up(&[NOBODY.into(), well.url()], keys, "")).await;
    for user in 0..20 {
        let request = host.client().request(Method::POST, "/up/x").header("x-user", user);
        assert_eq!(host.client().send(request).await.status, 200, "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_between_services_are_repeated_by_the_rules_of_all_calls() {
    let well = Upstream::start().await;
    let addresses = [NOBODY.into(), well.url()];
    let calls = probe("probe", "calls = [\"up\", \"friend\"]") + &probe("friend", "");
    for (retry, passed) in [("", 8), ("retry = false", 4)] {
        let external = up(&addresses, &format!("outlier = false\n{retry}"), "");
        let host = Host::start(&(calls.clone() + &external)).await;
        let mut seen = Vec::new();
        for _ in 0..8 {
            seen.push(host.client().get("/probe/sibling?name=up").await.body);
        }
        assert_eq!(seen.iter().filter(|body| **body == json!({ "done": 200 })).count(), passed, "{seen:?}");
        let failed = host.client().get("/probe/sibling?name=friend&path=trap").await;
        assert_ne!(failed.body["error"], Value::Null, "{failed:?}");
        let lines = host.run(&["logs", "friend"]).1;
        assert_eq!(lines.matches("the probe traps, as it").count(), 1, "a trap is not repeated: {lines}");
    }
}
