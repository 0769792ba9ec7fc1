//! Requests whose end is not certain, as raw bytes: refused, and what stands behind them is never a request.

use crate::gateway::{raw, start};

/// What must never be answered when it stands behind a broken request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Requests whose end is not certain; each must end its connection.
#[rustfmt::skip]
const BROKEN: [&str; 24] = [
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: user@a\r\n\r\n",
    "GET / HTTP/1.1\r\nhost:\r\n\r\n",
    "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET * HTTP/1.1\r\nhost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\n: nameless\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nx: \x00\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nx: 1\rx\r\n\r\n",
    "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET / HTTP/9.9\r\nhost: a\r\n\r\n",
    "nonsense\r\n\r\n",
    "POST /probe/sql HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    "POST /probe/sql HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    "POST /probe/sql HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\n",
    "POST /probe/sql HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
    "POST /probe/sql HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n",
    "POST /probe/sql HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /probe/sql HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n0\r\n\r\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_request_without_a_certain_end_nothing_is_a_request() {
    let host = start().await;
    for head in BROKEN {
        let answer = raw(&host, &format!("{head}{SMUGGLED}")).await;
        let is_refused =
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 ");
        assert!(is_refused, "{head:?}\n{answer}");
        assert!(answer.matches("HTTP/1.").count() <= 1, "{head:?}\n{answer}");
    }
    // Length and chunks at once: chunks count (RFC 9112, 6.3), and the connection ends.
    let [length, chunked] = ["content-length: 5", "transfer-encoding: chunked"];
    for (first, second) in [(length, chunked), (chunked, length)] {
        let head = format!("POST /probe/echo HTTP/1.1\r\nhost: a\r\n{first}\r\n{second}\r\n\r\n0\r\n\r\n");
        let answer = raw(&host, &format!("{head}{SMUGGLED}")).await;
        assert!(answer.matches("HTTP/1.").count() <= 1, "{head:?}\n{answer}");
    }
    assert_eq!(host.client().get("/last").await.status, 404);
    host.logged("/last").await;
    assert!(!host.log().contains("/smuggled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_line_that_ends_in_a_bare_line_feed_ends_the_connection() {
    let host = start().await;
    for head in [
        "POST /probe/sql HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
        "POST /probe/sql HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;a\nx\r\n0\r\n\r\n",
    ] {
        let answer = raw(&host, &format!("{head}{SMUGGLED}")).await;
        assert!(answer.matches("HTTP/1.").count() <= 1, "{head:?}\n{answer}");
    }
}
