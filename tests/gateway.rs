//! The gateway as clients meet it: both versions of HTTP, bodies, files, routes, framing, external services.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::guests::component;
use crate::support::host::Host;

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// More than any buffer on the way.
const LARGE_BYTES: usize = 8 << 20;

/// A trace that a client began.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_served_in_clear_text() {
    let host = start().await;
    let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let http1 = reqwest::Client::builder().no_proxy().http1_only().build().unwrap();
    for (client, version) in [(http2, reqwest::Version::HTTP_2), (http1, reqwest::Version::HTTP_11)] {
        for (path, status) in [("/probe/ok", 200), ("/", 200), ("/nothing", 404)] {
            let response = client.get(format!("{}{path}", host.gateway())).send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.version()), (status, version), "{path}");
            assert!(response.headers().contains_key("x-request-id"), "{path}");
        }
        let sent = client
            .post(format!("{}/probe/echo", host.gateway()))
            .body("there and back")
            .send()
            .await
            .unwrap();
        assert_eq!(sent.text().await.unwrap(), "there and back");
    }
    let old = raw(&host, "GET / HTTP/1.0\r\n\r\n").await;
    assert!(old.contains(" 200 ") && old.ends_with("home"), "{old}");
}

/// The client resets a stream on which content follows the answer to HEAD.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_head_has_no_content_in_any_version_of_http() {
    let mut host = Host::prepare(
        &[
            crate::limits::probe("probe", ""),
            "[[routes]]\npath = \"/files/{*rest}\"\nfiles = { folder = \"site\", index = true }\n".into(),
        ]
        .concat(),
    );
    std::fs::create_dir_all(host.path("site")).unwrap();
    std::fs::write(host.path("site/a.txt"), "0123456789").unwrap();
    host.launch().await;
    let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let http1 = reqwest::Client::builder().no_proxy().http1_only().build().unwrap();
    for client in [http2, http1] {
        let paths =
            [("/nothing", 404), ("/files/", 200), ("/files/a.txt", 200), ("/probe/say?body=hello", 200)];
        for (path, status) in paths {
            let url = format!("{}{path}", host.gateway());
            let head = client.head(&url).send().await.unwrap();
            assert_eq!(head.status(), status, "{path}");
            let length = head.headers().get("content-length").cloned();
            let version = head.version();
            assert!(head.bytes().await.unwrap().is_empty(), "{version:?} {path}");
            if !path.starts_with("/probe") {
                let got = client.get(&url).send().await.unwrap();
                assert_eq!(length, got.headers().get("content-length").cloned(), "{version:?} {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_problem_documents_with_the_id_of_the_request() {
    let host = start().await;
    for (method, path, status) in [
        (Method::GET, "/nothing", 404),
        (Method::DELETE, "/", 405),
        (Method::POST, "/only/ok", 405),
        (Method::TRACE, "/", 501),
        (Method::GET, "/probe/trap", 502),
    ] {
        let response = host.client().request(method.clone(), path).send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{method} {path}");
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        if status == 405 {
            let allow = response.headers()["allow"].to_str().unwrap();
            assert!(allow.contains("GET") && !allow.contains(method.as_str()), "{method} {path}: {allow}");
        }
        let problem: Value = response.json().await.unwrap();
        assert_eq!(
            (&problem["status"], &problem["instance"]),
            (&json!(status), &json!(id)),
            "{method} {path}"
        );
        for member in ["type", "title", "detail"] {
            assert!(
                problem[member].as_str().is_some_and(|text| !text.is_empty()),
                "{method} {path}: {problem}"
            );
        }
        // What a guest says when it traps is for its operator only.
        assert!(!problem.to_string().contains("as it was asked to"), "{problem}");
        host.logged(&id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_in_the_logs_of_host_and_guest() {
    let host = start().await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let request = host.client().request(Method::GET, "/probe/print").header("traceparent", parent);
    assert_eq!(host.client().send(request).await.status, 200);
    host.logged(TRACE).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (code, lines, errors) = host.run(&["logs", "probe", "--json"]);
        assert_eq!(code, Some(0), "{errors}");
        if lines.lines().any(|line| line.contains("probe line 1") && line.contains(TRACE)) {
            return;
        }
        assert!(Instant::now() < deadline, "{lines}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_its_limit_is_refused_however_it_is_sent() {
    let host = start().await;
    // What a service takes by its own limit, by that of its route, and by that of the gateway.
    for path in ["/small/sql", "/thrifty/sql"] {
        let long = "x".repeat(1_025);
        let announced = host.client().request(Method::POST, path).body(long.clone());
        let answer = host.client().send(announced).await;
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (413, &json!("urn:hostel:problem:body-too-large")),
            "{path}"
        );
        let parts =
            futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(long)), Ok(Bytes::from("more"))]);
        let chunked = host.client().request(Method::POST, path).body(reqwest::Body::wrap_stream(parts));
        assert_eq!(host.client().send(chunked).await.status, 413, "{path}, chunked");
        let good = host.client().post(path, &json!({ "sql": "SELECT 1" })).await;
        assert_eq!(good.status, 200, "{path}: {good:?}");
    }
    let waiting =
        "POST /small/sql HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2000\r\n\r\n";
    let answer = raw(&host, waiting).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_streamed_both_ways() {
    let host = start().await;
    let body: Vec<u8> = (0..LARGE_BYTES).map(|index| (index % 251) as u8).collect();
    let sent = host.client().request(Method::POST, "/probe/echo").body(body.clone()).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    let echoed = sent.bytes().await.unwrap();
    assert!(echoed == body, "{} bytes came back, or others", echoed.len());
    // The first bytes come back while the last are not even written.
    let (parts, rest) = futures::channel::mpsc::unbounded();
    let body = reqwest::Body::wrap_stream(rest.map(Ok::<Bytes, std::io::Error>));
    parts.unbounded_send(Bytes::from(vec![b'a'; 64 << 10])).unwrap();
    let request = host.client().request(Method::POST, "/probe/echo").body(body);
    let response =
        tokio::time::timeout(PATIENCE, request.send()).await.expect("the head waits for the body").unwrap();
    let mut echoed = response.bytes_stream();
    let first = tokio::time::timeout(PATIENCE, echoed.next()).await.expect("the body waits for its end");
    assert!(first.unwrap().unwrap().starts_with(b"aaa"));
    parts.unbounded_send(Bytes::from_static(b"the end")).unwrap();
    drop(parts);
    let mut rest = Vec::new();
    while let Some(part) = echoed.next().await {
        rest.extend_from_slice(&part.unwrap());
    }
    assert!(rest.ends_with(b"athe end"), "{} bytes", rest.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_have_ranges_and_conditions() {
    let host = start().await;
    let get = async |field: &str, value: &str| {
        let request = host.client().request(Method::GET, "/docs/page.txt").header(field, value);
        request.send().await.unwrap()
    };
    let whole = get("accept", "*/*").await;
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.headers()["content-type"], "text/plain; charset=utf-8");
    let [etag, modified] =
        ["etag", "last-modified"].map(|name| whole.headers()[name].to_str().unwrap().to_owned());
    assert_eq!(get("if-none-match", &etag).await.status(), 304);
    assert_eq!(get("if-none-match", "\"other\"").await.status(), 200);
    assert_eq!(get("if-modified-since", &modified).await.status(), 304);
    assert_eq!(get("if-match", "\"other\"").await.status(), 412);
    let part = get("range", "bytes=2-5").await;
    assert_eq!(
        (part.status().as_u16(), part.headers()["content-range"].to_str().unwrap()),
        (206, "bytes 2-5/10")
    );
    assert_eq!(part.text().await.unwrap(), "2345");
    assert_eq!(get("range", "bytes=-3").await.text().await.unwrap(), "789");
    assert_eq!(get("range", "bytes=99-").await.status(), 416);
    let head = host.client().request(Method::HEAD, "/docs/page.txt").send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, "10"));
    assert_eq!(host.client().get("/docs/").await.body, json!("index of docs"));
    let moved = raw(&host, "GET /docs?a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(moved.starts_with("HTTP/1.1 307 ") && moved.contains("\r\nlocation: /docs/?a\r\n"), "{moved}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leaves_the_folder_of_files() {
    let host = start().await;
    // A raw socket, since clients resolve such paths before they send them.
    for path in [
        "/../secret",
        "/docs/../../secret",
        "/%2e%2e/secret",
        "/.%2E/secret",
        "/..%2fsecret",
        "/..%5csecret",
        "/..;/secret",
        "/%252e%252e/secret",
        "//secret",
        "/docs//../../secret",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/outside",
        "/up/secret",
        "/docs/%00",
        "/data/admin-token",
        "/gateway.toml",
    ] {
        let answer =
            raw(&host, &format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "404"].contains(&status), "{path}: {answer}");
        assert!(!answer.contains("hidden treasure"), "{path}: {answer}");
    }
    assert_eq!(
        host.client().get("/inside").await.body,
        json!("home"),
        "a link within the folder is as good as its file"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_route_wins() {
    let host = start().await;
    for (name, path, expected) in [
        ("a", "/probe/files/special.txt", json!("special")),
        ("a", "/special.txt", Value::Null),
        ("other.example", "/", json!("other")),
        ("OTHER.example:8080", "/", json!("other")),
        ("another.example", "/", json!("home")),
    ] {
        let request = host.client().request(Method::GET, path).header("host", name);
        let answer = host.client().send(request).await;
        match expected {
            Value::Null => assert_eq!(answer.status, 404, "{name} {path}"),
            expected => assert_eq!((answer.status, answer.body), (200, expected), "{name} {path}"),
        }
    }
    assert_eq!(host.client().get("/probe/ok").await.body["service"], "probe");
    let equal = "[[routes]]\npath = \"/a/{x}\"\nservice = \"probe\"\n[[routes]]\npath = \"/a/{y}\"\nservice = \"probe\"\n";
    let refused = Host::prepare(&format!("{equal}[services.probe]\n"));
    let (code, _, errors) = refused.run(&["up"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("takes the same requests"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_service_is_proxied_and_stands_in_the_registry() {
    let (address, server) = external().await;
    let config = format!(
        "[services.billing]\ndomain = \"shop\"\nupstreams = [\"http://{address}\"]\n\
         [[routes]]\npath = \"/billing/{{*rest}}\"\nservice = \"billing\"\n"
    );
    let host = Host::start(&config).await;
    let request = host.client().request(Method::PUT, "/billing/42?full=1").body("a body");
    let request = request
        .header("hostel-subject", "admin")
        .header("hostel_scopes", "all")
        .header("hostel-request", "mine")
        .header("x-forwarded-for", "10.0.0.1")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("x-kept", "1")
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let seen: Value = response.json().await.unwrap();
    assert_eq!(
        (&seen["method"], &seen["target"], &seen["body"]),
        (&json!("PUT"), &json!("/billing/42?full=1"), &json!("a body"))
    );
    let headers = &seen["headers"];
    for name in ["hostel-subject", "hostel_scopes", "x-hop"] {
        assert_eq!(headers[name], Value::Null, "{name}: {seen}");
    }
    let expected = [("hostel-request", id.as_str()), ("x-forwarded-for", "127.0.0.1"), ("x-kept", "1")];
    for (name, value) in expected {
        assert_eq!(headers[name], value, "{name}: {seen}");
    }
    assert!(headers["traceparent"].as_str().unwrap().starts_with(&format!("00-{TRACE}-")), "{seen}");
    let services = host.run_json(&["services"]);
    assert_eq!(
        (&services[0]["name"], &services[0]["domain"]),
        (&json!("billing"), &json!("shop")),
        "{services}"
    );
    assert_eq!(
        (&services[0]["version"], &services[0]["endpoints"][0]["address"]),
        (&Value::Null, &json!(format!("http://{address}")))
    );
    assert!(host.run(&["services"]).1.contains("billing"));
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    let ask = async || host.client().get("/billing/42").await;
    let mut gone = ask().await;
    // The connection that was kept may not have been seen to end before it is used.
    if gone.body["type"] == "urn:hostel:problem:broken-off" {
        gone = ask().await;
    }
    assert_eq!(
        (gone.status, &gone.body["type"]),
        (502, &json!("urn:hostel:problem:unreachable")),
        "{gone:?}"
    );
}

/// A server that answers what it was sent, as JSON; aborted, it drops all its connections.
pub async fn external() -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = hyper_util::rt::TokioIo::new(stream);
            let service = hyper::service::service_fn(tell);
            connections.spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
        }
    });
    (address, server)
}

async fn tell(request: http::Request<hyper::body::Incoming>) -> hyper::Result<http::Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let text = |value: &http::HeaderValue| json!(String::from_utf8_lossy(value.as_bytes()));
    let fields = head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    let seen = json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": fields.collect::<serde_json::Map<_, _>>(),
        "body": String::from_utf8_lossy(&body),
    });
    Ok(http::Response::new(Full::from(seen.to_string())))
}

/// The probe under several routes, and folders of files.
pub async fn start() -> Host {
    let probe = component("probe").display().to_string();
    let service = |name: &str, limits: &str| {
        format!(
            "[services.{name}]\ncomponent = \"{probe}\"\nbuild = \"true\"\ndatabase = \"embedded\"\n\
             publishes = [\"probe.*\"]\nbuckets = [\"probe\"]\n{limits}\n"
        )
    };
    let route = |path: &str, rest: &str| format!("[[routes]]\npath = \"{path}/{{*rest}}\"\n{rest}\n");
    let mut host = Host::prepare(
        &[
            service("probe", ""),
            service("thrifty", "limits = { body = \"1KiB\" }"),
            route("/probe", "service = \"probe\""),
            route("/small", "service = \"probe\"\nbody = \"1KiB\""),
            route("/thrifty", "service = \"thrifty\""),
            route("/only", "service = \"probe\"\nmethods = [\"GET\"]"),
            route("/probe/files", "files = \"special\""),
            route("", "files = \"site\""),
            route("", "files = \"other\"\nhost = \"other.example\""),
        ]
        .concat(),
    );
    for (file, text) in [
        ("site/index.html", "home"),
        ("site/docs/index.html", "index of docs"),
        ("site/docs/page.txt", "0123456789"),
        ("site/.env", "hidden treasure"),
        ("site/.git/config", "hidden treasure"),
        ("secret", "hidden treasure"),
        ("other/index.html", "other"),
        ("special/special.txt", "special"),
    ] {
        fs::create_dir_all(host.path(file).parent().unwrap()).unwrap();
        fs::write(host.path(file), text).unwrap();
    }
    symlink(host.path("secret"), host.path("site/outside")).unwrap();
    symlink(host.folder(), host.path("site/up")).unwrap();
    symlink(host.path("site/index.html"), host.path("site/inside")).unwrap();
    host.launch().await;
    host
}

/// Everything that comes until the gateway closes the connection.
pub async fn raw(host: &Host, bytes: &str) -> String {
    let mut stream = TcpStream::connect(host.gateway_address()).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("the connection stays open").unwrap_or_default();
    String::from_utf8_lossy(&answer).into_owned()
}
