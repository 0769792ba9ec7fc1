//! Limits that answer early, and clients that take their time: they lose their connection, the others nothing.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::gateway::raw;
use crate::limits::probe;
use crate::support::host::Host;

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Times that a test can wait for.
const SHORT_TIMES: &str = "header-timeout = \"500ms\"\nbody-timeout = \"500ms\"\nidle-timeout = \"500ms\"\n\
                           write-timeout = \"500ms\"\naccess-log = \"access.log\"\n";

/// More than all buffers between host and client hold.
const LARGE_BYTES: u64 = 32 << 20;

/// Slow clients of each kind, where the limit of open files allows.
const SLOW_CLIENTS_EACH: usize = 500;

/// How often a slow client sends a byte.
const SLOW_PACE: Duration = Duration::from_millis(500);

/// Requests of the fast client meanwhile, and how long each may take.
const FAST_REQUESTS: usize = 500;
const FAST_TIME_MAX: Duration = Duration::from_secs(5);

/// What clients begin and then take their time with; none of them ever reads.
const SLOW_KINDS: [&str; 4] = [
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx: ",
    "POST /probe/sql HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /large.bin HTTP/1.1\r\nhost: a\r\n\r\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_head_answer_before_it_has_ended() {
    let host = Host::start(&probe("probe", "")).await;
    let lines = |count: usize, length: usize| format!("x: {}\r\n", "y".repeat(length)).repeat(count);
    for (head, status) in [
        (format!("GET /{}", "x".repeat(8 << 10)), 414),
        (format!("{} / HTTP/1.1\r\n", "X".repeat(9 << 10)), 414),
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(32 << 10)), 431),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{}", "x".repeat(33 << 10)), 431),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{}", lines(100, 1)), 431),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{}", lines(60, 600)), 431),
    ] {
        let answer = raw(&host, &head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{:?}\n{answer}", &head[..40]);
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
    let most = format!("GET /probe/ok HTTP/1.1\r\nhost: a\r\n{}connection: close\r\n\r\n", lines(98, 300));
    assert!(raw(&host, &most).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_body_answer_before_it_has_come() {
    let host = Host::start(&probe("probe", "")).await;
    let head = "POST /probe/sql HTTP/1.1\r\nhost: a\r\n";
    for length in [(10 << 20) + 1, u64::from(u32::MAX)] {
        let answer = raw(&host, &format!("{head}content-length: {length}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{length}: {answer}");
    }
    let small = Host::start(&format!("body = \"1KiB\"\n{}", probe("probe", ""))).await;
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1 << 10));
    let answer = raw(&small, &format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}1\r\nx\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_a_limit_are_refused_and_the_others_go_on() {
    for (limit, status) in [("connections-max", "503"), ("connections-per-address-max", "429")] {
        let host = Host::start(&format!("{limit} = 3\n{}", probe("probe", ""))).await;
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut stream = connect(host.gateway_address()).await;
            ask(&mut stream).await;
            open.push(stream);
        }
        let refused = ended(&mut connect(host.gateway_address()).await).await;
        assert!(refused.starts_with(&format!("HTTP/1.1 {status} ")), "{limit}: {refused}");
        for stream in &mut open {
            ask(stream).await;
        }
        open.pop();
        let deadline = Instant::now() + PATIENCE;
        let again = "GET /probe/ok HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        while !raw(&host, again).await.starts_with("HTTP/1.1 200 ") {
            assert!(Instant::now() < deadline, "{limit}: the place is never free again");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_lose_their_connection() {
    let host = start(SHORT_TIMES).await;
    let [head, body, idle, unread] = SLOW_KINDS;
    let chunked = "POST /probe/sql HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffff\r\n";
    for (begun, pace, status) in [
        ("", None, ""),
        (head, None, ""),
        (head, Some(20), ""),
        (body, None, "HTTP/1.1 408 "),
        (body, Some(20), "HTTP/1.1 408 "),
        (chunked, Some(20), "HTTP/1.1 408 "),
        (idle, None, "HTTP/1.1 204 "),
    ] {
        let (mut read, mut write) = connect(host.gateway_address()).await.into_split();
        write.write_all(begun.as_bytes()).await.unwrap();
        let writing = tokio::spawn(async move {
            while let Some(pace) = pace {
                tokio::time::sleep(Duration::from_millis(pace)).await;
                if write.write_all(b"x").await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        });
        let mut answer = Vec::new();
        let end = tokio::time::timeout(PATIENCE, read.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "{begun:?} at {pace:?}: the connection stays open");
        writing.abort();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(status), "{begun:?} at {pace:?}: {answer}");
        assert_eq!(answer.is_empty(), status.is_empty(), "{begun:?} at {pace:?}: {answer}");
    }

    let mut stalled = connect(host.gateway_address()).await;
    stalled.write_all(unread.as_bytes()).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !has_given_up(&host) {
        assert!(Instant::now() < deadline, "the response stays in flight");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let read = ended(&mut stalled).await;
    assert!((read.len() as u64) < LARGE_BYTES, "all of it was buffered");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_slow_clients_do_not_stop_a_fast_one() {
    let host = start("connections-per-address-max = 5000\n").await;
    let address = host.gateway_address();
    let each = SLOW_CLIENTS_EACH.min(open_files_max().saturating_sub(500) / SLOW_KINDS.len());
    let begun = Arc::new(AtomicUsize::new(0));
    let mut slow = JoinSet::new();
    for kind in SLOW_KINDS {
        for _ in 0..each {
            slow.spawn(be_slow(address, kind, begun.clone()));
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while begun.load(Ordering::Acquire) < each * SLOW_KINDS.len() {
        assert!(Instant::now() < deadline, "{begun:?} slow clients got a connection");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let client = host.client();
    for index in 0..FAST_REQUESTS {
        let started = Instant::now();
        let answer = client.get("/innocent/ok").await;
        assert_eq!(answer.status, 200, "request {index}: {answer:?}");
        assert!(started.elapsed() < FAST_TIME_MAX, "request {index} took {:?}", started.elapsed());
    }
    // Those whose body is slow hold the instances of their own service only.
    assert!(slow.try_join_next().is_none(), "slow clients never give up");
}

/// A service for the slow, one for the innocent, and a file that does not fit into any buffer.
async fn start(settings: &str) -> Host {
    let files = "[[routes]]\npath = \"/{*rest}\"\nfiles = \"site\"\n";
    let services = probe("probe", "") + &probe("innocent", "");
    let mut host = Host::prepare(&format!("{settings}{services}{files}"));
    fs::create_dir(host.path("site")).unwrap();
    File::create(host.path("site/large.bin")).unwrap().set_len(LARGE_BYTES).unwrap();
    host.launch().await;
    host
}

/// Begins again when the host has had enough. Behind a whole request it sends nothing, and reads nothing.
async fn be_slow(address: SocketAddr, kind: &'static str, begun: Arc<AtomicUsize>) {
    let is_whole = kind.ends_with("\r\n\r\n") && !kind.starts_with("POST");
    let mut stream = connect(address).await;
    // A host that refuses at once is as good as one that accepts: the client tries again below.
    let mut is_open = stream.write_all(kind.as_bytes()).await.is_ok();
    begun.fetch_add(1, Ordering::AcqRel);
    loop {
        while is_open {
            tokio::time::sleep(SLOW_PACE).await;
            is_open = is_whole || stream.write_all(b"x").await.is_ok();
        }
        stream = connect(address).await;
        is_open = stream.write_all(kind.as_bytes()).await.is_ok();
    }
}

/// A connection of a client that can take only little at a time.
async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.connect(address).await.unwrap()
}

/// One request on a connection that stays open.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        let mut bytes = [0; 4096];
        let count = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
        assert!(count > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
}

/// Everything that comes until the gateway closes the connection.
async fn ended(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("the connection stays open").unwrap_or_default();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether the response with the large file has ended before its end.
fn has_given_up(host: &Host) -> bool {
    let log = fs::read_to_string(host.path("access.log")).unwrap_or_default();
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.any(|line| line["path"] == "/large.bin" && line["complete"] == false)
}

/// How many files this process, and so the host that it starts, may have open.
fn open_files_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}
