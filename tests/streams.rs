//! What passes to external services beside plain requests: WebSocket, gRPC, events, TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use reqwest::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::gateway::raw;
use crate::support::authority::Authority;
use crate::support::guests::component;
use crate::support::host::Host;
use crate::support::upstream::{Mood, STREAMS_MAX, Upstream};

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// When nothing has changed for so long, nothing goes on.
const MOMENT: Duration = Duration::from_millis(500);

/// The handshake of a WebSocket (RFC 6455, 1.2), or of another protocol, that asks to close when it is refused.
fn handshake(path: &str, upgrade: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: {upgrade}\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A host with a service at this address, below `/up`.
async fn start(url: &str, keys: &str) -> Host {
    let route = "[[routes]]\npath = \"/up/{*rest}\"\nservice = \"up\"\n";
    Host::start(&format!("[services.up]\nupstreams = [{url:?}]\n{keys}\n{route}")).await
}

/// A server that sends back every WebSocket message.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_close() || socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_passes_through_and_a_drain_waits_for_it() {
    let mut host = start(&format!("http://{}", echo().await), "").await;
    let url = format!("ws://{}/up/socket", host.gateway_address());
    let (mut socket, response) = tokio_tungstenite::connect_async(url).await.unwrap();
    assert_eq!(response.status(), 101);
    assert!(response.headers().contains_key("x-request-id"));
    let large = Message::binary(vec![7; 1 << 20]);
    for message in [Message::text("there and back"), large] {
        socket.send(message.clone()).await.unwrap();
        let echoed = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(echoed, message);
    }
    host.signal("TERM");
    let address = host.gateway_address();
    let deadline = Instant::now() + PATIENCE;
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "it goes on to accept");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    socket.send(Message::text("still there")).await.unwrap();
    let echoed = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(echoed, Message::text("still there"));
    socket.close(None).await.unwrap();
    // The echo hangs up without a farewell of its own.
    while socket.next().await.is_some_and(|message| message.is_ok()) {}
    drop(socket);
    assert!(host.wait_for_end().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_without_a_byte_is_closed_in_the_end() {
    let host = start(&format!("http://{}", echo().await), "limits = { idle = \"200ms\" }").await;
    let url = format!("ws://{}/up/socket", host.gateway_address());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap();
    assert!(!matches!(ended, Some(Ok(_))), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_its_answer_lets_go_of_what_was_asked_for_it() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let host = start(&url, "limits = { time = \"10m\" }").await;
    let body = "content-length: 4\r\n\r\nbody";
    for rest in ["\r\n", body] {
        let mut client = TcpStream::connect(host.gateway_address()).await.unwrap();
        let head = format!("POST /up/silent HTTP/1.1\r\nhost: a\r\n{rest}");
        client.write_all(head.as_bytes()).await.unwrap();
        let (mut asked, _) = silent.accept().await.unwrap();
        let mut seen = [0; 4096];
        assert!(asked.read(&mut seen).await.unwrap() > 0);
        drop(client);
        let let_go = async { while asked.read(&mut seen).await.is_ok_and(|bytes| bytes > 0) {} };
        tokio::time::timeout(PATIENCE, let_go).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_breaks_its_body_off_and_listens_on_is_told_so() {
    let up = Upstream::start().await;
    let host = start(&up.url(), "").await;
    let mut client = TcpStream::connect(host.gateway_address()).await.unwrap();
    let begun = b"POST /up/echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    client.write_all(begun).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, client.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("body-broken"), "{answer}");
}

/// A connection whose client takes little at once.
async fn narrow(host: &Host) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(host.gateway_address()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_answers_a_websocket_otherwise_is_heard() {
    let up = Upstream::start().await;
    let host = start(&up.url(), "").await;
    let answer = raw(&host, &handshake("/up/socket", "websocket")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for told in
        ["\"upgrade\":\"websocket\"", "\"connection\":\"upgrade\"", "\"sec-websocket-version\":\"13\""]
    {
        assert!(answer.contains(told), "{told}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_the_connection_is_never_upgraded() {
    let up = Upstream::start().await;
    let host = start(&up.url(), "").await;
    for protocol in ["h2c", "TLS/1.0", "websocket, h2c"] {
        let answer = raw(&host, &handshake("/up/x", protocol)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{protocol}: {answer}");
        assert!(!answer.contains("\"upgrade\""), "{protocol}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_to_a_component_is_refused() {
    let probe = component("probe").display().to_string();
    let host = Host::start(&format!(
        "[services.probe]\ncomponent = {probe:?}\nbuild = \"true\"\ndatabase = \"embedded\"\n\
         publishes = [\"probe.*\"]\nbuckets = [\"probe\"]\n\
         [[routes]]\npath = \"/probe/{{*rest}}\"\nservice = \"probe\"\n"
    ))
    .await;
    let answer = raw(&host, &handshake("/probe/ok", "websocket")).await;
    assert!(answer.starts_with("HTTP/1.1 501 ") && answer.contains("no-upgrade"), "{answer}");
    let answer = raw(&host, &handshake("/probe/ok", "h2c")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_passes_through_with_its_trailers() {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop", ServingStatus::NotServing).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    let host = Host::start(&format!(
        "[services.up]\nupstreams = [\"http://{address}\"]\nhttp = \"2\"\n\
         [[routes]]\npath = \"/grpc.health.v1.Health/{{*rest}}\"\nservice = \"up\"\n"
    ))
    .await;
    let http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let mut client = HealthClient::with_origin(http, host.gateway().parse().unwrap());
    let about = |service: &str| HealthCheckRequest { service: service.into() };
    let (serving, not_serving) = (1, 2);
    assert_eq!(client.check(about("")).await.unwrap().into_inner().status, serving);
    assert_eq!(client.check(about("shop")).await.unwrap().into_inner().status, not_serving);
    // The status of an error stands in the trailers, or in a header that stands for them.
    let unknown = client.check(about("nobody")).await.unwrap_err();
    assert_eq!(i32::from(unknown.code()), 5, "{unknown:?}");
    // Each message of a stream comes when it is sent.
    let mut watched = client.watch(about("shop")).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, not_serving);
    reporter.set_service_status("shop", ServingStatus::Serving).await;
    let next = tokio::time::timeout(PATIENCE, watched.message()).await.unwrap();
    assert_eq!(next.unwrap().unwrap().status, serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_reaches_components_with_its_trailers() {
    let route = "[[routes]]\npath = \"/grpc.health.v1.Health/{*rest}\"\nservice = \"probe\"\n";
    let host = Host::start(&(crate::limits::probe("probe", "") + route)).await;
    let http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let mut client = HealthClient::with_origin(http, host.gateway().parse().unwrap());
    let about = |service: &str| HealthCheckRequest { service: service.into() };
    assert_eq!(client.check(about("")).await.unwrap().into_inner().status, 1);
    assert_eq!(client.check(about("shop")).await.unwrap().into_inner().status, 1);
    let unknown = client.check(about("nobody")).await.unwrap_err();
    assert_eq!((i32::from(unknown.code()), unknown.message()), (5, "told by the guest"));
    let trailers = unknown.metadata();
    assert!(trailers.get("x-request-id").is_some(), "the head is read too: {trailers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_carries_more_requests_than_one_connection_takes() {
    let up = Upstream::start().await;
    let host = start(&up.url(), "http = \"2\"\nlimits = { time = \"60s\" }").await;
    up.set(Mood::Silent);
    let count = STREAMS_MAX as usize * 3 / 2;
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let client = host.client();
        requests.spawn(async move { client.get("/up/x").await.status });
    }
    let deadline = Instant::now() + PATIENCE;
    while up.asked() < count {
        assert!(Instant::now() < deadline, "{} of {count} have come", up.asked());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    up.set(Mood::Well);
    assert!(requests.join_all().await.iter().all(|status| *status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_stop_nobody_on_the_same_connection() {
    let up = Upstream::start().await;
    let host = start(&up.url(), "http = \"2\"").await;
    let mut unread = Vec::new();
    for _ in 0..4 {
        let mut client = narrow(&host).await;
        client.write_all(b"GET /up/long HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        unread.push(client);
    }
    // All buffers on the way are full when nothing more is taken for a while.
    let (mut taken, mut since) = (0, Instant::now());
    while since.elapsed() < MOMENT {
        if up.taken() != taken {
            (taken, since) = (up.taken(), Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answer = tokio::time::timeout(PATIENCE / 2, host.client().get("/up/x")).await;
    assert_eq!(answer.expect("slow readers stop it").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_hangs_counts_into_the_time_to_connect() {
    let authority = Authority::new("upstreams");
    let well = Upstream::start_with(Some(acceptor(&authority, "127.0.0.1"))).await;
    // It takes connections and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut host = Host::prepare(&format!(
        "[services.up]\nupstreams = [\"https://{}\", \"https://{}\"]\nca = \"ca.pem\"\n\
         connect-timeout = \"200ms\"\nretry = {{ budget = 100 }}\noutlier = false\n\
         [[routes]]\npath = \"/up/{{*rest}}\"\nservice = \"up\"\n",
        mute.local_addr().unwrap(),
        well.address
    ));
    std::fs::write(host.path("ca.pem"), authority.pem()).unwrap();
    host.launch().await;
    for _ in 0..4 {
        let request = host.client().request(Method::POST, "/up/x").body("not sent yet");
        let answer = host.client().send(request).await;
        assert_eq!((answer.status, &answer.body["body"]), (200, &Value::from("not sent yet")), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_chooses_the_host_at_an_address_that_offers_http2() {
    let authority = Authority::new("upstreams");
    let up = Upstream::start_with(Some(acceptor(&authority, "127.0.0.1"))).await;
    let mut host = Host::prepare(&format!(
        "[services.up]\nupstreams = [\"https://{}\"]\nca = \"ca.pem\"\n\
         [[routes]]\npath = \"/up/{{*rest}}\"\nservice = \"up\"\n\
         [[routes]]\npath = \"/named/{{*rest}}\"\nservice = \"up\"\nrequest-headers = {{ host = \"shop.internal\" }}\n",
        up.address
    ));
    std::fs::write(host.path("ca.pem"), authority.pem()).unwrap();
    host.launch().await;
    let plain = host.client().get("/up/x").await;
    assert_eq!((plain.status, &plain.body["version"]), (200, &Value::from("HTTP/2.0")), "{plain:?}");
    let named = host.client().get("/named/x").await;
    assert_eq!((named.status, &named.body["headers"]["host"]), (200, &"shop.internal".into()), "{named:?}");
    // Over HTTP/2 there would be two hosts: the authority is that of the address.
    assert_eq!(named.body["version"], "HTTP/1.1", "{named:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_they_are_sent() {
    let up = Upstream::start().await;
    let host = start(&up.url(), "").await;
    let mut response = reqwest::get(format!("{}/up/events", host.gateway())).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let first = tokio::time::timeout(PATIENCE, response.chunk()).await.unwrap();
    assert_eq!(first.unwrap().unwrap(), "data: 0\n\n");
    up.set(Mood::Silent);
    assert_eq!(response.chunk().await.unwrap().unwrap(), "data: 1\n\n");
    assert_eq!(response.chunk().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_byte_is_cut() {
    let up = Upstream::start().await;
    let host = start(&up.url(), "limits = { idle = \"200ms\" }").await;
    let mut response = reqwest::get(format!("{}/up/events", host.gateway())).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "data: 0\n\n");
    assert!(tokio::time::timeout(PATIENCE, response.chunk()).await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_an_address_must_lead_to_an_authority() {
    let authority = Authority::new("upstreams");
    let up = Upstream::start_with(Some(acceptor(&authority, "127.0.0.1"))).await;
    let misnamed = Upstream::start_with(Some(acceptor(&authority, "127.0.0.2"))).await;
    let url = |upstream: &Upstream| format!("https://{}", upstream.address);
    let service = |name: &str, url: &str, keys: &str| {
        format!(
            "[services.{name}]\nupstreams = [{url:?}]\n{keys}\n\
             [[routes]]\npath = \"/{name}/{{*rest}}\"\nservice = \"{name}\"\n"
        )
    };
    let mut host = Host::prepare(
        &[
            service("any", &url(&up), "ca = \"ca.pem\""),
            service("old", &url(&up), "ca = \"ca.pem\"\nhttp = \"1.1\""),
            service("public", &url(&up), ""),
            service("stranger", &url(&up), "ca = \"other.pem\""),
            service("misnamed", &url(&misnamed), "ca = \"ca.pem\""),
        ]
        .concat(),
    );
    std::fs::write(host.path("ca.pem"), authority.pem()).unwrap();
    std::fs::write(host.path("other.pem"), Authority::new("others").pem()).unwrap();
    host.launch().await;
    for (name, version) in [("any", "HTTP/2.0"), ("old", "HTTP/1.1")] {
        let answer = host.client().get(&format!("/{name}/x")).await;
        assert_eq!((answer.status, &answer.body["version"]), (200, &Value::from(version)), "{name}");
    }
    let before = up.asked() + misnamed.asked();
    for name in ["public", "stranger", "misnamed"] {
        assert_eq!(host.client().get(&format!("/{name}/x")).await.status, 502, "{name}");
    }
    assert_eq!(up.asked() + misnamed.asked(), before);
}

/// TLS with both versions of HTTP and a certificate for this name.
fn acceptor(authority: &Authority, name: &str) -> TlsAcceptor {
    let (certificate, key) = authority.issue(name, &[name]);
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}
