//! Promise 7: a guest decides what a response says, never where it ends or what comes after it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::host::Host;
use crate::support::scene::{Scene, service};

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fields that belong to one connection (RFC 9110, 7.6.1), or that frame a message.
const OF_THE_CONNECTION: &[&str] = &[
    "connection:x-secret",
    "connection:close",
    "keep-alive:timeout=1000",
    "proxy-connection:keep-alive",
    "proxy-authenticate:Basic",
    "te:trailers",
    "transfer-encoding:chunked",
    "transfer-encoding:gzip,%20chunked",
    "transfer-encoding:identity",
    "upgrade:h2c",
    "http2-settings:AAMAAABkAAQAAP__",
    "trailer:content-length",
];

/// Names and values that would begin another line or another response.
const BREAKING: &[&str] = &[
    "x-a:b%0D%0Aset-cookie:%20stolen=1",
    "x-a:b%0Aset-cookie:%20stolen=1",
    "x-a:b%0Dset-cookie:%20stolen=1",
    "x-a:b%0D%0A%0D%0AHTTP/1.1%20200%20OK",
    "x-a:nul%00",
    "x-a:escape%1B",
    "x-a%0D%0Aset-cookie:stolen=1",
    "x-a%20:b",
    ":b",
    "x-a%00:b",
];

/// One response as a strict client reads it.
#[derive(Debug)]
struct Read {
    status: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    /// Whether it came to its end.
    is_whole: bool,
}

impl Read {
    fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(it, _)| it == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// Asks for this misdeed and for the innocent service on one connection; answers the one response, and all that
/// follows.
async fn ask(host: &Host, method: &str, query: &str) -> (Read, String) {
    let mut stream = TcpStream::connect(host.gateway_address()).await.unwrap();
    let requests = format!(
        "{method} /misbehaving/say?{query} HTTP/1.1\r\nhost: a\r\n\r\n\
         GET /innocent/ok HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    // A connection that is reset has said what it had to say.
    let _ = read.expect("the connection stays open");
    let (response, rest) = parse(&bytes, method == "HEAD");
    (response, String::from_utf8_lossy(&rest).into_owned())
}

/// By RFC 9112, 6.3.
fn parse(bytes: &[u8], is_head: bool) -> (Read, Vec<u8>) {
    if bytes.is_empty() {
        // A connection that is closed before a head lies to nobody.
        return (
            Read { status: String::new(), fields: Vec::new(), body: Vec::new(), is_whole: false },
            Vec::new(),
        );
    }
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut rest = bytes.get(end + 4..).unwrap_or_default();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
    let field = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {head:?}"));
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let fields: Vec<_> = lines.map(field).collect();
    let mut read = Read { status, fields, body: Vec::new(), is_whole: true };
    let is_bodiless =
        is_head || matches!(read.status.as_str(), "204" | "304") || read.status.starts_with('1');
    if is_bodiless {
        return (read, rest.to_vec());
    }
    if !read.all("transfer-encoding").is_empty() {
        assert_eq!(read.all("transfer-encoding"), ["chunked"], "{head:?}");
        assert!(read.all("content-length").is_empty(), "{head:?}");
        read.is_whole = false;
        while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap().trim(), 16).unwrap();
            let Some(chunk) = rest.get(end + 2..end + 2 + size) else { break };
            read.body.extend(chunk);
            rest = rest.get(end + 4 + size..).unwrap_or_default();
            if size == 0 {
                read.is_whole = true;
                break;
            }
        }
        return (read, rest.to_vec());
    }
    let lengths = read.all("content-length");
    assert_eq!(lengths.len(), 1, "neither chunks nor one length: {head:?}");
    let length: usize = lengths[0].parse().unwrap_or_else(|_| panic!("{head:?}"));
    let there = length.min(rest.len());
    (read.is_whole, read.body) = (there == length, rest[..there].to_vec());
    (read, rest[there..].to_vec())
}

/// What follows a response: nothing, or the whole answer of the innocent service.
fn is_sound(rest: &str) -> bool {
    rest.is_empty()
        || (rest.starts_with("HTTP/1.1 200 ") && rest.ends_with("\r\n0\r\n\r\n") | rest.ends_with("ok"))
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_cannot_begin_another_line() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", "")).await;
    for field in BREAKING {
        for more in ["", "&field=x-good:yes"] {
            let (read, rest) = ask(&scene.host, "GET", &format!("bytes=3&field={field}{more}")).await;
            assert!(read.all("set-cookie").is_empty(), "{field}: {read:?}");
            assert!(read.all("x-refused").len() == 1 || read.status == "502", "{field}: {read:?}");
            assert!(read.is_whole && is_sound(&rest), "{field}: {read:?}, then {rest:?}");
        }
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_the_connection_are_the_gateways_own() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", "")).await;
    let mut faults = Vec::new();
    for field in OF_THE_CONNECTION {
        let (read, rest) = ask(&scene.host, "GET", &format!("bytes=3&field={field}&field=x-secret:1")).await;
        let (name, _) = field.split_once(':').unwrap();
        assert_eq!((read.status.as_str(), read.body.as_slice()), ("200", &b"xxx"[..]), "{field}: {read:?}");
        assert!(read.is_whole && rest.starts_with("HTTP/1.1 200 "), "{field}: {read:?}, then {rest:?}");
        // The gateway's own framing may be there.
        if !matches!(read.all(name).as_slice(), [] | ["chunked"]) {
            faults.push(format!("{field}: {read:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_longer_than_its_length_is_cut() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", "")).await;
    for bytes in [6, 1_000, 300_000] {
        let (read, rest) = ask(&scene.host, "GET", &format!("bytes={bytes}&field=content-length:5")).await;
        assert!(read.body.len() <= 5, "{bytes}: {read:?}");
        assert!(is_sound(&rest), "{bytes}: {read:?}, then {rest:?}");
    }
    let log = scene.host.log();
    let told = log.lines().filter(|line| line.contains("more than the 5 bytes of its content-length"));
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 3, "{told:#?}\n{log}");
    assert!(told.iter().all(|line| line.contains("service=\"misbehaving\"") && line.contains("request=")));
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_shorter_than_its_length_breaks_off() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", "")).await;
    for bytes in [0, 5] {
        let (read, rest) = ask(&scene.host, "GET", &format!("bytes={bytes}&field=content-length:10")).await;
        assert!(!read.is_whole || read.status == "502", "{bytes}: {read:?}");
        assert!(read.status == "502" || rest.is_empty(), "{bytes}: {read:?}, then {rest:?}");
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_that_mean_two_things_never_get_out() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", "")).await;
    for query in [
        "bytes=5&field=content-length:5&field=content-length:6",
        "bytes=5&field=content-length:6&field=content-length:5",
        "bytes=5&field=content-length:5&field=content-length:5",
        "bytes=5&field=content-length:5,%206",
        "bytes=5&field=content-length:%2B5",
        "bytes=5&field=content-length:0x5",
        "bytes=5&field=content-length:-5",
        "bytes=5&field=content-length:five",
        "bytes=5&field=content-length:",
        "bytes=5&field=content-length:18446744073709551616",
        "bytes=5&field=content-length:5&field=transfer-encoding:chunked",
    ] {
        let (read, rest) = ask(&scene.host, "GET", query).await;
        assert!(read.body.len() <= 5 || read.status == "502", "{query}: {read:?}");
        assert!(is_sound(&rest), "{query}: {read:?}, then {rest:?}");
        assert!(read.is_whole || rest.is_empty(), "{query}: {read:?}, then {rest:?}");
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_without_content_have_none() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", "")).await;
    for (method, query) in [
        ("GET", "status=204&bytes=5"),
        ("GET", "status=204&bytes=5&field=content-length:5"),
        ("GET", "status=304&bytes=5"),
        ("GET", "status=304&bytes=5&field=content-length:5"),
        ("HEAD", "bytes=5"),
        ("HEAD", "bytes=5&field=content-length:5"),
        ("HEAD", "bytes=5&field=content-length:7"),
    ] {
        let (read, rest) = ask(&scene.host, method, query).await;
        assert!(is_sound(&rest), "{method} {query}: {read:?}, then {rest:?}");
    }
    for status in ["100", "101", "103", "0", "99", "600", "999", "1000", "65535"] {
        let (read, rest) = ask(&scene.host, "GET", &format!("status={status}&bytes=5")).await;
        assert!(!read.status.starts_with('1'), "{status}: {read:?}, then {rest:?}");
        assert!(is_sound(&rest), "{status}: {read:?}, then {rest:?}");
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_frame_nothing() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", "")).await;
    for trailer in [
        "content-length:100",
        "transfer-encoding:chunked",
        "host:b",
        "set-cookie:stolen=1",
        "x-a:b%0D%0AHTTP/1.1%20200%20OK",
    ] {
        let (read, rest) = ask(&scene.host, "GET", &format!("bytes=5&trailer={trailer}")).await;
        assert_eq!(read.body, b"xxxxx", "{trailer}: {read:?}, then {rest:?}");
        assert!(is_sound(&rest), "{trailer}: {read:?}, then {rest:?}");
    }
    scene.close().await;
}
