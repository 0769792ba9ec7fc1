//! The limits of guests of WASI 0.3, several of whose calls share an instance: each has what it may and no more.

use std::time::{Duration, Instant};

use crate::concurrent::{NOISE, SLOW_MAX, ask, get, guest};
use crate::support::host::Host;
use crate::support::process::{SECOND, computing};
use crate::support::scene::{Scene, hits, service, stage};

/// The guest with so many instances at most, and a second of computing for each call.
fn guest_of_a_second(instances: usize) -> String {
    let limits = "limits = { time = \"30s\", cpu = \"1s\" }";
    service("concurrent", "concurrent", &format!("instances = {{ max = {instances} }}\n{limits}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_time_hold_and_are_named() {
    let lines = "instances = { max = 1 }\nlimits = { time = \"1s\", cpu = \"200ms\" }";
    let scene = Scene::open(&service("concurrent", "concurrent", lines)).await;
    for (path, limit) in [("wait?ms=60000", "time"), ("loop", "cpu"), ("loop-host", "cpu")] {
        let began = Instant::now();
        let answer = get(&scene.client, &format!("/concurrent/{path}")).await;
        let took = began.elapsed();
        assert_eq!(answer.status, 504, "{path}: {answer:?}");
        assert!(took < Duration::from_secs(1) + NOISE, "{path}: {took:?}");
        if limit == "time" {
            assert!(took > Duration::from_millis(900), "{path}: {took:?}");
        }
        let answer = get(&scene.client, "/concurrent/ok").await;
        assert_eq!(answer.status, 200, "after {path}: {answer:?}");
    }
    assert_eq!(scene.hits("concurrent", "cpu").await, 2);
    assert_eq!(scene.hits("concurrent", "time").await, 1);
    scene.host.logged("the limit `cpu` was reached").await;
    scene.close_within(SLOW_MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_has_its_computing_time_and_no_more() {
    let _stage = stage().await;
    // One instance for all, and one for each.
    for instances in [1, 8] {
        let host = Host::start(&guest_of_a_second(instances)).await;
        let client = host.client();
        for path in ["/concurrent/loop", "/concurrent/loop-host"] {
            let (answer, computed) = computing(host.process(), get(&client, path)).await;
            assert_eq!(answer.status, 504, "{path} on {instances}: {answer:?}");
            assert!(SECOND.contains(&computed), "{path} on {instances}: {computed:.2} s");
        }
        if instances > 1 {
            let four = ask(&client, "/concurrent/loop", 4).join_all();
            let (answers, computed) = computing(host.process(), four).await;
            assert!(answers.iter().all(|answer| answer.status == 504), "{answers:?}");
            assert!(SECOND.contains(&(computed / 4.0)), "four at once: {computed:.2} s");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_after_its_response_ends_at_the_limit_too() {
    let _stage = stage().await;
    let host = Host::start(&guest_of_a_second(1)).await;
    let client = host.client();
    let work = async {
        assert_eq!(get(&client, "/concurrent/loop-after").await.body, "handled");
        host.logged("the limit `cpu` was reached").await;
    };
    let ((), computed) = computing(host.process(), work).await;
    assert!(SECOND.contains(&computed), "{computed:.2} s");
    assert_eq!(hits(&host, "concurrent", "cpu").await, 1);
    assert_eq!(get(&client, "/concurrent/ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_computes_little_may_answer_for_long() {
    let lines = "instances = { max = 1 }\nlimits = { time = \"10s\", cpu = \"500ms\" }";
    let scene = Scene::open(&service("concurrent", "concurrent", lines)).await;
    let answer = get(&scene.client, "/concurrent/drip?count=500&ms=5").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body.as_str().map(str::len), Some(500 * "handled".len()), "{answer:?}");
    scene.close_within(SLOW_MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_holds_for_a_guest_counts() {
    for instances in [1, 8] {
        let scene = Scene::open(&guest(instances)).await;
        let answer = get(&scene.client, "/concurrent/hoard").await;
        assert_eq!(answer.status, 502, "on {instances}: {answer:?}");
        assert_eq!(scene.hits("concurrent", "memory").await, 1, "on {instances}");
        // 16 MiB, and what the host needs itself.
        assert!(scene.growth_mib() < 16 + 32, "on {instances}: {} MiB more of memory", scene.growth_mib());
        scene.close_within(SLOW_MAX).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_endless_loops_do_not_slow_others_down() {
    let lines = "limits = { time = \"8s\", cpu = \"30s\" }";
    let scene = Scene::open(&service("concurrent", "concurrent", lines)).await;
    for answer in ask(&scene.client, "/concurrent/loop", 4).join_all().await {
        assert_eq!(answer.status, 504, "{answer:?}");
    }
    scene.close_within(SLOW_MAX).await;
}
