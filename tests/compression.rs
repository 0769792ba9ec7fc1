//! Compressed responses, as curl and browsers ask for them.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use async_compression::tokio::write::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use reqwest::{Method, Response};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::support::host::Host;
use crate::support::origin::{Origin, answer, route};

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// More than the buffers on the way hold.
fn text() -> String {
    (0..20_000).map(|line| format!("line {line} of a long text\n")).collect()
}

async fn start() -> (Host, Origin) {
    let origin = Origin::start(|request| match request.uri().path().rsplit('/').next() {
        Some("short") => answer(200, &[("content-type", "text/plain")], "short"),
        Some("image") => answer(200, &[("content-type", "image/png")], vec![7; 5_000]),
        Some("fixed") => {
            answer(200, &[("content-type", "text/plain"), ("cache-control", "no-transform")], text())
        }
        _ => answer(
            200,
            &[("content-type", "text/plain"), ("etag", "\"7\""), ("accept-ranges", "bytes")],
            text(),
        ),
    })
    .await;
    let config = [
        origin.section(),
        route("/api", "compress = true"),
        route("/plain", ""),
        "[[routes]]\npath = \"/{*rest}\"\nfiles = \"site\"\ncompress = true\n".to_owned(),
    ];
    let mut host = Host::prepare(&config.concat());
    fs::create_dir_all(host.path("site")).unwrap();
    fs::write(host.path("site/page.txt"), text()).unwrap();
    host.launch().await;
    (host, origin)
}

async fn get(host: &Host, path: &str, fields: &[(&'static str, &str)]) -> Response {
    let mut request = host.client().request(Method::GET, path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn field<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// What a client makes of these bytes, also when more follow.
async fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    async fn all<D: AsyncWrite + Unpin>(mut decoder: D, bytes: &[u8]) -> D {
        decoder.write_all(bytes).await.unwrap();
        decoder.flush().await.unwrap();
        decoder
    }
    match coding {
        "br" => all(BrotliDecoder::new(Vec::new()), bytes).await.into_inner(),
        "zstd" => all(ZstdDecoder::new(Vec::new()), bytes).await.into_inner(),
        "gzip" => all(GzipDecoder::new(Vec::new()), bytes).await.into_inner(),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_coding_that_it_asks_for() {
    let (host, _origin) = start().await;
    for path in ["/api/text", "/page.txt"] {
        for coding in ["br", "zstd", "gzip"] {
            let response = get(&host, path, &[("accept-encoding", coding)]).await;
            assert_eq!(field(&response, "content-encoding"), Some(coding), "{path}");
            assert_eq!(field(&response, "vary"), Some("accept-encoding"), "{path}");
            for absent in ["content-length", "accept-ranges"] {
                assert_eq!(field(&response, absent), None, "{path} {coding} {absent}");
            }
            let bytes = response.bytes().await.unwrap();
            assert!(bytes.len() < text().len() / 2, "{path} {coding}: {} bytes", bytes.len());
            assert!(decoded(coding, &bytes).await == text().as_bytes(), "{path} {coding}");
        }
        for accept in ["identity", "gzip;q=0", "deflate"] {
            let response = get(&host, path, &[("accept-encoding", accept)]).await;
            assert_eq!(
                (field(&response, "content-encoding"), field(&response, "vary")),
                (None, Some("accept-encoding"))
            );
            assert!(response.text().await.unwrap() == text(), "{path} {accept}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_what_it_asks_for() {
    let (host, _origin) = start().await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let url = format!("{}/api/text", host.gateway());
        let output = Command::new("curl").args(["-sS", "--compressed", version, &url]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == text().as_bytes(), "{version}: {} bytes", output.stdout.len());
        let arguments = ["-sS", "--compressed", "--head", version, &url];
        let head = Command::new("curl").args(arguments).output().unwrap();
        let head = String::from_utf8_lossy(&head.stdout).to_lowercase();
        assert!(head.contains("content-encoding: ") && !head.contains("content-length"), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gains_nothing_or_must_not_change_stays_plain() {
    let (host, _origin) = start().await;
    for path in ["/api/short", "/api/image", "/api/fixed", "/plain/text"] {
        let response = get(&host, path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(field(&response, "content-encoding"), None, "{path}");
        assert!(response.headers().contains_key("content-length"), "{path}");
    }
    let part = get(&host, "/page.txt", &[("accept-encoding", "gzip"), ("range", "bytes=0-2000")]).await;
    assert_eq!((part.status().as_u16(), field(&part, "content-encoding")), (206, None));
    assert_eq!(part.text().await.unwrap(), text()[..=2000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_copy_has_a_weak_validator_and_can_be_kept() {
    let (host, _origin) = start().await;
    let response = get(&host, "/api/text", &[("accept-encoding", "gzip")]).await;
    assert_eq!(field(&response, "etag"), Some("W/\"7\""));
    assert_eq!(field(&get(&host, "/api/text", &[]).await, "etag"), Some("\"7\""));
    let page = get(&host, "/page.txt", &[("accept-encoding", "gzip")]).await;
    let etag = field(&page, "etag").unwrap();
    assert!(etag.starts_with("W/"), "{etag}");
    let again = get(&host, "/page.txt", &[("accept-encoding", "gzip"), ("if-none-match", etag)]).await;
    assert_eq!((again.status().as_u16(), field(&again, "etag")), (304, Some(etag)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_before_the_next_is_sent() {
    let (events, stream) = futures::channel::mpsc::channel::<Bytes>(1);
    let (mut events, stream) = (events, Mutex::new(Some(stream)));
    let origin = Origin::start(move |_| {
        let stream = stream.lock().unwrap().take().expect("asked once");
        let body = StreamBody::new(stream.map(|event| Ok(Frame::data(event))));
        let response = http::Response::builder().header("content-type", "text/event-stream");
        response.body(body.boxed_unsync()).unwrap()
    })
    .await;
    let host = Host::start(&(origin.section() + &route("/events", "compress = true"))).await;
    let response = get(&host, "/events/x", &[("accept-encoding", "br")]).await;
    assert_eq!(field(&response, "content-encoding"), Some("br"));
    let (mut body, mut came, mut sent) = (response.bytes_stream(), Vec::new(), Vec::new());
    for number in 0..3 {
        let event = format!("data: {number}\n\n");
        sent.extend_from_slice(event.as_bytes());
        events.try_send(event.into()).unwrap();
        let arrives = async {
            while decoded("br", &came).await != sent {
                came.extend_from_slice(&body.next().await.unwrap().unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, arrives).await.expect("an event waits for the next");
    }
    drop(events);
    while let Some(part) = body.next().await {
        came.extend_from_slice(&part.unwrap());
    }
    assert_eq!(decoded("br", &came).await, sent);
}
