//! Answers from a kept response of ten bytes.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE};

use super::*;
use crate::config::CacheRules;
use crate::gateway::cache::kept::Scope;
use crate::gateway::cache::policy::Exchange;

const BODY: &str = "0123456789";

/// Tue, 14 Nov 2023 22:13:20 GMT.
const NOW_SECONDS: u64 = 1_700_000_000;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_SECONDS)
}

fn head(status: u16, fields: &[(&'static str, &str)]) -> Head {
    let mut response = headers(&[
        ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("last-modified", "Tue, 14 Nov 2023 21:13:20 GMT"),
        ("cache-control", "max-age=60"),
        ("content-type", "text/plain"),
        ("content-length", "10"),
    ]);
    response.extend(headers(fields));
    let exchange = Exchange {
        request: &HeaderMap::new(),
        is_identified: false,
        status: StatusCode::from_u16(status).unwrap(),
        response: &response,
        sent: now(),
        received: now(),
    };
    let scope = Scope { route: 1, service: "shop".parse().unwrap() };
    Head::new(&exchange, &scope, &CacheRules::default()).unwrap()
}

fn ask(head: &Head, method: &str, fields: &[(&'static str, &str)]) -> Response {
    let later = now() + Duration::from_secs(7);
    let source = Source::Whole(Bytes::from_static(BODY.as_bytes()));
    let status = CacheStatus::hit(&head.terms, later);
    answer(Found::new(head, source, later), &method.parse().unwrap(), &headers(fields), status)
}

#[test]
fn conditions_and_ranges_are_about_a_200_only() {
    let check = |status: u16, method: &str, fields: &[(&'static str, &str)], expected: u16| {
        let answered = ask(&head(status, &[("etag", "\"a\"")]), method, fields);
        assert_eq!(answered.status(), expected, "{status} {method} {fields:?}");
    };
    check(200, "GET", &[("if-none-match", "\"a\"")], 304);
    check(200, "HEAD", &[("if-none-match", "W/\"a\"")], 304);
    check(404, "GET", &[("if-none-match", "\"a\"")], 404);
    check(200, "GET", &[("range", "bytes=0-0")], 206);
    check(200, "GET", &[("range", "bytes=10-")], 416);
    check(200, "HEAD", &[("range", "bytes=0-0")], 200);
    check(404, "GET", &[("range", "bytes=0-0")], 404);
}

#[test]
fn a_304_has_the_fields_that_clients_need_and_no_others() {
    let response =
        ask(&head(200, &[("etag", "\"a\""), ("vary", "x"), ("vary", "y")]), "GET", &[("if-none-match", "*")]);
    let fields = response.headers();
    for name in ["etag", "date", "cache-control", "age", "cache-status"] {
        assert!(fields.contains_key(name), "{name}");
    }
    assert!(!fields.contains_key("content-type") && !fields.contains_key("content-length"));
    assert_eq!(fields.get_all("vary").iter().count(), 2);
    assert_eq!(
        (&fields["age"], &fields["cache-status"]),
        (&"7".parse().unwrap(), &"hostel; hit; ttl=53".parse().unwrap())
    );
}

#[tokio::test]
async fn head_gets_the_head_and_a_range_its_bytes() {
    use http_body_util::BodyExt;

    let response = ask(&head(200, &[]), "HEAD", &[]);
    assert_eq!(response.headers()[CONTENT_LENGTH], "10");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    let response = ask(&head(200, &[]), "GET", &[("range", "bytes=3-5")]);
    assert_eq!(
        (&response.headers()[CONTENT_LENGTH], &response.headers()[CONTENT_RANGE]),
        (&3.into(), &"bytes 3-5/10".parse().unwrap())
    );
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "345");
}
