//! Behaviours of the listener, seen from a raw socket.

use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::backends::key_value::KeyValue;
use crate::config::{CacheLimits, CacheRules, ListenerConfig, Policies, Target};
use crate::registry::Registry;
use crate::sessions::Sessions;

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the page of the test folder says.
const PAGE: &str = "home";

struct Running {
    gateway: Arc<Gateway>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    folder: PathBuf,
}

fn config() -> GatewayConfig {
    GatewayConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        body_bytes_max: 1000,
        access_log: None,
        connections_max: 100,
        connections_per_address_max: 50,
        requests_max: 100,
        header_timeout: PATIENCE,
        body_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        write_timeout: PATIENCE,
        drain: PATIENCE,
        listener: ListenerConfig::default(),
        policies: Policies::default(),
        cache: CacheLimits { size_bytes: 1 << 20, entry_bytes: 1 << 20 },
        cache_rules: CacheRules::default(),
        cache_purged_by: Vec::new(),
        login: None,
    }
}

/// A gateway with files below `/` and a service that is not there below `/api`.
async fn start(name: &str, change: impl FnOnce(&mut GatewayConfig)) -> Running {
    let folder = std::env::temp_dir().join(format!("hostel-gateway-{name}-{}", std::process::id()));
    let site = folder.join("site");
    std::fs::create_dir_all(&site).unwrap();
    std::fs::write(site.join("index.html"), PAGE).unwrap();
    std::fs::write(site.join("large.bin"), vec![b'x'; 20_000_000]).unwrap();
    let mut config = config();
    change(&mut config);
    let metrics = Arc::new(Metrics::new());
    let store = KeyValue::open(&folder.join("host.sqlite")).await.unwrap();
    let sessions = Sessions::open(store).await.unwrap();
    let gateway = Arc::new(Gateway::bind(&config, sessions, metrics.clone()).await.unwrap());
    let balancer = Balancer::new(Arc::new(Registry::default()), metrics, "test".into());
    let routes = [
        ("/{*rest}", Target::Files(site.into())),
        ("/api/{*rest}", Target::Service("gone".parse().unwrap())),
    ];
    let routes = routes.map(|(path, target)| RouteConfig {
        host: None,
        path: path.into(),
        methods: Vec::new(),
        conditions: crate::config::Conditions::default(),
        target,
        transform: crate::config::Transform::default(),
        time: None,
        body_bytes_max: None,
        policies: Policies::default(),
        retry: None,
        auth: None,
        cache: None,
        line: 1,
    });
    gateway.set_routes(&config, &routes, &balancer).unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(gateway.clone().run(shutdown.clone(), PATIENCE));
    Running { gateway, shutdown, task, folder }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.gateway.local_address()).await.unwrap()
    }

    /// Everything that comes until the gateway closes the connection.
    async fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        rest(&mut stream).await
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
        std::fs::remove_dir_all(self.folder).unwrap();
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("the connection stays open").unwrap_or_default();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one response whose body is the page.
async fn read_page(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    while !answer.ends_with(PAGE) {
        let mut bytes = [0; 4096];
        let count = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
        assert!(count > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    answer
}

#[tokio::test]
async fn malformed_requests_get_400_and_the_connection_closes() {
    let running = start("malformed", |_| ()).await;
    // What follows each of them must never be answered as a request.
    let smuggled = "GET /api/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a/x\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nhost: a\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
        "POST /api HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "POST /api HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
        "POST /api HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /api HTTP/1.1\r\nhost: a\r\ntransfer-encoding: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n folded\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let answer = running.send(format!("{head}{smuggled}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "),
            "{head}\n{answer}"
        );
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{head}\n{answer}");
    }
    running.stop().await;
}

#[tokio::test]
async fn limits_answer_early() {
    let running = start("limits", |_| ()).await;
    let long = "x".repeat(9_000);
    let answer = running.send(format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
    let longer = "x".repeat(60_000);
    let answer = running.send(format!("GET /{longer} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
    let fields = "x: 1\r\n".repeat(100);
    let answer = running.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let field = "x".repeat(33_000);
    let answer = running.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {field}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let body = "x".repeat(200_000);
    let answer =
        running.send(format!("POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n{body}")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let answer = running
        .send("POST /api HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2000\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let expect = "GET / HTTP/1.1\r\nhost: a\r\nexpect: miracles\r\nconnection: close\r\n\r\n";
    assert!(running.send(expect).await.starts_with("HTTP/1.1 417 "));
    running.stop().await;
}

#[tokio::test]
async fn refusals_are_problem_documents_with_the_request_id() {
    let running = start("problems", |_| ()).await;
    let answer = running.send("GET /api HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["status"], 503);
    let id = problem["instance"].as_str().unwrap();
    assert!(head.contains(&format!("x-request-id: {id}")), "{head}");
    assert!(head.contains("application/problem+json"), "{head}");
    let answer =
        running.send("GET /no HTTP/1.1\r\nhost: a\r\naccept: text/html\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("<title>404 Not found"), "{answer}");
    let answer = running.send("DELETE / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn files_have_validators_and_ranges() {
    let running = start("files", |_| ()).await;
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n");
    let answer = running.send(get("")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(PAGE), "{answer}");
    for field in [
        "cache-control: no-cache",
        "content-type: text/html; charset=utf-8",
        "x-content-type-options: nosniff",
    ] {
        assert!(answer.contains(field), "{answer}");
    }
    let etag = answer.lines().find(|line| line.starts_with("etag: ")).unwrap();
    let answer = running.send(get(&format!("if-none-match: {}\r\n", &etag["etag: ".len()..]))).await;
    assert!(answer.starts_with("HTTP/1.1 304 "), "{answer}");
    let answer = running.send(get("range: bytes=1-2\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 206 ") && answer.ends_with("\r\n\r\nom"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn a_connection_is_kept_and_pipelined_requests_are_answered_in_order() {
    let running = start("keep", |_| ()).await;
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(read_page(&mut stream).await.starts_with("HTTP/1.1 200 "));
    }
    stream
        .write_all(
            b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    let answer = rest(&mut stream).await;
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
    assert_eq!(answer.matches(PAGE).count(), 1, "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_and_told_to_go_at_the_end() {
    let running = start("http2", |_| ()).await;
    let stream = TokioIo::new(running.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for path in ["/", "/index.html"] {
        let uri = format!("http://{}{path}", running.gateway.local_address());
        let request = http::Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers().contains_key("x-request-id"));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), PAGE);
    }
    running.stop().await;
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_finishes_what_runs_and_refuses_what_is_new() {
    let running = start("drain", |_| ()).await;
    let address = running.gateway.local_address();
    let mut idle = running.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_page(&mut idle).await;
    let mut busy = running.connect().await;
    busy.write_all(b"GET /large.bin HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut first = [0; 1000];
    busy.read_exact(&mut first).await.unwrap();

    running.shutdown.cancel();
    assert_eq!(rest(&mut idle).await, "");
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.task.is_finished());
    let answer = rest(&mut busy).await;
    assert!(answer.len() + first.len() > 20_000_000, "{}", answer.len());
    running.stop().await;
}

#[tokio::test]
async fn slow_and_idle_clients_are_let_go() {
    let running = start("slow", |config| {
        config.header_timeout = Duration::from_millis(100);
        config.idle_timeout = Duration::from_millis(300);
        config.write_timeout = Duration::from_millis(300);
    })
    .await;
    for begun in ["", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost:"] {
        assert_eq!(running.send(begun).await, "", "{begun:?}");
    }
    let answer = running.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.ends_with(PAGE), "{answer}");
    // Nothing is read here, so the response stalls and the gateway gives up; then the rest is missing.
    let mut stalled = running.connect().await;
    stalled.write_all(b"GET /large.bin HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let in_flight = &running.gateway.shared.in_flight;
    let given_up = async {
        let mut begun = false;
        loop {
            let count = in_flight.load(std::sync::atomic::Ordering::Acquire);
            begun |= count > 0;
            if begun && count == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given_up).await.unwrap();
    assert!(rest(&mut stalled).await.len() < 20_000_000);
    running.stop().await;
}

#[tokio::test]
async fn an_http2_stream_whose_window_stays_shut_is_reset_alone() {
    let running = start("window", |config| config.write_timeout = Duration::from_millis(300)).await;
    let stream = TokioIo::new(running.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |path: &str| {
        let uri = format!("http://{}{path}", running.gateway.local_address());
        http::Request::get(uri).body(Empty::<Bytes>::new()).unwrap()
    };
    // Held and never read; the connection itself goes on reading and answering.
    let response = sender.send_request(request("/large.bin")).await.unwrap();
    let in_flight = &running.gateway.shared.in_flight;
    let given_up = async {
        while in_flight.load(std::sync::atomic::Ordering::Acquire) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given_up).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    let other = sender.send_request(request("/")).await.unwrap();
    assert_eq!(other.into_body().collect().await.unwrap().to_bytes(), PAGE);
    connection.abort();
    running.stop().await;
}

#[tokio::test]
async fn connections_over_a_limit_are_told_so() {
    let running = start("full", |config| config.connections_per_address_max = 1).await;
    let mut first = running.connect().await;
    first.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_page(&mut first).await;
    let mut second = running.connect().await;
    assert!(rest(&mut second).await.starts_with("HTTP/1.1 429 "));
    drop(first);
    // The place is free again as soon as the gateway has seen the first one close.
    let answered = async {
        while !running.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.contains(PAGE) {}
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn the_access_log_file_has_a_line_for_each_request() {
    let path = std::env::temp_dir().join(format!("hostel-access-{}.log", std::process::id()));
    let running = start("log", |config| config.access_log = Some(path.clone())).await;
    running.send("GET /index.html?secret=1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    running.send("GET /\"{x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    running.send("GET / HTTP/1.1\r\n\r\n").await;
    running.stop().await;
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<u64> = lines.iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 404, 400], "{text}");
    assert_eq!(lines[0]["path"], "/index.html");
    assert_eq!(lines[0]["bytes"], PAGE.len());
    assert_eq!(lines[0]["route"], "/{*rest}");
    assert_eq!(lines[0]["complete"], true);
    assert_eq!(lines[2]["refusal"], "malformed-request");
}
