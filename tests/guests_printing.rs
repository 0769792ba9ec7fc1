//! Promise 6: what a guest prints, or makes the host print, cannot fill a disk, stop anybody or imitate another line.

use std::time::{Duration, Instant};

use reqwest::Method;

use crate::support::host::Host;
use crate::support::samples::samples;
use crate::support::scene::{Scene, service, stage};

/// Lines that one service may write in a second.
const LINES_PER_SECOND: u64 = 2_000;

/// A service whose flood ends after a second of computing.
fn flooding(more: &str) -> String {
    service("misbehaving", "misbehaving", &format!("limits = {{ cpu = \"1s\", time = \"5s\" }}\n{more}"))
}

/// Lines in the log of the host about the service.
fn lines(scene: &Scene) -> u64 {
    scene.host.log().lines().filter(|line| line.contains("service=\"misbehaving\"")).count() as u64
}

/// How many lines there are of a flood, and how many there may be.
async fn flood(scene: &Scene, path: &str) -> (u64, u64) {
    let (before, began) = (lines(scene), Instant::now());
    let answer = scene.get(path).await;
    assert!(matches!(answer.status, 200 | 504), "{path}: {answer:?}");
    // A second of the clock may be touched at both ends, and the host says a word of its own.
    let most = LINES_PER_SECOND * (began.elapsed().as_secs() + 2) + 100;
    tokio::time::sleep(Duration::from_millis(500)).await;
    (lines(scene) - before, most)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_lines_is_cut_and_counted() {
    let scene = Scene::open(&flooding("")).await;
    let (written, most) = flood(&scene, "/misbehaving/flood?what=lines").await;
    assert!(written <= most, "{written} lines, at most {most}");
    assert!(written >= LINES_PER_SECOND, "{written} lines: it was no flood");
    let dropped = scene.hits("misbehaving", "log-lines").await;
    assert!(dropped > 0, "no lines are counted as dropped:\n{}", scene.metrics().await);
    eprintln!("{written} lines written, {dropped} dropped");
    scene.close_within(Duration::from_millis(250)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refused_attempts_is_cut_as_well() {
    let mut faults = Vec::new();
    let scene = Scene::open(&flooding("")).await;
    for path in [
        "/misbehaving/flood?what=fetches&authority=example.com",
        "/misbehaving/flood?what=fetches&authority=169.254.169.254",
        "/misbehaving/flood?what=fetches&authority=nobody.internal",
        "/misbehaving/flood?what=sockets",
    ] {
        let (written, most) = flood(&scene, path).await;
        eprintln!("{path}: {written} lines");
        if written > most {
            faults.push(format!("{path}: {written} lines, at most {most}"));
        }
        assert_eq!(scene.get("/misbehaving/ok").await.status, 200);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    scene.close_within(Duration::from_millis(250)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_of_a_guest_reach_no_terminal() {
    let scene = Scene::open(&flooding("")).await;
    let texts = [
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "one\r2026-01-01T00:00:00Z ERROR service=\"innocent\" it traps",
        "one\n2026-01-01T00:00:00Z ERROR service=\"innocent\" it traps",
        "null\u{0}and\u{7f}and\u{9b}31m",
        "\u{202e}right to left",
        "line\u{2028}separator\u{85}next",
    ];
    for text in texts {
        let request = scene.client.request(Method::GET, "/misbehaving/print").query(&[("text", text)]);
        assert_eq!(scene.client.send(request).await.body, "printed", "{text:?}");
    }
    scene.host.logged("separator").await;
    let (_, told, _) = scene.host.run(&["logs", "misbehaving"]);
    for log in [scene.host.log(), told] {
        let control = log.chars().find(|character| character.is_control() && *character != '\n');
        assert_eq!(control, None, "{log:?}");
        let forged = log.lines().find(|line| line.starts_with("2026-01-01T00:00:00Z"));
        assert_eq!(forged, None);
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_endless_line_comes_in_pieces() {
    let scene = Scene::open(&flooding("")).await;
    let path = "/misbehaving/hoard?what=output&count=300";
    let answer = scene.get(path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let longest = scene.host.log().lines().map(str::len).max().unwrap();
    assert!(longest < 10 * 1024, "a line of {longest} bytes");
    scene.close_within(Duration::from_millis(250)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_nobody() {
    let _stage = stage().await;
    let mut host = Host::prepare(&flooding(""));
    host.launch_unread().await;
    let client = host.client();
    // A pipe takes 64 KiB.
    let answer = client.get("/misbehaving/flood?what=lines&count=2000").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(client.get("/misbehaving/ok").await.status, 200);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    let dropped = samples(&host, "hostel_log_lines_dropped").await;
    assert!(dropped.iter().any(|sample| sample.value > 0.0), "no lines are counted as dropped");
}
