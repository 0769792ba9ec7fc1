//! Promises 1 and 2: a trap is told in time, in full and to nobody else; it leaks nothing; after the head of a
//! response it cuts the response.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::gateway::raw;
use crate::limits::probe;
use crate::support::client::Client;
use crate::support::guests::repository;
use crate::support::host::Host;
use crate::support::process::rss_kib;
use crate::support::scene::{Scene, service};

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a trap may take to be told.
const TOLD_TIME_MAX: Duration = Duration::from_millis(100);

/// Of so many tries the middle one counts: a shared machine is slow now and then by itself.
const TRIES: usize = 5;

/// Traps in a row, how many services do them at once, and after how many of them the memory is looked at first.
const TRAPS: usize = 10_000;
const SERVICES: usize = 4;
const TRAPS_BEFORE: usize = 2_000;

/// One fewer than open the circuit of a service; then it answers once, which closes it.
const TRAPS_AT_ONCE: usize = 4;

/// A response of which the beginning is sent before its end is there.
const BEGUN_BYTES: usize = 300_000;

/// What the later eight thousand traps may add to the memory: nothing but what allocators keep.
const GROWTH_KIB_MAX: u64 = 16 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_is_told_at_once_whatever_its_kind() {
    let scene = Scene::open(&probe("probe", "")).await;
    for misdeed in ["trap", "recurse", "exit", "no-response"] {
        let mut times = Vec::new();
        for _ in 0..TRIES {
            let began = Instant::now();
            let answer = scene.get(&format!("/probe/{misdeed}")).await;
            times.push(began.elapsed());
            assert_eq!((answer.status, &answer.body["status"]), (502, &502.into()), "{misdeed}: {answer:?}");
            assert_eq!(scene.get("/probe/ok").await.status, 200);
        }
        times.sort_unstable();
        assert!(times[TRIES / 2] < TOLD_TIME_MAX, "{misdeed}: {times:?}");
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_where_a_trap_was_and_how_it_came_to_it() {
    let lines = "calls = [\"innocent\"]";
    let scene = Scene::open(&(probe("probe", "") + &service("misbehaving", "misbehaving", lines))).await;
    let cases = [
        ("/probe/trap", "probe", vec!["probe::failing::trap", " ms of them computing", " KiB of memory"]),
        ("/probe/recurse", "probe", vec!["call stack exhausted", "probe::failing::descend"]),
        ("/probe/exit", "probe", vec!["exited with code 1", "std::process::exit"]),
        ("/probe/no-response", "probe", vec!["no response"]),
        (
            "/misbehaving/reach?authority=innocent.internal&path=/innocent/ok&trap=yes",
            "misbehaving",
            vec![
                "misbehaving::calling::reach",
                "last host calls: http GET http://innocent.internal/innocent/ok",
            ],
        ),
    ];
    for (path, service, parts) in cases {
        let response = scene.client.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 502, "{path}");
        let request = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let deadline = Instant::now() + PATIENCE;
        let told = loop {
            let log = scene.host.log();
            let told = log.lines().find(|line| line.contains(&request) && line.contains("ERROR"));
            match told {
                Some(told) => break told.to_owned(),
                None => assert!(Instant::now() < deadline, "{path} was not logged:\n{log}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let everywhere = [
            format!("service=\"{service}\""),
            "version=1".to_owned(),
            format!("instance=\"{service}-v1-"),
            format!("route /{service}/{{*rest}}"),
            "trace=\"".to_owned(),
        ];
        let parts = everywhere.iter().map(String::as_str).chain(parts);
        for part in parts {
            assert!(told.contains(part), "{path}: {part:?} is not in {told}");
        }
        // Who is outside learns nothing of it.
        let body = response.text().await.unwrap();
        assert!(!body.contains("misbehaving::") && !body.contains("probe::"), "{body}");
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_file_and_line_where_the_component_carries_them() {
    let config = format!(
        "[services.lined]\ncomponent = {:?}\n[[routes]]\npath = \"/{{*rest}}\"\nservice = \"lined\"\n",
        component_with_lines("misbehaving")
    );
    let host = Host::start(&config).await;
    assert_eq!(host.client().get("/reach?authority=a&trap=yes").await.status, 502);
    host.logged("trap: ").await;
    let log = host.log();
    let told = log.lines().find(|line| line.contains("trap: ")).unwrap();
    assert!(told.contains("reach (") && told.contains("src/calling.rs:"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_traps_in_a_row_leak_nothing() {
    let config: String = (0..SERVICES).map(|number| probe(&format!("probe{number}"), "")).collect();
    let scene = Scene::open(&config).await;
    trap(&scene.client, TRAPS_BEFORE).await;
    let (memory_kib, descriptors) = (rss_kib(scene.host.process()), scene.descriptors());
    let began = Instant::now();
    trap(&scene.client, TRAPS - TRAPS_BEFORE).await;
    eprintln!("{} traps took {:?}", TRAPS - TRAPS_BEFORE, began.elapsed());
    let growth_kib = rss_kib(scene.host.process()).saturating_sub(memory_kib);
    assert!(growth_kib < GROWTH_KIB_MAX, "{growth_kib} KiB more than after {TRAPS_BEFORE} traps");
    // Connections of clients come and go, one for each request under way.
    assert!(scene.descriptors() < descriptors + 100, "{} and {descriptors} descriptors", scene.descriptors());
    let mut traps = 0;
    for number in 0..SERVICES {
        let name = format!("probe{number}");
        traps += scene.count("hostel_guest_failures_total", &[("service", &name), ("reason", "trap")]).await;
        let instances = scene.host.run_json(&["instances", &name]).as_array().unwrap().len();
        assert!(instances <= 1, "{instances} instances of {name} for one call at a time");
    }
    assert_eq!(traps, TRAPS as u64);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_trap_cuts_a_response_of_http_1() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", "")).await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    for _ in 0..TRIES {
        // The connection is closed by the gateway, though nobody asked for that.
        let path = format!("/misbehaving/say?bytes={BEGUN_BYTES}&trap=yes");
        let chunked = raw(&scene.host, &request(&path)).await;
        assert!(chunked.starts_with("HTTP/1.1 200"), "{chunked}");
        assert!(!chunked.contains("\r\n0\r\n"), "the last chunk says that all went well: {chunked}");
        let counted = raw(&scene.host, &request(&format!("{path}&field=content-length:{BEGUN_BYTES}"))).await;
        assert!(counted.starts_with("HTTP/1.1 200"), "{counted}");
        let body = counted.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!(body.len() < BEGUN_BYTES, "all the bytes say that all went well");
        assert_eq!(scene.get("/misbehaving/ok").await.status, 200);
    }
    scene.host.logged("the guest traps late").await;
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_trap_behind_a_small_response_is_an_error_since_nothing_of_it_was_sent() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", "")).await;
    for field in ["", "&field=content-length:10", "&trailer=x-checksum:7"] {
        let answer = scene.get(&format!("/misbehaving/say?bytes=10&trap=yes{field}")).await;
        assert_eq!(answer.status, 502, "{field}: {answer:?}");
        assert_eq!(scene.get("/misbehaving/ok").await.status, 200);
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_trap_resets_a_stream_of_http_2() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", "")).await;
    let counted = format!("&field=content-length:{BEGUN_BYTES}");
    for field in ["", &counted] {
        let path = format!("/misbehaving/say?bytes={BEGUN_BYTES}&trap=yes{field}");
        let frames = frames_of(&scene, &path).await;
        assert!(frames.contains(&RST_STREAM), "{path}: {frames:?}");
        assert!(!frames.contains(&END), "a stream that has ended says that all went well: {frames:?}");
        assert_eq!(scene.get("/misbehaving/ok").await.status, 200);
    }
    scene.close().await;
}

/// A frame that resets a stream (RFC 9113, 6.4), and what stands for a flag that ends one.
const RST_STREAM: u8 = 3;
const END: u8 = 0xff;

/// The kinds of the frames that answer a request of HTTP/2 on its stream, until it ends.
async fn frames_of(scene: &Scene, path: &str) -> Vec<u8> {
    let mut connection = TcpStream::connect(scene.host.gateway_address()).await.unwrap();
    // GET, http, path and authority without the dynamic table (RFC 7541, 6.2.2).
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'a']);
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // A window that the response does not fill, for its stream and for the connection (RFC 9113, 6.5.2 and 6.9).
    request.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0x10, 0, 0]);
    request.extend([0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0x10, 0, 0]);
    request.extend([0, 0, u8::try_from(block.len()).unwrap(), 1, 0x05, 0, 0, 0, 1]);
    request.extend(block);
    connection.write_all(&request).await.unwrap();
    let mut kinds = Vec::new();
    let read = async {
        loop {
            let mut head = [0; 9];
            connection.read_exact(&mut head).await.unwrap();
            let [.., length, kind, flags, _, _, _, stream] = head;
            let length = usize::from(head[1]) << 8 | usize::from(length);
            connection.read_exact(&mut vec![0; length]).await.unwrap();
            if stream != 1 {
                continue;
            }
            kinds.push(kind);
            if kind <= 1 && flags & 1 == 1 {
                kinds.push(END);
            }
            if matches!(kinds.last(), Some(&RST_STREAM | &END)) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the stream neither ends nor is reset");
    kinds
}

/// So many traps, on all services.
async fn trap(client: &Client, count: usize) {
    let mut tasks = JoinSet::new();
    for number in 0..SERVICES {
        let client = client.clone();
        tasks.spawn(async move {
            for turn in 0..count / SERVICES {
                let answer = client.get(&format!("/probe{number}/trap")).await;
                assert_eq!(answer.status, 502, "{answer:?}");
                if turn % TRAPS_AT_ONCE == TRAPS_AT_ONCE - 1 {
                    assert_eq!(client.get(&format!("/probe{number}/ok")).await.status, 200);
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
}

/// A component with the names of its files and the numbers of their lines.
fn component_with_lines(package: &str) -> PathBuf {
    let folder = repository().join("target/lines");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--target", "wasm32-wasip2", "-p", package]);
    cargo.env("RUSTFLAGS", "-Cstrip=none").env("CARGO_TARGET_DIR", &folder).current_dir(repository());
    let built = cargo.status().unwrap();
    assert!(built.success(), "{package} could not be built");
    folder.join(format!("wasm32-wasip2/release/{package}.wasm"))
}
