//! Guests of WASI 0.3: one instance handles several requests, and yet none of them pays for another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::gateway::raw;
use crate::limits::probe;
use crate::support::client::{Answer, Client};
use crate::support::host::Host;
use crate::support::lasting::Lasting;
use crate::support::scene::{Scene, service};

/// The limits of the guest.
const LIMITS: &str = "limits = { time = \"8s\", cpu = \"500ms\", memory = \"16MiB\" }";

/// What a busy machine and a build for debugging may add to the way of a request.
pub const NOISE: Duration = Duration::from_millis(600);

/// How long an answer is waited for: longer than any limit of the guest.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the slowest percent of the innocent may take beside loops.
pub const SLOW_MAX: Duration = Duration::from_millis(250);

/// The guest with so many instances at most.
pub fn guest(instances: usize) -> String {
    service("concurrent", "concurrent", &format!("instances = {{ max = {instances} }}\n{LIMITS}"))
}

/// So many requests at once.
pub fn ask(client: &Client, path: &'static str, count: usize) -> JoinSet<Answer> {
    let mut asked = JoinSet::new();
    for _ in 0..count {
        let client = client.clone();
        asked.spawn(async move { get(&client, path).await });
    }
    asked
}

/// The same, once instances have taken all of them.
async fn begin(scene: &Scene, path: &'static str, count: usize) -> JoinSet<Answer> {
    let before = calls(scene).await;
    let asked = ask(&scene.client, path, count);
    until_taken(scene, &before, count as u64).await;
    asked
}

/// How many requests each instance has taken.
async fn calls(scene: &Scene) -> BTreeMap<String, u64> {
    let instances = scene.host.admin().get("/services/concurrent/instances").await.body;
    let instances = instances.as_array().unwrap();
    let call = |instance: &Value| {
        (instance["name"].as_str().unwrap().to_owned(), instance["calls"].as_u64().unwrap())
    };
    instances.iter().map(call).collect()
}

/// Waits until instances have taken so many requests more than before.
async fn until_taken(scene: &Scene, before: &BTreeMap<String, u64>, count: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = calls(scene).await;
        let more = |(name, calls): (&String, &u64)| calls - before.get(name).copied().unwrap_or_default();
        if now.iter().map(more).sum::<u64>() >= count {
            return;
        }
        assert!(Instant::now() < deadline, "{count} requests are not taken: {before:?}, then {now:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// GET; the status 0 when there is no answer long after every limit of the service.
pub async fn get(client: &Client, path: &str) -> Answer {
    let request = client.request(Method::GET, path).timeout(PATIENCE);
    match client.try_send(request).await {
        Ok(answer) => answer,
        Err(error) => Answer { status: 0, body: format!("{error:?}").into() },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_holds_nobody_up() {
    let scene = Scene::open(&guest(1)).await;
    let began = Instant::now();
    let waiting = begin(&scene, "/concurrent/wait?ms=3000", 8).await;
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(scene.get("/concurrent/ok").await.body, "handled");
        assert!(asked.elapsed() < NOISE, "{:?}", asked.elapsed());
    }
    assert_eq!(scene.get("/concurrent/now").await.body, 9, "eight wait, and the one that asks");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    for answer in waiting.join_all().await {
        assert_eq!((answer.status, &answer.body), (200, &"handled".into()));
    }
    assert!(began.elapsed() < Duration::from_secs(3) + NOISE, "{:?}", began.elapsed());
    assert_eq!(scene.host.run_json(&["instances", "concurrent"]).as_array().unwrap().len(), 1);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn few_instances_answer_a_steady_load_within_their_time() {
    for instances in [1, 2] {
        let scene = Scene::open(&guest(instances)).await;
        let mut callers = JoinSet::new();
        for _ in 0..8 {
            let client = scene.client.clone();
            callers.spawn(async move {
                for _ in 0..100 {
                    let answer = get(&client, "/concurrent/wait?ms=5").await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                }
            });
        }
        while let Some(caller) = callers.join_next().await {
            caller.unwrap();
        }
        scene.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misdeed_harms_only_its_own_request() {
    let mut faults = Vec::new();
    for instances in [1, 8] {
        let scene = Scene::open(&guest(instances)).await;
        for (misdeed, status) in
            [("trap", 502), ("allocate", 502), ("loop", 504), ("loop-host", 504), ("wait?ms=60000", 504)]
        {
            // Two seconds each: done again one after another they all end within the time limit.
            let beside = begin(&scene, "/concurrent/wait?ms=2000", 3).await;
            let answer = get(&scene.client, &format!("/concurrent/{misdeed}")).await;
            if answer.status != status {
                faults.push(format!("{misdeed} on {instances}: {answer:?}"));
            }
            for answer in beside.join_all().await {
                if answer.status != 200 {
                    faults.push(format!("beside {misdeed} on {instances}: {answer:?}"));
                }
            }
            let answer = get(&scene.client, "/concurrent/ok").await;
            if answer.status != 200 {
                faults.push(format!("after {misdeed} on {instances}: {answer:?}"));
            }
        }
        scene.close_within(SLOW_MAX).await;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_done_twice_is_not_tried_again() {
    let scene = Scene::open(&guest(1)).await;
    let (client, before) = (scene.client.clone(), calls(&scene).await);
    let posted = tokio::spawn(async move {
        client.send(client.request(Method::POST, "/concurrent/wait?ms=2000").body("once")).await
    });
    until_taken(&scene, &before, 1).await;
    assert_eq!(scene.get("/concurrent/trap").await.status, 502);
    assert_eq!(posted.await.unwrap().status, 502);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_trap_cuts_the_response() {
    let scene = Scene::open(&guest(2)).await;
    let mut faults = Vec::new();
    for ms in [0, 100] {
        let target = |name: &str| format!("/concurrent/{name}?ms={ms}");
        let request = |name| format!("GET {} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", target(name));
        // A trap that comes at once may come before anything was sent: then there is an error, or no answer at all.
        let is_told = |status: &str| ms == 0 && ["502", ""].contains(&status);
        let chunked = raw(&scene.host, &request("late-trap")).await;
        let status = chunked.split(' ').nth(1).unwrap_or_default();
        if !is_told(status) && (status != "200" || chunked.contains("\r\n0\r\n")) {
            faults.push(format!("after {ms} ms: {chunked:?}"));
        }
        let response = scene.client.request(Method::GET, &target("late-trap-of-length")).send().await;
        if let Ok(response) = response
            && !is_told(response.status().as_str())
            && let Ok(body) = response.bytes().await
        {
            faults.push(format!("all of a length after {ms} ms looks like success: {body:?}"));
        }
        assert_eq!(scene.get("/concurrent/ok").await.status, 200);
    }
    // The host tells of it, as it does of every trap.
    if !scene.host.log().lines().any(|line| line.contains("ERROR") && line.contains("trap: ")) {
        faults.push("no line of the host tells of a late trap".to_owned());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_trap_resets_a_stream() {
    let scene = Scene::open(&guest(2)).await;
    for _ in 0..3 {
        let mut connection = Lasting::two(scene.host.gateway_address()).await;
        let fault = connection.ask("/concurrent/late-trap?ms=100", None).await.unwrap_err();
        assert!(fault.contains("Reset"), "{fault}");
        // The connection goes on.
        assert_eq!(connection.ask("/concurrent/ok", None).await.unwrap().status, 200);
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_longer_than_its_length_is_cut_and_told() {
    for instances in [1, 8] {
        let scene = Scene::open(&guest(instances)).await;
        let request = "GET /concurrent/excess HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = raw(&scene.host, request).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        assert!(body.len() <= 5 || answer.starts_with("HTTP/1.1 502"), "on {instances}: {answer:?}");
        scene.host.logged("a response breaks off: ").await;
        scene.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_sockets_and_environment_are_not_there() {
    let scene = Scene::open(&guest(1)).await;
    let answer = scene.get("/concurrent/reach").await;
    assert_eq!(answer.body, "0 folders, 0 variables, bound false, connected false", "{answer:?}");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_follow_the_last_of_an_announced_length() {
    let scene = Scene::open(&guest(1)).await;
    let mut connection = Lasting::two(scene.host.gateway_address()).await;
    let heard = connection.ask("/concurrent/trailers", None).await.unwrap();
    assert_eq!((heard.status, &*heard.text), (200, "handled"));
    assert_eq!(heard.trailers["x-after"], "all");
    connection.end().await.unwrap();
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_outgoing_call_carries_its_own_caller() {
    let mut config = service("concurrent", "concurrent", "calls = [\"seer\"]\ninstances = { max = 1 }");
    config.push_str("auth = { ways = [\"key\"] }\n");
    let host = Host::start(&(config + &probe("seer", ""))).await;
    let key = |name: &str| {
        let added = host.run_json(&["keys", "add", name]);
        added["key"].as_str().unwrap().to_owned()
    };
    let callers = [("ada", key("ada")), ("zoe", key("zoe"))];
    // Known to the gateway a moment after they were made.
    for (_, key) in &callers {
        let deadline = Instant::now() + Duration::from_secs(30);
        while host.client().with_token(key).get("/concurrent/ok").await.status != 200 {
            assert!(Instant::now() < deadline, "the key is not known");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mut asked = JoinSet::new();
    for number in 0..200 {
        let (name, key) = callers[number % 2].clone();
        let client = host.client().with_token(&key);
        // Some meet on the way there, some while they call.
        let path = format!("/concurrent/caller?ms={}", [0, 1, 50, 200][number / 2 % 4]);
        asked.spawn(async move { (name, get(&client, &path).await) });
        if number % 16 == 15 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    for (name, answer) in asked.join_all().await {
        assert!(matches!(answer.status, 200 | 503), "{name}: {answer:?}");
        if answer.status == 200 {
            assert_eq!(answer.body["subject"], name, "{answer:?}");
            assert_eq!(answer.body["authorization"], Value::Null, "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_computes_holds_up_nobody_whom_it_has_asked() {
    let lines = "calls = [\"worker\"]\ninstances = { max = 1 }\nlimits = { time = \"10s\", cpu = \"8s\" }";
    let worker = service("worker", "misbehaving", "limits = { time = \"10s\", cpu = \"8s\" }");
    let scene = Scene::open(&(service("concurrent", "concurrent", lines) + &worker)).await;
    // More than there are processors, each for longer than a slice: the next turns are given to those that were asked
    // while the one that asks waits for its own.
    let rounds = ["/concurrent/calling?rounds=10000", "/concurrent/compute?rounds=10000"];
    let began = Instant::now();
    let mut asked = JoinSet::new();
    for path in rounds.into_iter().cycle().take(8) {
        let client = scene.client.clone();
        asked.spawn(async move { get(&client, path).await });
    }
    for answer in asked.join_all().await {
        assert_eq!(answer.status, 200, "after {:?}: {answer:?}", began.elapsed());
    }
    scene.close_within(SLOW_MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_stays_in_an_instance_and_goes_with_it() {
    let fresh = service("fresh", "concurrent", "instances = { max = 4, reuse = 1 }");
    let scene = Scene::open(&(guest(1) + &fresh)).await;
    for number in 1..=5 {
        assert_eq!(scene.get("/concurrent/state").await.body, number, "the same instance");
        assert_eq!(scene.get("/fresh/state").await.body, 1, "a fresh instance");
    }
    for answer in ask(&scene.client, "/fresh/state", 8).join_all().await {
        assert_eq!((answer.status, &answer.body), (200, &1.into()));
    }
    assert_eq!(scene.get("/concurrent/trap").await.status, 502);
    assert_eq!(scene.get("/concurrent/state").await.body, 1, "the one that trapped is gone");
    scene.close().await;
}
