//! Static files from outside: ranges, validators, codings, caching, pages for what is missing, lists of folders.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, SystemTime};

use reqwest::{Method, Response};

use crate::gateway::raw;
use crate::support::host::Host;

/// Header fields of a request.
type Fields<'f> = &'f [(&'f str, &'f str)];

/// What no answer may hold.
const SECRET: &str = "hidden treasure";

/// What a browser sends when it navigates.
const NAVIGATION: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn start() -> Host {
    let route = |path: &str, files: &str| format!("[[routes]]\npath = \"{path}\"\nfiles = {files}\n");
    let mut host = Host::prepare(
        &[
            route(
                "/app/{*rest}",
                "{ folder = \"site\", fallback = \"index.html\", immutable = [\"assets/*\"] }",
            ),
            route(
                "/docs/{*rest}",
                "{ folder = \"site\", error-page = \"404.html\", cache-control = \"public, max-age=60\" }",
            ),
            route("/list/{*rest}", "{ folder = \"site\", index = true }"),
            route("/{*rest}", "\"site\""),
        ]
        .concat(),
    );
    for (file, text) in [
        ("site/index.html", "the application"),
        ("site/404.html", "gone"),
        ("site/page.txt", "0123456789"),
        ("site/empty.txt", ""),
        ("site/data.json", "{}"),
        ("site/assets/app.1f3a.js", "plain script"),
        ("site/assets/app.1f3a.js.br", "br script"),
        ("site/assets/app.1f3a.js.gz", "gz script"),
        ("site/assets/<b>&.txt", "odd"),
        ("site/.env", SECRET),
        ("secret", SECRET),
    ] {
        fs::create_dir_all(host.path(file).parent().unwrap()).unwrap();
        fs::write(host.path(file), text).unwrap();
        // Old enough for its date to be a strong validator.
        let settled = SystemTime::now() - Duration::from_secs(3600);
        fs::File::options().write(true).open(host.path(file)).unwrap().set_modified(settled).unwrap();
    }
    symlink(host.path("secret"), host.path("site/outside.txt")).unwrap();
    symlink(host.path("secret"), host.path("site/page.txt.br")).unwrap();
    symlink(host.folder(), host.path("site/up")).unwrap();
    symlink("/dev/zero", host.path("site/zero")).unwrap();
    let made = Command::new("mkfifo").arg(host.path("site/fifo")).status().unwrap();
    assert!(made.success());
    host.launch().await;
    host
}

async fn send(host: &Host, method: Method, path: &str, fields: &[(&str, &str)]) -> Response {
    let mut request = host.client().request(method, path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn get(host: &Host, path: &str, fields: &[(&str, &str)]) -> Response {
    send(host, Method::GET, path, fields).await
}

fn field<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_conditions_go_by_strong_validators() {
    let host = start().await;
    let whole = get(&host, "/page.txt", &[]).await;
    let (etag, date) = (field(&whole, "etag").to_owned(), field(&whole, "last-modified").to_owned());
    assert!(etag.starts_with('"'), "{etag} is strong");
    assert_eq!(field(&whole, "accept-ranges"), "bytes");
    let weak = format!("W/{etag}");
    let cases: &[(Fields, u16, &str)] = &[
        (&[("range", "bytes=2-5")], 206, "2345"),
        (&[("range", "bytes=7-")], 206, "789"),
        (&[("range", "bytes=-3")], 206, "789"),
        (&[("range", "bytes=5-99")], 206, "56789"),
        (&[("range", "bytes=-99")], 206, "0123456789"),
        (&[("range", "bytes=0-99999999999999999999")], 206, "0123456789"),
        (&[("range", "Bytes=0-1")], 206, "01"),
        (&[("range", "bytes=007-9")], 206, "789"),
        (&[("range", "bytes=10-")], 416, ""),
        (&[("range", "bytes=0-1,4-5")], 200, "0123456789"),
        (&[("range", "items=0-1")], 200, "0123456789"),
        (&[("range", "bytes=2-5"), ("if-range", &etag)], 206, "2345"),
        (&[("range", "bytes=2-5"), ("if-range", &date)], 206, "2345"),
        (&[("range", "bytes=2-5"), ("if-range", &weak)], 200, "0123456789"),
        (&[("range", "bytes=2-5"), ("if-range", "\"other\"")], 200, "0123456789"),
        (&[("range", "bytes=2-5"), ("if-range", "Mon, 01 Jan 2001 00:00:00 GMT")], 200, "0123456789"),
        (&[("if-none-match", &etag)], 304, ""),
        (&[("if-none-match", &weak)], 304, ""),
        (&[("if-none-match", "*")], 304, ""),
        (&[("if-none-match", "\"other\""), ("if-none-match", &etag)], 304, ""),
        (&[("if-none-match", "\"other\""), ("if-modified-since", &date)], 200, "0123456789"),
        (&[("if-modified-since", &date)], 304, ""),
        (&[("if-match", &etag)], 200, "0123456789"),
        (&[("if-match", &weak)], 412, ""),
        (&[("if-unmodified-since", "Mon, 01 Jan 2001 00:00:00 GMT")], 412, ""),
    ];
    for (fields, status, body) in cases {
        let response = get(&host, "/page.txt", fields).await;
        assert_eq!(response.status(), *status, "{fields:?}");
        if matches!(status, 206 | 416) {
            assert!(field(&response, "content-range").starts_with("bytes "), "{fields:?}");
        }
        let is_refused = response.status().is_client_error();
        assert_eq!(field(&response, "cache-control") == "no-store", is_refused, "{fields:?}");
        assert_eq!(field(&response, "etag").is_empty(), is_refused, "{fields:?}");
        assert_eq!(response.text().await.unwrap(), *body, "{fields:?}");
    }
    let empty = get(&host, "/empty.txt", &[("range", "bytes=0-")]).await;
    assert_eq!((empty.status().as_u16(), field(&empty, "content-range")), (416, "bytes */0"));
    let head = send(&host, Method::HEAD, "/page.txt", &[("range", "bytes=2-5")]).await;
    assert_eq!((head.status().as_u16(), field(&head, "content-length")), (200, "10"));
    let post = send(&host, Method::POST, "/page.txt", &[]).await;
    assert_eq!((post.status().as_u16(), field(&post, "allow")), (405, "GET, HEAD"));
}

/// Bytes of a file that leaves from pages of the system.
const LONG: usize = 512 * 1024;

/// So many responses are more than the system holds for a client that does not read.
const RESPONSES: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_file_that_is_replaced_meanwhile_comes_as_it_was_or_as_it_is() {
    let host = start().await;
    let file = host.path("site/long.txt");
    fs::write(&file, "a".repeat(LONG)).unwrap();
    let mut client = TcpStream::connect(host.gateway_address()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    client.write_all("GET /long.txt HTTP/1.1\r\nhost: x\r\n\r\n".repeat(RESPONSES).as_bytes()).unwrap();
    let mut responses = BufReader::new(client);
    let mut seen = vec![long_body(&mut responses)];
    // The others wait for this client, and the first of them have begun.
    let other = host.path("site/other.txt");
    fs::write(&other, "b".repeat(LONG)).unwrap();
    fs::rename(&other, &file).unwrap();
    seen.extend((1..RESPONSES).map(|_| long_body(&mut responses)));
    assert_eq!((seen[0], seen[RESPONSES - 1]), (b'a', b'b'));
    assert!(seen.is_sorted(), "{seen:?}");
}

/// Reads a response with a long body; answers the one byte that the body consists of.
fn long_body(responses: &mut impl BufRead) -> u8 {
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(responses.read_line(&mut line).unwrap() > 0, "no response");
    }
    let mut body = vec![0; LONG];
    responses.read_exact(&mut body).unwrap();
    assert!(body.iter().all(|byte| *byte == body[0]), "of two files");
    body[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_compressed_is_sent_to_those_who_take_it() {
    let host = start().await;
    let path = "/app/assets/app.1f3a.js";
    for (accepted, coding, body) in [
        ("br, gzip", "br", "br script"),
        ("gzip;q=1, br;q=0.2", "gzip", "gz script"),
        ("zstd, gzip", "gzip", "gz script"),
        ("zstd", "", "plain script"),
        ("br;q=0, *", "gzip", "gz script"),
        ("identity", "", "plain script"),
        ("", "", "plain script"),
    ] {
        let response = get(&host, path, &[("accept-encoding", accepted)]).await;
        assert_eq!(
            (response.status().as_u16(), field(&response, "content-encoding")),
            (200, coding),
            "{accepted}"
        );
        assert_eq!(field(&response, "vary"), "accept-encoding", "{accepted}");
        assert_eq!(field(&response, "content-type"), "text/javascript; charset=utf-8", "{accepted}");
        let etag = field(&response, "etag").to_owned();
        assert_eq!(response.text().await.unwrap(), body, "{accepted}");
        let again = get(&host, path, &[("accept-encoding", accepted), ("if-none-match", &etag)]).await;
        assert_eq!((again.status().as_u16(), field(&again, "vary")), (304, "accept-encoding"), "{accepted}");
        let other = get(&host, path, &[("accept-encoding", "identity"), ("if-none-match", &etag)]).await;
        assert_eq!(other.status() == 304, coding.is_empty(), "{accepted}: a validator is that of one coding");
    }
    // A compressed file that lies outside is none.
    let response = get(&host, "/page.txt", &[("accept-encoding", "br")]).await;
    assert_eq!(field(&response, "content-encoding"), "");
    assert_eq!(response.text().await.unwrap(), "0123456789");
}

#[tokio::test(flavor = "multi_thread")]
async fn types_and_caching_are_told() {
    let host = start().await;
    let immutable = "public, max-age=31536000, immutable";
    for (path, content_type, cache_control) in [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/data.json", "application/json; charset=utf-8", "no-cache"),
        ("/assets/app.1f3a.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/app/assets/app.1f3a.js", "text/javascript; charset=utf-8", immutable),
        ("/app/page.txt", "text/plain; charset=utf-8", "no-cache"),
        ("/docs/page.txt", "text/plain; charset=utf-8", "public, max-age=60"),
    ] {
        let response = get(&host, path, &[]).await;
        assert_eq!(field(&response, "content-type"), content_type, "{path}");
        assert_eq!(field(&response, "cache-control"), cache_control, "{path}");
        assert_eq!(field(&response, "x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_has_the_page_that_suits_the_caller() {
    let host = start().await;
    for (path, accept, status, body) in [
        ("/app/orders/7", NAVIGATION, 200, "the application"),
        ("/app/", NAVIGATION, 200, "the application"),
        ("/app/orders/", NAVIGATION, 200, "the application"),
        ("/app/missing.js", NAVIGATION, 404, "404 Not found"),
        ("/app/orders/7", "*/*", 404, "urn:hostel:problem:not-found"),
        ("/app/orders/7", "application/json", 404, "urn:hostel:problem:not-found"),
        ("/app/.env", NAVIGATION, 404, "404 Not found"),
        ("/docs/missing", NAVIGATION, 404, "gone"),
        ("/docs/missing", "*/*", 404, "gone"),
        ("/docs/missing", "application/json", 404, "urn:hostel:problem:not-found"),
        ("/docs/.env", "*/*", 404, "gone"),
        ("/missing", NAVIGATION, 404, "404 Not found"),
    ] {
        let response =
            get(&host, path, &[("accept", accept), ("range", "bytes=0-1"), ("if-none-match", "\"x\"")]).await;
        let status_seen = response.status().as_u16();
        if status == 404 {
            assert_eq!(field(&response, "cache-control"), "no-store", "{path} {accept}");
            assert_eq!(field(&response, "etag"), "", "{path} {accept}");
            assert!(response.text().await.unwrap().contains(body), "{path} {accept}");
            assert_eq!(status_seen, 404, "{path} {accept}");
        } else {
            let is_fallback = path != "/app/";
            assert_eq!(field(&response, "vary") == "accept", is_fallback, "{path}: others get a 404");
            assert_eq!(
                (status_seen, response.text().await.unwrap()),
                (206, body[..2].to_owned()),
                "{path} {accept}"
            );
        }
    }
    let post = send(&host, Method::POST, "/app/orders/7", &[("accept", NAVIGATION)]).await;
    assert_eq!(post.status(), 405);
    let head = send(&host, Method::HEAD, "/docs/missing", &[]).await;
    assert_eq!((head.status().as_u16(), field(&head, "content-length")), (404, "4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_listed_only_where_it_may_be() {
    let host = start().await;
    let moved = raw(&host, "GET /list/assets HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(
        moved.starts_with("HTTP/1.1 307 ") && moved.contains("\r\nlocation: /list/assets/\r\n"),
        "{moved}"
    );
    let list = get(&host, "/list/assets/", &[]).await;
    assert_eq!((list.status().as_u16(), field(&list, "content-type")), (200, "text/html; charset=utf-8"));
    let page = list.text().await.unwrap();
    assert!(page.contains("&lt;b&gt;&amp;.txt") && !page.contains("<b>"), "{page}");
    assert!(page.contains("href=\"%3Cb%3E%26.txt\"") && page.contains("app.1f3a.js.br"), "{page}");
    let odd = get(&host, "/list/assets/%3Cb%3E%26.txt", &[]).await;
    assert_eq!(odd.text().await.unwrap(), "odd");
    for path in ["/assets/", "/app/assets/", "/docs/assets/"] {
        assert_eq!(get(&host, path, &[]).await.status(), 404, "{path}");
    }
    fs::remove_file(host.path("site/index.html")).unwrap();
    let page = get(&host, "/list/", &[]).await.text().await.unwrap();
    assert!(page.contains("page.txt") && page.contains("assets/"), "{page}");
    for hidden in [".env", "outside", "up", "zero", "fifo", "page.txt.br", "../"] {
        assert!(!page.contains(hidden), "{hidden}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_device_or_fifo_leaks_or_blocks() {
    let host = start().await;
    for folder in ["", "/app", "/docs", "/list"] {
        for rest in [
            "/outside.txt",
            "/up/secret",
            "/up/site/.env",
            "/up/",
            "/zero",
            "/fifo",
            "/.env",
            "/%2eenv",
            "/../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "/assets/../../secret",
            "/page.txt/",
            "/page.txt/x",
        ] {
            let request = format!(
                "GET {folder}{rest} HTTP/1.1\r\nhost: a\r\naccept-encoding: br\r\nconnection: close\r\n\r\n"
            );
            let answer = raw(&host, &request).await;
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(["400", "404"].contains(&status), "{folder}{rest}: {answer}");
            assert!(!answer.contains(SECRET), "{folder}{rest}: {answer}");
        }
    }
}
