//! Tables of connections: each is cut at every place, and the verdict must stay the same.

use std::fmt::Write as _;

use super::*;
use crate::gateway::framing::{HEADER_BYTES_MAX, HEADER_FIELDS_MAX, REQUEST_LINE_BYTES_MAX};

/// Where the bytes were refused, and with which status; none when all passed.
type Verdict = Option<(usize, u16)>;

fn verdict_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Verdict, Scanner) {
    let (mut scanner, mut before) = (Scanner::new(), 0);
    for part in parts {
        if let Err(violation) = scanner.feed(part) {
            let (Fault::Head(refusal) | Fault::Body(refusal)) = violation.fault else {
                panic!("HTTP/1 has no frames");
            };
            return (Some((before + violation.at, refusal.status().as_u16())), scanner);
        }
        before += part.len();
    }
    (None, scanner)
}

/// The verdict, which does not depend on how the bytes come.
fn verdict(bytes: &[u8]) -> Verdict {
    let (whole, _) = verdict_of([bytes]);
    assert_eq!(verdict_of(bytes.chunks(1)).0, whole, "byte by byte: {}", bytes.escape_ascii());
    for cut in 0..=bytes.len().min(1_000) {
        let (start, end) = bytes.split_at(cut);
        assert_eq!(verdict_of([start, end]).0, whole, "cut at {cut}: {}", bytes.escape_ascii());
    }
    whole
}

/// All of it passes, and a request may begin behind it.
fn assert_whole(text: &str) {
    assert_eq!(verdict(text.as_bytes()), None, "{text:?}");
    let (_, scanner) = verdict_of([text.as_bytes()]);
    assert!(matches!(scanner.state, State::Line(_)), "{text:?}: {scanner:?}");
    // A bare line feed can stand in a body but not where a request begins.
    assert_eq!(verdict(format!("{text}\n").as_bytes()), Some((text.len(), 400)), "{text:?}");
}

/// It is refused with 400 at the byte behind `sound`.
fn assert_refused(sound: &str, rest: &str) {
    let text = format!("{sound}{rest}");
    assert_eq!(verdict(text.as_bytes()), Some((sound.len(), 400)), "{sound:?} then {rest:?}");
}

#[test]
fn sound_messages_pass_and_their_end_is_known() {
    for text in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "get /\u{e9}?x=<y> HTTP/1.1\r\nHost:a\r\nx:\r\ny: \t a\tb \r\nz: \u{e9}\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        "PRI * HTTP/1.1\r\nhost: a\r\n\r\n",
        "PROPFIND / HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n\n\n\n",
        "POST / HTTP/1.1\r\nCONTENT-LENGTH:  00000000003 \r\n\r\nabc\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-lengthy: x\r\ncontent: x\r\nt: x\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding:CHUNKED \r\n\r\n000a;a=\"b\"\r\n0\r\n\r\nGET \n\r\n0;x\r\nx: y\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\n\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
    ] {
        assert_whole(text);
    }
}

#[test]
fn a_broken_head_is_refused_at_its_first_wrong_byte() {
    for (sound, rest) in [
        ("", "\nGET / HTTP/1.1\r\n\r\n"),
        ("", " GET / HTTP/1.1\r\n\r\n"),
        ("\r\n", "\r\nGET / HTTP/1.1\r\n\r\n"),
        ("\r", "GET / HTTP/1.1\r\n\r\n"),
        ("GET", "\t/ HTTP/1.1\r\n\r\n"),
        ("GE", "(T / HTTP/1.1\r\n\r\n"),
        ("GET ", " / HTTP/1.1\r\n\r\n"),
        ("GET /", "\r\n\r\n"),
        ("GET /", "\nhost: a\r\n\r\n"),
        ("GET /a", "\0 HTTP/1.1\r\n\r\n"),
        ("GET /a", "\t HTTP/1.1\r\n\r\n"),
        ("GET / ", " HTTP/1.1\r\n\r\n"),
        ("GET /a ", "b HTTP/1.1\r\n\r\n"),
        ("GET / ", "http/1.1\r\n\r\n"),
        ("GET / HTTP/", "2.0\r\n\r\n"),
        ("GET / HTTP/1.", "2\r\n\r\n"),
        ("GET / HTTP/", "0.9\r\n\r\n"),
        ("GET / HTTP/1", "1\r\n\r\n"),
        ("GET / HTTP/1.1", "1\r\n\r\n"),
        ("GET / HTTP/1.1", " \r\n\r\n"),
        ("GET / HTTP/1.1", "\nhost: a\r\n\r\n"),
        ("GET / HTTP/1.1\r", "host: a\r\n\r\n"),
        ("GET / HTTP/1.1\r\n", "\n"),
        ("GET / HTTP/1.1\r\n", " host: a\r\n\r\n"),
        ("GET / HTTP/1.1\r\n", ": a\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost", " : a\r\n\r\n"),
        ("GET / HTTP/1.1\r\nho", "(st: a\r\n\r\n"),
        ("GET / HTTP/1.1\r\nho", "\u{e9}st: a\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost", "\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a", "\nx: b\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a\r", "x: b\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a\r", "\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a\r\n", " folded\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a\r\n", "\tfolded\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a", "\0\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a", "\u{b}\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a", "\u{7f}\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a\r\n\r", "GET / HTTP/1.1\r\n\r\n"),
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\nPRI * HTTP/", "2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        assert_refused(sound, rest);
    }
    // Up to here it could be the preface of HTTP/2.
    assert_refused("PRI * HTTP/2.", "1\r\n\r\n");
    assert_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r", "GET");
}

#[test]
fn a_length_that_can_be_read_in_two_ways_is_refused() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\n";
    for (sound, rest) in [
        ("content-length:", "\r\n\r\n"),
        ("content-length: ", "+1\r\n\r\n"),
        ("content-length: ", "-1\r\n\r\n"),
        ("content-length:", "\t1\r\n\r\n"),
        ("content-length: 1", "\t\r\n\r\n"),
        ("content-length: 1", ",1\r\n\r\n"),
        ("content-length: 1 ", "1\r\n\r\n"),
        ("content-length: 1", ".0\r\n\r\n"),
        ("content-length: 0", "x1\r\n\r\n"),
        ("content-length: 1", "\n\r\n"),
        ("content-length: 0000000000000000001", "0\r\n\r\n"),
        ("content-length", " : 1\r\n\r\n"),
        ("content-length: 1\r\ncontent-length", ": 1\r\n\r\n"),
        ("content-length: 1\r\nx: y\r\nContent-Length", ": 2\r\n\r\n"),
        ("content-length: 1\r\ntransfer-encoding", ": chunked\r\n\r\n"),
        ("transfer-encoding: chunked\r\ncontent-length", ": 1\r\n\r\n"),
        ("transfer-encoding: chunked\r\ntransfer-encoding", ": chunked\r\n\r\n"),
        ("transfer-encoding:", "\r\n\r\n"),
        ("transfer-encoding: ", "xchunked\r\n\r\n"),
        ("transfer-encoding: chunked", "x\r\n\r\n"),
        ("transfer-encoding: chunk", "\r\n\r\n"),
        ("transfer-encoding: chunk", " ed\r\n\r\n"),
        ("transfer-encoding: chunked", ", identity\r\n\r\n"),
        ("transfer-encoding: ", "identity, chunked\r\n\r\n"),
        ("transfer-encoding: ", ", chunked\r\n\r\n"),
        ("transfer-encoding:", "\tchunked\r\n\r\n"),
        ("transfer-encoding:", "\u{b}chunked\r\n\r\n"),
        ("transfer-encoding: chunked", "\t\r\n\r\n"),
        ("transfer-encoding: chunked", ";q=1\r\n\r\n"),
        ("transfer-encoding: ", "\"chunked\"\r\n\r\n"),
        ("transfer-encoding: c", "\u{16b}nked\r\n\r\n"),
    ] {
        assert_refused(&format!("{head}{sound}"), rest);
    }
    assert_refused("POST / HTTP/1.0\r\ntransfer-encoding", ": chunked\r\n\r\n0\r\n\r\n");
}

#[test]
fn broken_chunks_are_refused_at_their_first_wrong_byte() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let extension = format!("1;{}", "x".repeat(256));
    for (sound, rest) in [
        ("", "\r\n"),
        ("", "+1\r\na\r\n"),
        ("", "-1\r\na\r\n"),
        ("", " 1\r\na\r\n"),
        ("0", "x1\r\na\r\n"),
        ("", "g\r\n"),
        ("", ";a\r\n"),
        ("1", " \r\na\r\n"),
        ("1", "\t;a\r\na\r\n"),
        ("1", "_0\r\na\r\n"),
        ("1", "\na\r\n"),
        ("1\r", "a\r\n"),
        ("0000000000000000", "1\r\na\r\n"),
        ("ffffffffffffffff", "f\r\n"),
        ("1;a", "\na\r\n"),
        ("1;a\r", "a\r\n"),
        ("1;a", "\0\r\na\r\n"),
        (extension.as_str(), "x\r\na\r\n"),
        ("1\r\na", "a\r\n"),
        ("1\r\na", "\n"),
        ("1\r\na\r", "\r\n"),
        ("1\r\na", "0\r\n\r\n"),
        ("0\r\n", "\n"),
        ("0\r\n\r", "GET"),
        ("0\r\n", " x: y\r\n\r\n"),
        ("0\r\nx: y", "\n\r\n"),
        ("0\r\nx", " : y\r\n\r\n"),
        ("0\r\ncontent-length", ": 1\r\n\r\n"),
        ("0\r\nTransfer-Encoding", ": chunked\r\n\r\n"),
        ("0\r\nGET", " / HTTP/1.1\r\n\r\n"),
    ] {
        assert_refused(&format!("{head}{sound}"), rest);
    }
    let fault = |rest: &str| Scanner::new().feed(format!("{head}{rest}").as_bytes()).unwrap_err().fault;
    assert!(matches!(fault("1\n"), Fault::Body(_)));
    assert!(matches!(fault("0\r\n\r\n\n"), Fault::Head(_)));
}

#[test]
fn limits_count_what_has_come() {
    let line = |bytes: usize| {
        let target = "x".repeat(bytes - "GET / HTTP/1.1".len());
        format!("GET /{target} HTTP/1.1\r\nhost: a\r\n\r\n")
    };
    assert_eq!(verdict(line(REQUEST_LINE_BYTES_MAX).as_bytes()), None);
    let longer = verdict(line(REQUEST_LINE_BYTES_MAX + 3).as_bytes());
    assert_eq!(longer, Some((REQUEST_LINE_BYTES_MAX + 2, 414)));

    let head = "GET / HTTP/1.1\r\n";
    let section = |bytes: usize| format!("{head}x: {}\r\n\r\n", "y".repeat(bytes - "x: \r\n".len()));
    assert_eq!(verdict(section(HEADER_BYTES_MAX).as_bytes()), None);
    let larger = verdict(section(HEADER_BYTES_MAX + 3).as_bytes());
    assert_eq!(larger, Some((head.len() + HEADER_BYTES_MAX + 2, 431)));

    let many = |count: usize| format!("{head}{}\r\n", "x: y\r\n".repeat(count));
    assert_eq!(verdict(many(HEADER_FIELDS_MAX).as_bytes()), None);
    let more = verdict(many(HEADER_FIELDS_MAX + 1).as_bytes());
    assert_eq!(more, Some((head.len() + HEADER_FIELDS_MAX * "x: y\r\n".len(), 431)));
}

#[test]
fn http2_is_known_by_its_preface() {
    let ping = b"\0\0\x08\x06\0\0\0\0\0\n\n\n\n\n\n\n\n";
    let bytes = [PREFACE, ping].concat();
    assert_eq!(verdict(&bytes), None);
    assert!(matches!(verdict_of([&*bytes]).1.state, State::Frames(_)));
    let flood = [PREFACE, &ping.repeat(100_000)].concat();
    let fault = Scanner::new().feed(&flood).unwrap_err().fault;
    assert!(matches!(fault, Fault::Flood(Flood { last_stream: 0 })));
}

#[test]
fn many_requests_in_one_read_are_told_apart() {
    let mut text = String::new();
    for index in 0..50 {
        let body = "\n".repeat(index);
        write!(text, "POST /{index} HTTP/1.1\r\ncontent-length: {index}\r\n\r\n{body}").unwrap();
        write!(text, "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        let chunk = if index > 0 { format!("{index:x}\r\n{body}\r\n") } else { String::new() };
        write!(text, "{chunk}0\r\n\r\n").unwrap();
    }
    assert_whole(&text);
}
