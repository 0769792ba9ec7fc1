//! TLS as clients meet it: certificates by name, both versions of HTTP, client certificates, renewal, drain.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::gateway::external;
use crate::support::authority::Authority;
use crate::support::host::Host;

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections that are kept alive while a certificate is swapped.
const CONNECTIONS: usize = 8;

/// How often it is swapped meanwhile.
const SWAPS: usize = 5;

/// A page for each of two names.
const CERTIFICATES: &str = "[gateway.tls]\ncertificates = [\n\
     { certificate = \"shop.pem\", key = \"shop.key\" },\n\
     { certificate = \"blog.pem\", key = \"blog.key\" },\n]\n";

/// Where the files of the tests are served.
const SITE: &str = "[[routes]]\npath = \"/{*rest}\"\nfiles = \"site\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_served_through_tls_by_name() {
    let authority = Authority::new("tests");
    let host = start(&authority, &format!("{CERTIFICATES}{SITE}")).await;
    assert!(host.gateway().starts_with("https://"), "{}", host.gateway());
    for (version, shown) in [("--http2", "2"), ("--http1.1", "1.1")] {
        for name in ["shop.test", "www.shop.test", "blog.test"] {
            let answer = curl(&host, name, "/", &[version, "-w", " %{http_version}"]).await;
            assert_eq!(answer, format!("home {shown}"), "{version} {name}");
        }
    }
    for (name, subject) in [("shop.test", "shop 1"), ("any.blog.test", "blog 1"), ("unknown.test", "shop 1")]
    {
        assert!(shaken(&host, &["-servername", name]).await.contains(&subject_line(subject)), "{name}");
    }
    assert!(shaken(&host, &["-noservername"]).await.contains(&subject_line("shop 1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_before_the_minimum_are_refused() {
    let authority = Authority::new("tests");
    let host = start(&authority, &format!("{CERTIFICATES}{SITE}")).await;
    let weakest = ["-cipher", "DEFAULT:@SECLEVEL=0"];
    for (version, is_served) in [("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        let shown = shaken(&host, &[&[version][..], &weakest].concat()).await;
        assert_eq!(shown.contains(&subject_line("shop 1")), is_served, "{version}: {shown}");
    }
    let strict = CERTIFICATES.to_owned() + "min-version = \"1.3\"\n";
    let host = start(&authority, &format!("{strict}{SITE}")).await;
    for (version, is_served) in [("-tls1_2", false), ("-tls1_3", true)] {
        let shown = shaken(&host, &[version]).await;
        assert_eq!(shown.contains(&subject_line("shop 1")), is_served, "{version}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_takes_too_long_is_given_up() {
    let authority = Authority::new("tests");
    let config = CERTIFICATES.to_owned() + "handshake-timeout = \"200ms\"\n" + SITE;
    let host = start(&authority, &config).await;
    let mut silent = TcpStream::connect(host.gateway_address()).await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut rest)).await;
    let _ = read.expect("the connection stays open");
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_swapped_under_load_and_fails_no_request() {
    let authority = Authority::new("tests");
    let host = Arc::new(start(&authority, &format!("{CERTIFICATES}{SITE}")).await);
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (host, stop, served) = (host.clone(), stop.clone(), served.clone());
        let connector = connector(&authority, &[b"http/1.1"]);
        clients.spawn(async move {
            let mut kept = Http1::open(&host, &connector, "shop.test").await;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(kept.get("shop.test").await, 200, "on a connection that was open before");
                let mut fresh = Http1::open(&host, &connector, "shop.test").await;
                assert_eq!(fresh.get("shop.test").await, 200, "on a new connection");
                served.fetch_add(2, Ordering::Relaxed);
            }
        });
    }
    for swap in 0..SWAPS {
        let (before, subject) = (served.load(Ordering::Relaxed), format!("shop {}", swap + 2));
        authority.write(host.folder(), "shop", &subject, &["shop.test"]);
        presented(&host, &subject).await;
        until("more requests", || served.load(Ordering::Relaxed) > before).await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_new_certificate_keeps_the_old_one() {
    let authority = Authority::new("tests");
    let config = format!("{CERTIFICATES}{SITE}");
    let host = start(&authority, &config).await;
    // A key of another certificate.
    fs::write(host.path("shop.key"), authority.issue("other", &["shop.test"]).1).unwrap();
    host.logged("the certificates stay as they were").await;
    assert!(host.log().contains("shop.key: the key does not serve the certificate"), "{}", host.log());
    assert!(shaken(&host, &[]).await.contains(&subject_line("shop 1")));
    // Nor does a configuration take effect that would need it.
    host.write_config(&config.replace("/{*rest}", "/moved/{*rest}"));
    host.logged("the configuration stays as it was").await;
    assert_eq!(curl(&host, "shop.test", "/", &[]).await, "home");
    authority.write(host.folder(), "shop", "shop 2", &["shop.test"]);
    presented(&host, "shop 2").await;
    let refused = Host::prepare(&config);
    write_files(&refused, &authority);
    fs::write(refused.path("blog.pem"), "no certificate").unwrap();
    let (code, _, errors) = refused.run(&["up"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("blog.pem: it holds no certificate"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_are_asked_for_as_configured() {
    let (servers, clients, strangers) =
        (Authority::new("servers"), Authority::new("clients"), Authority::new("strangers"));
    for (demand, without) in [("optional", true), ("required", false)] {
        let asked = format!("client-ca = \"clients.pem\"\nclient-certificates = \"{demand}\"\n");
        let log = "access-log = \"access.log\"\n";
        let mut host = Host::prepare(&format!("{log}{CERTIFICATES}{asked}{SITE}"));
        write_files(&host, &servers);
        fs::write(host.path("clients.pem"), clients.pem()).unwrap();
        clients.write(host.folder(), "ada", "ada, of the shop", &["ada.test"]);
        strangers.write(host.folder(), "eve", "ada, of the shop", &["ada.test"]);
        host.launch().await;
        let shows = |name: &str| [format!("{name}.pem"), format!("{name}.key")];
        let [certificate, key] = shows("ada");
        assert_eq!(curl(&host, "shop.test", "/", &["--cert", &certificate, "--key", &key]).await, "home");
        until("a line of the access log", || {
            fs::read_to_string(host.path("access.log"))
                .is_ok_and(|log| log.contains("\"certificate\":\"CN=ada\\\\, of the shop\""))
        })
        .await;
        let [certificate, key] = shows("eve");
        assert_eq!(curl(&host, "shop.test", "/", &["--cert", &certificate, "--key", &key]).await, "");
        assert_eq!(curl(&host, "shop.test", "/", &[]).await == "home", without, "{demand}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_the_host_of_another_certificate_is_misdirected() {
    let authority = Authority::new("tests");
    let host = start(&authority, &format!("{CERTIFICATES}{SITE}")).await;
    let (mut sender, _) = open_http2(&host, &authority, "shop.test").await;
    for (name, status) in
        [("shop.test", 200), ("www.shop.test", 200), ("blog.test", 421), ("nowhere.test", 200)]
    {
        let request = http::Request::get(format!("https://{name}/")).body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), status, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_learn_that_the_client_came_through_tls() {
    let authority = Authority::new("tests");
    let (address, _server) = external().await;
    let echo = format!("[services.echo]\nupstreams = [\"http://{address}\"]\n");
    let route = "[[routes]]\npath = \"/{*rest}\"\nservice = \"echo\"\n";
    let host = start(&authority, &format!("{CERTIFICATES}{echo}{route}")).await;
    let seen: Value = serde_json::from_str(&curl(&host, "shop.test", "/", &[]).await).unwrap();
    let port = host.gateway_address().port();
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1".to_owned()),
        ("x-forwarded-proto", "https".to_owned()),
        ("x-forwarded-host", format!("shop.test:{port}")),
        ("x-forwarded-port", port.to_string()),
        ("forwarded", format!("for=127.0.0.1;proto=https;host=\"shop.test:{port}\"")),
    ] {
        assert_eq!(seen["headers"][name], json!(value), "{name}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_of_a_client_certificate_is_known_to_the_service() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let (address, _server) = external().await;
    let asked = "client-ca = \"clients.pem\"\nclient-certificates = \"optional\"\n";
    let echo = format!("[services.echo]\nupstreams = [\"http://{address}\"]\n");
    let auth = "auth = { ways = [\"certificate\"], claims = { names = \"ada.test\" } }\n";
    let route = format!("[[routes]]\npath = \"/{{*rest}}\"\nservice = \"echo\"\n{auth}");
    let mut host = Host::prepare(&format!("{CERTIFICATES}{asked}{echo}{route}"));
    write_files(&host, &servers);
    fs::write(host.path("clients.pem"), clients.pem()).unwrap();
    clients.write(host.folder(), "ada", "ada, of the shop", &["ada.test"]);
    clients.write(host.folder(), "bob", "bob, of the shop", &["bob.test"]);
    clients.write(host.folder(), "eva", "", &["eva.test", "ada.test"]);
    host.launch().await;
    let claimed = ["--header", "hostel-subject: eve"];
    let ask = async |shown: &[&str]| {
        let body = curl(&host, "shop.test", "/", &[&claimed, shown].concat()).await;
        serde_json::from_str::<Value>(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    };
    let seen = ask(&["--cert", "ada.pem", "--key", "ada.key"]).await;
    assert_eq!(seen["headers"]["hostel-subject"], "CN=ada\\, of the shop", "{seen}");
    let bare = ask(&["--cert", "eva.pem", "--key", "eva.key"]).await;
    assert_eq!(bare["headers"]["hostel-subject"], "DNS:eva.test", "{bare}");
    let other = ask(&["--cert", "bob.pem", "--key", "bob.key"]).await;
    assert_eq!(other["status"], 403, "{other}");
    let nobody = ask(&[]).await;
    assert_eq!(nobody["status"], 403, "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_resumed_where_certificates_are_identities() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let again = ["-servername", "shop.test", "-tls1_2", "-reconnect"];
    let host = start(&servers, &format!("{CERTIFICATES}{SITE}")).await;
    assert!(shaken(&host, &again).await.contains("Reused, TLSv1.2"), "it is resumed elsewhere");
    let asked = "client-ca = \"clients.pem\"\nclient-certificates = \"optional\"\n";
    let mut host = Host::prepare(&format!("{CERTIFICATES}{asked}{SITE}"));
    write_files(&host, &servers);
    fs::write(host.path("clients.pem"), clients.pem()).unwrap();
    host.launch().await;
    let seen = shaken(&host, &again).await;
    assert!(seen.contains("New, TLSv1.2") && !seen.contains("Reused"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clear_text_listener_redirects() {
    let authority = Authority::new("tests");
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let redirect = format!("redirect = \"127.0.0.1:{port}\"\n");
    let host = start(&authority, &format!("{CERTIFICATES}{redirect}{SITE}")).await;
    let secure = host.gateway_address().port();
    for (request, status, location) in [
        ("GET /a?b=1 HTTP/1.1\r\nhost: Shop.test:80", "308", Some("shop.test:PORT/a?b=1")),
        ("POST /form HTTP/1.1\r\ncontent-length: 0\r\nhost: shop.test", "308", Some("shop.test:PORT/form")),
        ("GET / HTTP/1.1\r\nhost: a@b", "400", None),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b", "400", None),
        ("GET / HTTP/1.0", "400", None),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(format!("{request}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
        read.expect("the connection stays open").unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{request}: {answer}");
        let expected = location.map(|location| location.replace("PORT", &secure.to_string()));
        let expected = expected.map(|location| format!("\r\nlocation: https://{location}\r\n"));
        assert_eq!(expected.as_ref().is_some_and(|it| answer.contains(it)), location.is_some(), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_tls_connections_gracefully() {
    let authority = Authority::new("tests");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = format!(
        "[services.slow]\nupstreams = [\"http://{}\"]\n[[routes]]\npath = \"/slow\"\nservice = \"slow\"\n",
        listener.local_addr().unwrap()
    );
    let mut host = start(&authority, &format!("{CERTIFICATES}{slow}{SITE}")).await;
    let (_idle, idle_ended) = open_http2(&host, &authority, "shop.test").await;
    let (mut sender, busy_ended) = open_http2(&host, &authority, "shop.test").await;
    let request = http::Request::get("https://shop.test/slow").body(Empty::<Bytes>::new()).unwrap();
    let response = tokio::spawn(async move { sender.send_request(request).await.unwrap() });
    let (mut upstream, _) = listener.accept().await.unwrap();
    let mut head = [0; 16 * 1024];
    assert!(upstream.read(&mut head).await.unwrap() > 0);
    host.signal("TERM");
    // GOAWAY without an error ends a connection well; the one with a request in flight waits for it.
    assert!(tokio::time::timeout(PATIENCE, idle_ended).await.unwrap().unwrap());
    upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow").await.unwrap();
    let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "slow");
    assert!(tokio::time::timeout(PATIENCE, busy_ended).await.unwrap().unwrap());
    assert!(host.wait_for_end().await.success());
}

/// A host with certificates and a page.
async fn start(authority: &Authority, config: &str) -> Host {
    let mut host = Host::prepare(config);
    write_files(&host, authority);
    host.launch().await;
    host
}

fn write_files(host: &Host, authority: &Authority) {
    fs::create_dir_all(host.path("site")).unwrap();
    fs::write(host.path("site/index.html"), "home").unwrap();
    fs::write(host.path("authority.pem"), authority.pem()).unwrap();
    authority.write(host.folder(), "shop", "shop 1", &["shop.test", "*.shop.test"]);
    authority.write(host.folder(), "blog", "blog 1", &["blog.test", "*.blog.test"]);
}

/// What curl shows for a path under this name; nothing when it refuses the connection or is refused.
async fn curl(host: &Host, name: &str, path: &str, arguments: &[&str]) -> String {
    let port = host.gateway_address().port();
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "60", "--cacert", "authority.pem", "--noproxy", "*"])
        .args(["--resolve", &format!("{name}:{port}:127.0.0.1")])
        .args(arguments)
        .arg(format!("https://{name}:{port}{path}"))
        .current_dir(host.folder())
        .output()
        .await
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What `openssl s_client` shows of a handshake.
async fn shaken(host: &Host, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &host.gateway_address().to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    // Versions of openssl differ in these blanks.
    String::from_utf8_lossy(&output.stdout).replace(" = ", "=")
}

/// How openssl shows the subject of the certificate that it got.
fn subject_line(common_name: &str) -> String {
    format!("subject=CN={common_name}\n")
}

/// Waits until new connections get the certificate with this subject.
async fn presented(host: &Host, common_name: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !shaken(host, &[]).await.contains(&subject_line(common_name)) {
        assert!(Instant::now() < deadline, "{common_name} was not taken into use:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "there was not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A TLS client that trusts this authority alone.
fn connector(authority: &Authority, protocols: &[&[u8]]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config).into()
}

async fn connect(host: &Host, connector: &TlsConnector, name: &str) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(host.gateway_address()).await.unwrap();
    connector.connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await.unwrap()
}

/// A connection of HTTP/2, and whether it ends well.
async fn open_http2(
    host: &Host,
    authority: &Authority,
    name: &str,
) -> (http2::SendRequest<Empty<Bytes>>, oneshot::Receiver<bool>) {
    let stream = connect(host, &connector(authority, &[b"h2"]), name).await;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let (ended, wait) = oneshot::channel();
    tokio::spawn(async move {
        // A test that does not ask has dropped the other end.
        let _ = ended.send(connection.await.is_ok());
    });
    (sender, wait)
}

/// A connection of HTTP/1.1 that is kept alive.
struct Http1(http1::SendRequest<Empty<Bytes>>);

impl Http1 {
    async fn open(host: &Host, connector: &TlsConnector, name: &str) -> Self {
        let stream = TokioIo::new(connect(host, connector, name).await);
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn get(&mut self, name: &str) -> u16 {
        self.0.ready().await.unwrap();
        let request = http::Request::get("/").header("host", name).body(Empty::new()).unwrap();
        let response = self.0.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "home");
        status
    }
}
