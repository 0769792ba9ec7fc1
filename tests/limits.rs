//! Guests that trap, loop, eat memory or never answer harm only their own request.

use std::time::Duration;

use reqwest::Method;
use tokio::task::JoinSet;

use crate::support::client::Client;
use crate::support::guests::component;
use crate::support::host::Host;
use crate::support::load::Load;

/// Each misdeed and the status that its request gets.
pub const MISDEEDS: &[(&str, u16)] = &[
    ("trap", 502),
    ("exit", 502),
    ("recurse", 502),
    ("no-response", 502),
    ("allocate", 502),
    ("loop", 504),
    ("loop-host", 504),
];

/// How often each misdeed is done.
const ROUNDS: usize = 3;

/// More slow calls than one instance and its queue can hold.
const CALLS_TOO_MANY: usize = 60;

/// A service of the probe under `/{name}/`, with these further lines in its section.
pub fn probe(name: &str, lines: &str) -> String {
    format!(
        "[services.{name}]\ncomponent = {:?}\ndatabase = \"embedded\"\nbuckets = [\"granted\"]\n\
         publishes = [\"probe.*\"]\n{lines}\n[[routes]]\npath = \"/{name}/{{*rest}}\"\nservice = \"{name}\"\n",
        component("probe")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misdeed_harms_only_its_own_request() {
    let limits = "limits = { memory = \"32MiB\", time = \"8s\", cpu = \"300ms\" }";
    let host = Host::start(&(probe("probe", limits) + &probe("innocent", ""))).await;
    let (client, process) = (host.client(), host.process());
    let load = Load::start(client.clone(), "/innocent/ok", Duration::from_millis(10));
    for _ in 0..ROUNDS {
        for (misdeed, status) in MISDEEDS {
            let answer = client.get(&format!("/probe/{misdeed}")).await;
            assert_eq!(answer.status, *status, "{misdeed}: {answer:?}");
            assert_eq!(answer.body["status"], *status, "{misdeed} is told as a problem: {answer:?}");
            // The service lives on, and its success closes the circuit that five failures in a row would open.
            let answer = client.get("/probe/ok").await;
            assert_eq!(answer.status, 200, "after {misdeed}: {answer:?}");
        }
    }
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert!(report.times.len() > 10, "the load was under way: {}", report.times.len());
    assert_eq!(host.process(), process);
    // WASI 0.2 tells the host only whether a guest exits well or not, so 3 comes as 1.
    host.logged("the guest exited with code 1").await;
    host.logged("`memory`").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_keeps_trapping_is_left_alone_for_a_while() {
    let host = Host::start(&(probe("probe", "") + &probe("innocent", ""))).await;
    let client = host.client();
    for _ in 0..5 {
        assert_eq!(client.get("/probe/trap").await.status, 502);
    }
    let refused = client.request(reqwest::Method::GET, "/probe/ok").send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(client.get("/innocent/ok").await.status, 200);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while client.get("/probe/ok").await.status != 200 {
        assert!(std::time::Instant::now() < deadline, "the circuit stays open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.get("/probe/ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_waits_for_ever_meets_the_time_limit() {
    let host = Host::start(&probe("probe", "limits = { time = \"500ms\" }")).await;
    let client = host.client();
    let answer = client.get("/probe/slow?ms=600000").await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(client.get("/probe/ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_after_the_head_breaks_the_response_off() {
    let host = Host::start(&probe("probe", "")).await;
    let client = host.client();
    for _ in 0..ROUNDS {
        let response = client.request(Method::GET, "/probe/late-trap").send().await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.bytes().await;
        assert!(body.is_err(), "a clean end would be a lie: {} bytes", body.unwrap().len());
    }
    assert_eq!(client.get("/probe/ok").await.status, 200);
    host.logged("the probe traps late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_streamed_through_the_guest() {
    let host = Host::start(&probe("probe", "limits = { memory = \"16MiB\" }")).await;
    let body: Vec<u8> = (0..8 * 1024 * 1024u32).map(|index| index.to_le_bytes()[1]).collect();
    let request = host.client().request(Method::POST, "/probe/echo").body(body.clone());
    let answered = request.send().await.unwrap().bytes().await.unwrap();
    assert!(answered == body, "{} of {} bytes came back, or others", answered.len(), body.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_reused_unless_the_configuration_says_otherwise() {
    let config = probe("probe", "instances = { max = 1 }") + &probe("fresh", "instances = { reuse = 1 }");
    let host = Host::start(&config).await;
    let client = host.client();
    for expected in 1..=3 {
        assert_eq!(client.get("/probe/counter").await.body, expected, "the same instance");
        assert_eq!(client.get("/fresh/counter").await.body, 1, "a fresh instance");
    }
    assert_eq!(client.get("/probe/trap").await.status, 502);
    assert_eq!(client.get("/probe/counter").await.body, 1, "the one that trapped is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_grow_with_the_load_and_shrink_when_idle() {
    let host = Host::start(&probe("probe", "instances = { min = 1, max = 6 }")).await;
    let client = host.client();
    assert_eq!(instances(&host), 1);
    let mut calls = JoinSet::new();
    for _ in 0..12 {
        calls.spawn(slow(client.clone()));
    }
    while let Some(call) = calls.join_next().await {
        assert_eq!(call.unwrap().0, 200);
    }
    assert_eq!(instances(&host), 6, "as many as there may be");
    // An instance above the minimum goes after half a minute without work.
    let deadline = std::time::Instant::now() + Duration::from_secs(90);
    while instances(&host) != 1 {
        assert!(std::time::Instant::now() < deadline, "{} instances stay", instances(&host));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(client.get("/probe/ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_told_at_once_and_with_a_time_to_wait() {
    let host = Host::start(&probe("probe", "instances = { min = 1, max = 1 }")).await;
    let client = host.client();
    let mut calls = JoinSet::new();
    for _ in 0..CALLS_TOO_MANY {
        calls.spawn(slow(client.clone()));
    }
    let (mut served, mut refused) = (0, 0);
    while let Some(call) = calls.join_next().await {
        match call.unwrap() {
            (200, _) => served += 1,
            (503, true) => refused += 1,
            other => panic!("neither served nor refused with Retry-After: {other:?}"),
        }
    }
    assert!(served > 0 && refused > 0, "{served} served, {refused} refused");
    assert_eq!(client.get("/probe/ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_prints_becomes_lines_of_its_log() {
    let host = Host::start(&probe("probe", "")).await;
    assert_eq!(host.client().get("/probe/print?lines=3").await.status, 200);
    let (code, lines, errors) = host.run(&["logs", "probe"]);
    assert_eq!(code, Some(0), "{errors}");
    for line in 1..=3 {
        assert!(lines.contains(&format!("probe line {line}")), "{lines}");
    }
}

/// How many instances of the probe there are.
fn instances(host: &Host) -> usize {
    host.run_json(&["instances", "probe"]).as_array().unwrap().len()
}

/// The status of a slow call, and whether it says when to try again.
async fn slow(client: Client) -> (u16, bool) {
    let response = client.request(Method::GET, "/probe/slow?ms=200").send().await.unwrap();
    (response.status().as_u16(), response.headers().contains_key("retry-after"))
}
