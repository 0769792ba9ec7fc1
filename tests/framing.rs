//! Requests whose end is not certain, as raw bytes: refused once, and what stands behind them is never a
//! request. After the public corpora on request smuggling.

use crate::gateway::raw;
use crate::limits::probe;
use crate::support::host::Host;

/// What must never reach the guest: it would count.
const SMUGGLED: &str = "GET /probe/counter HTTP/1.1\r\nhost: a\r\n\r\n";

/// Heads and request lines that are not written as RFC 9112 has it, or not as all software reads it.
#[rustfmt::skip]
const BROKEN_HEADS: &[&str] = &[
    "GET http://a/probe/ok HTTP/1.1\r\n\r\n",
    // Line ends.
    "GET /probe/ok HTTP/1.1\nhost: a\n\n",
    "GET /probe/ok HTTP/1.1\nhost: a\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\n\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx: 1\ny: 2\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx: 1\rx\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx: 1\r\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\rhost: a\r\r",
    "\nGET /probe/ok HTTP/1.1\r\nhost: a\r\n\r\n",
    "\r\n\r\nGET /probe/ok HTTP/1.1\r\nhost: a\r\n\r\n",
    // Request lines.
    "GET  /probe/ok HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /probe/ok  HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET\t/probe/ok\tHTTP/1.1\r\nhost: a\r\n\r\n",
    " GET /probe/ok HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /probe/ok HTTP/1.1 \r\nhost: a\r\n\r\n",
    "GET /probe/o k HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /probe/o\x00k HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /probe/ok\r\nhost: a\r\n\r\n",
    "GET /probe/ok http/1.1\r\nhost: a\r\n\r\n",
    "GET /probe/ok HTTP/1.2\r\nhost: a\r\n\r\n",
    "GET /probe/ok HTTP/0.9\r\nhost: a\r\n\r\n",
    "GET /probe/ok HTTP/9.9\r\nhost: a\r\n\r\n",
    "GET /probe/ok HTTP/2.0\r\nhost: a\r\n\r\n",
    "GET /probe/ok HTTP/1.10\r\nhost: a\r\n\r\n",
    "GET /probe/ok HTTP/01.1\r\nhost: a\r\n\r\n",
    "GET /probe/ok XTTP/1.1\r\nhost: a\r\n\r\n",
    "G(T /probe/ok HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET: /probe/ok HTTP/1.1\r\nhost: a\r\n\r\n",
    "nonsense\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    // Fields.
    "GET /probe/ok HTTP/1.1\r\nhost : a\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost\t: a\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\n host: a\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx: 1\r\n folded\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx: 1\r\n\tfolded\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\n: nameless\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nnocolon\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx y: 1\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx(y): 1\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx\u{e9}: 1\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx: \x00\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx: \x0b\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nx: \x7f\r\n\r\n",
    // Targets and hosts.
    "GET /probe/ok HTTP/1.1\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a, b\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: user@a\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a/x\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a b\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost:\r\n\r\n",
    "GET http://b/probe/ok HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET http://user@a/probe/ok HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET ftp://a/probe/ok HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET * HTTP/1.1\r\nhost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
];

/// What stands between the Host field and the body; several ways to tell its length, or none that is sure.
#[rustfmt::skip]
const BROKEN_LENGTHS: &[&str] = &[
    // Content-Length.
    "content-length:\r\n\r\n",
    "content-length: -1\r\n\r\n",
    "content-length: +1\r\n\r\nx",
    "content-length: 0x1\r\n\r\nx",
    "content-length: 1.0\r\n\r\nx",
    "content-length: 1 1\r\n\r\nx",
    "content-length: 1, 1\r\n\r\nx",
    "content-length: 1,2\r\n\r\nx",
    "content-length: \"1\"\r\n\r\nx",
    "content-length:\x0b1\r\n\r\nx",
    "content-length: 1\r\ncontent-length: 1\r\n\r\nx",
    "content-length: 1\r\nContent-Length: 2\r\n\r\nx",
    "content-length: 99999999999999999999\r\n\r\n",
    "content-length: 18446744073709551617\r\n\r\nx",
    "content-length : 1\r\n\r\nx",
    "content-length: 1\r\n ,2\r\n\r\nx",
    // CL.TE and TE.CL.
    "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 5\r\nx: y\r\nTRANSFER-ENCODING: chunked\r\n\r\n0\r\n\r\n",
    "content-length: 5\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    // TE.TE.
    "transfer-encoding:\r\n\r\n0\r\n\r\n",
    "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunkedx\r\n\r\n0\r\n\r\n",
    "transfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "transfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding:\tchunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\t\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
    "transfer-encoding: \x00chunked\r\n\r\n0\r\n\r\n",
    " transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "x: y\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "x: y\rtransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding\r\n: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked,\r\n\r\n0\r\n\r\n",
    "transfer-encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n",
    "transfer-encoding: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chun\u{212a}ed\r\n\r\n0\r\n\r\n",
];

/// Bodies of chunks that some software reads and other does not.
#[rustfmt::skip]
const BROKEN_CHUNKS: &[&str] = &[
    "nonsense\r\n0\r\n\r\n",
    "\r\n0\r\n\r\n",
    "+1\r\nx\r\n0\r\n\r\n",
    "-1\r\nx\r\n0\r\n\r\n",
    " 1\r\nx\r\n0\r\n\r\n",
    "1 \r\nx\r\n0\r\n\r\n",
    "1\t;a\r\nx\r\n0\r\n\r\n",
    "0x1\r\nx\r\n0\r\n\r\n",
    "1_\r\nx\r\n0\r\n\r\n",
    "1\nx\r\n0\r\n\r\n",
    "1\rx\r\n0\r\n\r\n",
    "1\r\nx\n0\r\n\r\n",
    "1\r\nx0\r\n\r\n",
    "1\r\nxy\r\n0\r\n\r\n",
    "2\r\nx\r\n0\r\n\r\n",
    "1;a\nx\r\n0\r\n\r\n",
    "1;a\rx\r\n0\r\n\r\n",
    "1;a=\"\n\"\r\nx\r\n0\r\n\r\n",
    "1;a\x00\r\nx\r\n0\r\n\r\n",
    "10000000000000001\r\nx\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nx\r\n0\r\n\r\n",
    "00000000000000001\r\nx\r\n0\r\n\r\n",
    "1\r\nx\r\n0\n\r\n",
    "1\r\nx\r\n0\r\n\n",
    "1\r\nx\r\n0\r\nx: y\n\r\n",
    "1\r\nx\r\n0\r\nx : y\r\n\r\n",
    "1\r\nx\r\n0\r\n folded\r\n\r\n",
    "1\r\nx\r\n0\r\ncontent-length: 5\r\n\r\n",
    "1\r\nx\r\n0\r\ntransfer-encoding: chunked\r\n\r\n",
    "1\r\nx\r\n0\r\nGET /probe/counter HTTP/1.1\r\nhost: a\r\n\r\n",
];

/// Requests that are unusual and sound; each is answered, and so is what follows it.
#[rustfmt::skip]
const SOUND: &[&str] = &[
    "\r\nGET /probe/ok HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nHOST:a\r\nx:\r\ny: \t 1\t2 \t\r\nz: \u{e9}\r\n\r\n",
    "GET http://a/probe/ok HTTP/1.1\r\nhost: A:80\r\n\r\n",
    "GET /probe/ok HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n\n\n\n",
    "POST /probe/echo HTTP/1.1\r\nhost: a\r\ncontent-length:  0005 \r\n\r\n01234",
    "POST /probe/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
    "POST /probe/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n01234\r\n",
    "POST /probe/echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: CHUNKED \r\n\r\n000A;a=\"b\"\r\n0123456789\r\n00\r\n\r\n",
    "POST /probe/echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\nx: y\r\n\r\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_head_is_refused_and_nothing_behind_it_is_a_request() {
    let host = start().await;
    for head in BROKEN_HEADS {
        assert_refused(&host, head).await;
    }
    assert_nothing_was_smuggled(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_a_request() {
    let host = start().await;
    for fields in BROKEN_LENGTHS {
        assert_refused(&host, &format!("POST /probe/sql HTTP/1.1\r\nhost: a\r\n{fields}")).await;
    }
    let old = "POST /probe/sql HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_refused(&host, old).await;
    assert_nothing_was_smuggled(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_chunk_is_refused_and_nothing_behind_it_is_a_request() {
    let host = start().await;
    let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(300));
    for chunks in BROKEN_CHUNKS.iter().copied().chain([long.as_str()]) {
        let head = "POST /probe/sql HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_refused(&host, &format!("{head}{chunks}")).await;
    }
    assert_nothing_was_smuggled(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_requests_that_are_sound_are_answered_with_what_follows_them() {
    let host = start().await;
    let last = "GET /probe/ok HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for request in SOUND {
        let answer = raw(&host, &format!("{request}{last}")).await;
        assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{request:?}\n{answer}");
    }
    let all = SOUND.concat();
    let answer = raw(&host, &format!("{all}{last}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), SOUND.len() + 1, "{answer}");
    // Methods have a case (RFC 9110, 9.1): this is another one than GET, and as sound.
    let answer = raw(&host, "get /probe/ok HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(["404", "405", "501"].iter().any(|status| answer[9..].starts_with(status)), "{answer}");
    let old = raw(&host, "GET /probe/ok HTTP/1.0\r\n\r\n").await;
    assert!(old.contains(" 200 OK\r\n"), "{old}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_a_broken_head_is_answered_first() {
    let host = start().await;
    let sound = "GET /probe/slow?ms=200 HTTP/1.1\r\nhost: a\r\n\r\n";
    for broken in
        ["GET /probe/ok HTTP/1.1\nhost: a\n\n", "GET /probe/ok HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n"]
    {
        let answer = raw(&host, &format!("{sound}{sound}{broken}{SMUGGLED}")).await;
        let statuses: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(statuses, ["200", "200", "400"], "{answer}");
    }
    // Whoever said that nothing follows gets one answer, whatever follows.
    let closing = "GET /probe/slow?ms=200 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for behind in ["\n\n\n", SMUGGLED] {
        let answer = raw(&host, &format!("{closing}{behind}")).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert_nothing_was_smuggled(&host).await;
}

/// A probe with one instance, which counts what must not reach it.
async fn start() -> Host {
    Host::start(&probe("probe", "instances = { min = 1, max = 1 }")).await
}

/// One answer, a 400 that is a problem document, and the end of the connection.
async fn assert_refused(host: &Host, request: &str) {
    let answer = raw(host, &format!("{request}{SMUGGLED}")).await;
    let is_refused = answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 ");
    assert!(is_refused, "{request:?}\n{answer}");
    assert_eq!(answer.matches("HTTP/1.").count(), 1, "{request:?}\n{answer}");
    for line in ["connection: close\r\n", "content-type: application/problem+json\r\n", "x-request-id: "] {
        assert!(answer.contains(line), "{request:?}\n{answer}");
    }
}

/// The first request that counts is this one.
async fn assert_nothing_was_smuggled(host: &Host) {
    let answer = host.client().get("/probe/counter").await;
    assert_eq!((answer.status, answer.body), (200, 1.into()));
    host.logged("/probe/counter").await;
    assert_eq!(host.log().matches("/probe/counter").count(), 1, "{}", host.log());
}
