//! Promise 3: what never ends is ended at its limit, and until then it has no more of the processors than others.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::limits::probe;
use crate::support::client::Client;
use crate::support::host::Host;
use crate::support::process::{SECOND, computing};
use crate::support::scene::{Scene, service, stage};

/// How far from its limit a call may end.
const TOLERANCE: f64 = 0.1;

/// What a busy machine and a build for debugging add to the way of a request: it counts beside the tolerance of times
/// that are seen from outside.
const NOISE: Duration = Duration::from_millis(150);

/// What the slowest percent of the innocent may take while there are more loops than processors.
const SLOW_MAX: Duration = Duration::from_millis(250);

/// Every way not to end: in the guest, and in calls of the host only.
const ENDLESS: &[&str] = &[
    "/probe/loop",
    "/probe/loop-host",
    "/misbehaving/compute",
    "/misbehaving/ask?what=clock",
    "/misbehaving/ask?what=random",
    "/misbehaving/ask?what=resources",
    "/misbehaving/ask?what=fields",
    "/misbehaving/ask?what=poll",
];

/// Both services with these limits.
fn config(limits: &str) -> String {
    let lines = format!("limits = {{ {limits} }}");
    probe("probe", &lines) + &service("misbehaving", "misbehaving", &lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_ends_when_its_computing_time_is_used_up() {
    let scene = Scene::open(&config("cpu = \"500ms\", time = \"30s\"")).await;
    for path in ENDLESS {
        let answer = scene.get(path).await;
        assert_eq!(answer.status, 504, "{path}: {answer:?}");
        // Measured by the host itself: how long that takes on a clock depends on who else computes.
        let log = scene.host.log();
        let told = log.lines().rev().find(|line| line.contains("the limit `cpu` was reached;"));
        let told = told.unwrap_or_else(|| panic!("{path} was not logged:\n{log}"));
        let used = told.split(" ms of them computing").next().unwrap().rsplit(' ').next().unwrap();
        let used: f64 = used.parse().unwrap_or_else(|_| panic!("{told}"));
        assert!((used / 500.0 - 1.0).abs() <= TOLERANCE, "{path}: {used} ms of 500 ms");
        let service = path.split('/').nth(1).unwrap();
        assert_eq!(scene.get(&format!("/{service}/ok")).await.status, 200, "after {path}");
    }
    assert_eq!(scene.hits("probe", "cpu").await, 2);
    assert_eq!(scene.hits("misbehaving", "cpu").await, ENDLESS.len() as u64 - 2);
    scene.close_within(SLOW_MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_has_its_computing_time_and_no_more() {
    let _stage = stage().await;
    let host = Host::start(&config("cpu = \"1s\", time = \"30s\"")).await;
    let client = host.client();
    for path in ["/probe/loop", "/probe/loop-host"] {
        // By the clock of the system, which knows nothing of what the host counts.
        let (answer, computed) = computing(host.process(), client.get(path)).await;
        assert_eq!(answer.status, 504, "{path}: {answer:?}");
        assert!(SECOND.contains(&computed), "{path}: {computed:.2} s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_ends_when_its_time_is_over() {
    let scene = Scene::open(&config("cpu = \"30s\", time = \"1s\"")).await;
    for path in ENDLESS.iter().chain(&["/probe/slow?ms=600000"]) {
        let began = Instant::now();
        let answer = scene.get(path).await;
        let took = began.elapsed();
        assert_eq!(answer.status, 504, "{path}: {answer:?}");
        let limit = Duration::from_secs(1);
        assert!(took >= limit.mul_f64(1.0 - TOLERANCE), "{path}: {took:?}");
        assert!(took <= limit.mul_f64(1.0 + TOLERANCE) + NOISE, "{path}: {took:?}");
        let service = path.split('/').nth(1).unwrap();
        assert_eq!(scene.get(&format!("/{service}/ok")).await.status, 200, "after {path}");
    }
    scene.host.logged("the limit `time` was reached").await;
    assert!(scene.hits("probe", "time").await >= 3);
    scene.close_within(SLOW_MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_endless_loops_on_two_cores_do_not_slow_others_down() {
    for path in ["/probe/loop", "/probe/loop-host", "/misbehaving/ask?what=poll"] {
        let scene = Scene::open(&config("cpu = \"30s\", time = \"8s\"")).await;
        let mut loops = JoinSet::new();
        for _ in 0..4 {
            let client = scene.client.clone();
            loops.spawn(async move { client.get(path).await.status });
        }
        assert_eq!(loops.join_all().await, [504; 4], "{path}");
        eprintln!("{path}:");
        scene.close_within(SLOW_MAX).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loops_on_every_instance_leave_another_service_its_half() {
    let lines = "limits = { cpu = \"30s\", time = \"20s\" }";
    let config = probe("greedy", lines) + &service("modest", "misbehaving", lines);
    let scene = Scene::open(&config).await;
    let rounds = rounds_of(&scene.client, "modest", Duration::from_millis(50)).await;
    let alone = work_of(&scene, rounds, Duration::from_secs(5)).await;
    let mut loops = JoinSet::new();
    for _ in 0..32 {
        let client = scene.client.clone();
        loops.spawn(async move { client.get("/greedy/loop").await.status });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let beside = work_of(&scene, rounds, Duration::from_secs(8)).await;
    eprintln!("work in a second of computing: {alone:.1} alone, {beside:.1} beside the loops");
    // The innocent service computes as well, and so does the host, in both measures.
    assert!(beside > alone * 0.4, "{beside:.1} beside the loops, {alone:.1} alone");
    let statuses = loops.join_all().await;
    assert!(statuses.iter().all(|status| matches!(status, 503 | 504)), "{statuses:?}");
    scene.close_within(SLOW_MAX).await;
}

/// How many requests the modest service answers for each second that the host computes: who else shares the machine
/// does not count in it.
async fn work_of(scene: &Scene, rounds: u64, time: Duration) -> f64 {
    let before = scene.computed();
    let rate = computed(&scene.client, "modest", rounds, 4, time).await;
    rate * time.as_secs_f64() / (scene.computed() - before).as_secs_f64()
}

/// How many rounds of computing take about so long when nobody else computes.
pub async fn rounds_of(client: &Client, service: &str, time: Duration) -> u64 {
    const ROUNDS: u64 = 20_000;
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        let answer = client.get(&format!("/{service}/compute?rounds={ROUNDS}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        quickest = quickest.min(began.elapsed());
    }
    (ROUNDS as f64 * time.as_secs_f64() / quickest.as_secs_f64()) as u64
}

/// How many computations a second so many callers get who each ask again at once.
pub async fn computed(client: &Client, service: &str, rounds: u64, callers: usize, time: Duration) -> f64 {
    let mut tasks = JoinSet::new();
    let until = Instant::now() + time;
    for _ in 0..callers {
        let (client, path) = (client.clone(), format!("/{service}/compute?rounds={rounds}"));
        tasks.spawn(async move {
            let mut done = 0;
            while Instant::now() < until {
                let answer = client.get(&path).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                done += 1;
            }
            done
        });
    }
    tasks.join_all().await.into_iter().sum::<u32>() as f64 / time.as_secs_f64()
}
