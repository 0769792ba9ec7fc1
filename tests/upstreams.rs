//! External services that fail: balancing, retries, health checks, ejection, the circuit and the queue.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::host::Host;
use crate::support::upstream::{Mood, Upstream};

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// An address at which nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// A host with the service `up` at these addresses, with these further keys, below `/up`.
async fn start(urls: &[String], keys: &str) -> Host {
    let urls: Vec<String> = urls.iter().map(|url| format!("{url:?}")).collect();
    start_with(&format!("upstreams = [{}]\n{keys}", urls.join(", "))).await
}

async fn start_with(keys: &str) -> Host {
    let route = "[[routes]]\npath = \"/up/{*rest}\"\nservice = \"up\"\n";
    Host::start(&format!("[services.up]\n{keys}\n{route}")).await
}

async fn send(host: &Host, method: Method) -> Response {
    host.client().request(method, "/up/x").send().await.unwrap()
}

async fn status(host: &Host) -> u16 {
    send(host, Method::GET).await.status().as_u16()
}

/// The type of the problem that a refusal tells.
async fn problem(response: Response) -> String {
    let problem: Value = response.json().await.unwrap();
    problem["type"].as_str().unwrap().trim_start_matches("urn:hostel:problem:").to_owned()
}

/// Who answered so many requests, and how often.
async fn answers(host: &Host, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let answer = host.client().get("/up/x").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        *counts.entry(answer.body["address"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// Waits until the registry knows the endpoint at this URL to be well, or not.
async fn becomes(host: &Host, url: &str, health: &str) {
    let admin = host.admin();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let service = admin.get("/services/up").await.body;
        let endpoints = service["endpoints"].as_array().unwrap();
        if endpoints.iter().any(|endpoint| endpoint["address"] == url && endpoint["health"] == health) {
            return;
        }
        assert!(Instant::now() < deadline, "{url} does not become {health}: {service}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the service answers with this status, asking again and again.
async fn comes_to(host: &Host, expected: u16) -> Response {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let response = send(host, Method::GET).await;
        if response.status() == expected {
            return response;
        }
        assert!(Instant::now() < deadline, "{expected} does not come: {response:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_shared_by_weight() {
    let (light, heavy) = (Upstream::start().await, Upstream::start().await);
    let keys = format!("upstreams = [{:?}, {{ url = {:?}, weight = 3 }}]", light.url(), heavy.url());
    let host = start_with(&keys).await;
    answers(&host, 40).await;
    assert_eq!((light.asked(), heavy.asked()), (10, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hashed_key_stays_with_its_address() {
    let (one, other) = (Upstream::start().await, Upstream::start().await);
    for (balance, header) in [("hash:header:x-user", "x-user"), ("hash:cookie:sid", "cookie")] {
        let host = start(&[one.url(), other.url()], &format!("balance = {balance:?}")).await;
        let mut seen = BTreeMap::new();
        for request in 0..60 {
            let user = request % 20;
            let value = if header == "cookie" { format!("a=b; sid={user}") } else { user.to_string() };
            let request = host.client().request(Method::GET, "/up/x").header(header, value);
            let answer = host.client().send(request).await;
            let address = answer.body["address"].clone();
            assert_eq!(*seen.entry(user).or_insert(address.clone()), address, "{balance} {user}");
        }
        let distinct: std::collections::BTreeSet<_> = seen.values().map(Value::to_string).collect();
        assert_eq!(distinct.len(), 2, "{balance}: {seen:?}");
    }
    let host = start(&[one.url(), other.url()], "balance = \"hash:address\"").await;
    assert_eq!(answers(&host, 10).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_count_for_least_requests() {
    let (stuck, free) = (Upstream::start().await, Upstream::start().await);
    let host = start(&[stuck.url(), free.url()], "balance = \"least-requests\"").await;
    stuck.set(Mood::Silent);
    let mut waiting = JoinSet::new();
    while stuck.asked() == 0 {
        let client = host.client();
        let before = stuck.asked() + free.asked();
        waiting.spawn(async move { client.get("/up/x").await.status });
        while stuck.asked() + free.asked() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let answered = answers(&host, 20).await;
    assert_eq!(answered.keys().collect::<Vec<_>>(), [&free.address.to_string()]);
    stuck.set(Mood::Well);
    assert!(waiting.join_all().await.iter().all(|status| *status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_is_sent_elsewhere() {
    let well = Upstream::start().await;
    let plain = start(&[NOBODY.into(), well.url()], "").await;
    let refused = comes_to(&plain, 502).await;
    assert_eq!(problem(refused).await, "unreachable");
    let retry = "retry = { budget = 100 }\noutlier = false";
    let host = start(&[NOBODY.into(), well.url()], retry).await;
    for method in [Method::GET, Method::POST, Method::PUT] {
        for _ in 0..4 {
            let request = host.client().request(method.clone(), "/up/x").body("a body");
            let answer = host.client().send(request).await;
            assert_eq!(answer.status, 200, "{method}: {answer:?}");
            assert_eq!(answer.body["body"], "a body", "{method}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_requests_that_may_act_twice_are_repeated_once_sent() {
    for mood in [Mood::Breaking, Mood::Status(503)] {
        let (bad, well) = (Upstream::start().await, Upstream::start().await);
        bad.set(mood);
        let host = start(&[bad.url(), well.url()], "retry = { budget = 100 }\noutlier = false").await;
        for _ in 0..8 {
            assert_eq!(send(&host, Method::GET).await.status(), 200, "{mood:?}");
        }
        let (bad_before, well_before) = (bad.asked(), well.asked());
        let mut failed = 0;
        for _ in 0..8 {
            let response = send(&host, Method::POST).await;
            if response.status() != 200 {
                failed += 1;
                if mood == Mood::Breaking {
                    assert_eq!(problem(response).await, "broken-off");
                }
            }
        }
        assert_eq!((bad.asked() - bad_before, well.asked() - well_before), (4, 4), "{mood:?}");
        assert_eq!(failed, 4, "{mood:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_requests_stay_within_their_budget() {
    let (one, other) = (Upstream::start().await, Upstream::start().await);
    one.set(Mood::Status(503));
    other.set(Mood::Status(503));
    let retry =
        "retry = { attempts = 5, budget = 20, back-off = { min = \"1ms\", max = \"1ms\" } }\noutlier = false";
    let host = start(&[one.url(), other.url()], retry).await;
    for _ in 0..100 {
        assert_eq!(status(&host).await, 503, "the answer of the last try");
    }
    // Ten are saved up at the start, and each request earns a fifth.
    let repeated = one.asked() + other.asked() - 100;
    assert!((25..=30).contains(&repeated), "{repeated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_retry_less_than_its_service() {
    let bad = Upstream::start().await;
    bad.set(Mood::Status(502));
    let route = |path: &str, keys: &str| format!("[[routes]]\npath = \"{path}\"\nservice = \"up\"\n{keys}\n");
    let host = Host::start(&format!(
        "[services.up]\nupstreams = [{:?}]\nretry = {{ attempts = 3 }}\n{}{}",
        bad.url(),
        route("/often", ""),
        route("/once", "retry = false")
    ))
    .await;
    assert_eq!(host.client().get("/often").await.status, 502);
    assert_eq!(bad.asked(), 3);
    assert_eq!(host.client().get("/once").await.status, 502);
    assert_eq!(bad.asked(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_takes_too_long_is_followed_by_another() {
    let (stuck, well) = (Upstream::start().await, Upstream::start().await);
    stuck.set(Mood::Silent);
    let retry = "retry = { per-try = \"100ms\" }\noutlier = false";
    let host = start(&[stuck.url(), well.url()], retry).await;
    let answered = answers(&host, 4).await;
    assert_eq!(answered.keys().collect::<Vec<_>>(), [&well.address.to_string()]);
    assert!(stuck.asked() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_keeps_failing_is_passed_over_and_comes_back() {
    let (bad, well) = (Upstream::start().await, Upstream::start().await);
    bad.set(Mood::Status(503));
    let outlier = "outlier = { failures = 2, ejection = \"3s\" }";
    let host = start(&[bad.url(), well.url()], outlier).await;
    for _ in 0..8 {
        status(&host).await;
    }
    assert_eq!(bad.asked(), 2, "two failures are enough");
    becomes(&host, &bad.url(), "unhealthy").await;
    bad.set(Mood::Well);
    let deadline = Instant::now() + PATIENCE;
    while bad.asked() == 2 {
        assert!(Instant::now() < deadline, "it is not asked again");
        assert_eq!(status(&host).await, 200);
    }
    becomes(&host, &bad.url(), "healthy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_addresses_are_out_all_are_tried() {
    let (one, other) = (Upstream::start().await, Upstream::start().await);
    one.set(Mood::Status(503));
    other.set(Mood::Status(503));
    let outlier = "outlier = { failures = 1, ejection = \"1h\", max-ejected = 100 }";
    let host = start(&[one.url(), other.url()], outlier).await;
    for _ in 0..4 {
        assert_eq!(status(&host).await, 503);
    }
    assert_eq!((one.asked(), other.asked()), (2, 2));
    one.set(Mood::Well);
    other.set(Mood::Well);
    assert_eq!(answers(&host, 4).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_fails_its_health_check_is_passed_over_and_comes_back() {
    let (mut one, other) = (Upstream::start().await, Upstream::start().await);
    let check = "health-check = { path = \"/healthz\", every = \"20ms\", timeout = \"5s\", healthy = 2, unhealthy = 2 }";
    let host = start(&[one.url(), other.url()], &format!("{check}\noutlier = false")).await;
    assert_eq!(answers(&host, 4).await.len(), 2);
    one.kill().await;
    becomes(&host, &one.url(), "unhealthy").await;
    assert_eq!(answers(&host, 10).await.keys().collect::<Vec<_>>(), [&other.address.to_string()]);
    one.revive().await;
    becomes(&host, &one.url(), "healthy").await;
    assert_eq!(answers(&host, 4).await.len(), 2);
    // A status that is not among the good ones is as bad as none.
    other.set(Mood::Status(404));
    becomes(&host, &other.url(), "unhealthy").await;
    assert_eq!(answers(&host, 4).await.keys().collect::<Vec<_>>(), [&one.address.to_string()]);
    assert!(host.log().contains("fails its health check"), "{}", host.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_cannot_be_reached_is_left_alone_and_comes_back() {
    let mut only = Upstream::start().await;
    let host = start(&[only.url()], "").await;
    assert_eq!(status(&host).await, 200);
    only.kill().await;
    let refused = comes_to(&host, 503).await;
    assert!(refused.headers().contains_key("retry-after"), "{refused:?}");
    assert_eq!(problem(refused).await, "circuit-open");
    only.revive().await;
    comes_to(&host, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_limit_wait_and_beyond_the_queue_are_refused() {
    let only = Upstream::start().await;
    let host = start(&[only.url()], "requests-max = 1\nlimits = { time = \"60s\" }").await;
    only.set(Mood::Silent);
    let mut requests = JoinSet::new();
    let ask = |requests: &mut JoinSet<Response>| {
        let client = host.client();
        requests.spawn(async move { client.request(Method::GET, "/up/x").send().await.unwrap() });
    };
    ask(&mut requests);
    while only.asked() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Of these, one waits; the others find the queue full.
    (0..3).for_each(|_| ask(&mut requests));
    for _ in 0..2 {
        let refused = requests.join_next().await.unwrap().unwrap();
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"), "{refused:?}");
        assert_eq!(problem(refused).await, "busy");
    }
    assert_eq!(only.asked(), 1);
    only.set(Mood::Well);
    assert!(requests.join_all().await.iter().all(|response| response.status() == 200));
    assert_eq!(only.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_answer_in_time_is_given_up() {
    let only = Upstream::start().await;
    let host = start(&[only.url()], "limits = { time = \"1s\" }").await;
    only.set(Mood::Silent);
    let refused = send(&host, Method::GET).await;
    assert_eq!(refused.status(), 504);
    assert_eq!(problem(refused).await, "timeout");
    only.set(Mood::Well);
    assert_eq!(status(&host).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_is_that_of_the_address_or_of_the_client() {
    let only = Upstream::start().await;
    for (keys, expected) in [("", only.address.to_string()), ("host = \"keep\"", "shop.example".to_owned())] {
        let host = start(&[only.url()], keys).await;
        let request = host.client().request(Method::GET, "/up/x").header("host", "shop.example");
        let told = host.client().send(request).await.body;
        assert_eq!(told["headers"]["host"], expected, "{keys}");
        assert_eq!(told["headers"]["x-forwarded-host"], "shop.example", "{keys}");
    }
}
