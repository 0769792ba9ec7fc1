//! Answers from a kept response of ten bytes.

use std::time::Duration;

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
    answer(head, source, &method.parse().unwrap(), &headers(fields), later, status)
}

#[test]
fn conditions_are_answered_from_what_is_kept() {
    let check = |method: &str, fields: &[(&'static str, &str)], expected: u16| {
        let tagged = head(200, &[("etag", "\"a\"")]);
        assert_eq!(ask(&tagged, method, fields).status(), expected, "{method} {fields:?}");
    };
    check("GET", &[("if-none-match", "\"a\"")], 304);
    check("HEAD", &[("if-none-match", "W/\"a\"")], 304);
    check("GET", &[("if-none-match", "\"b\", \"a\"")], 304);
    check("GET", &[("if-none-match", "\"b\""), ("if-none-match", "\"a\"")], 304);
    check("GET", &[("if-none-match", "*")], 304);
    check("GET", &[("if-none-match", "\"a, b\"")], 200);
    check("GET", &[("if-none-match", "a")], 200);
    check("GET", &[("if-modified-since", "Tue, 14 Nov 2023 21:13:20 GMT")], 304);
    check("GET", &[("if-modified-since", "Tuesday, 14-Nov-23 21:13:21 GMT")], 304);
    check("GET", &[("if-modified-since", "Tue, 14 Nov 2023 21:13:19 GMT")], 200);
    check("GET", &[("if-modified-since", "now")], 200);
    // A tag goes before a date.
    check("GET", &[("if-none-match", "\"b\""), ("if-modified-since", "Tue, 14 Nov 2023 21:13:20 GMT")], 200);
    let missing = head(404, &[("etag", "\"a\"")]);
    assert_eq!(ask(&missing, "GET", &[("if-none-match", "\"a\"")]).status(), 404);
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

#[test]
fn one_range_is_cut_out_and_everything_else_is_whole() {
    let check = |range: &str, expected: u16, content_range: Option<&str>| {
        let response = ask(&head(200, &[]), "GET", &[("range", range)]);
        assert_eq!(response.status(), expected, "{range}");
        let told = response.headers().get(CONTENT_RANGE).map(|value| value.to_str().unwrap());
        assert_eq!(told, content_range, "{range}");
    };
    check("bytes=0-0", 206, Some("bytes 0-0/10"));
    check("bytes=2-4", 206, Some("bytes 2-4/10"));
    check("bytes=2-", 206, Some("bytes 2-9/10"));
    check("bytes=2-99999999999999999999999", 206, Some("bytes 2-9/10"));
    check("BYTES=-3", 206, Some("bytes 7-9/10"));
    check("bytes=-30", 206, Some("bytes 0-9/10"));
    check("bytes=10-", 416, Some("bytes */10"));
    check("bytes=99999999999999999999999-", 416, Some("bytes */10"));
    check("bytes=-0", 416, Some("bytes */10"));
    for whole in
        ["bytes=4-2", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "0-1", "bytes=+1-2"]
    {
        check(whole, 200, None);
    }
    assert_eq!(ask(&head(200, &[]), "HEAD", &[("range", "bytes=0-0")]).status(), 200);
    assert_eq!(ask(&head(404, &[]), "GET", &[("range", "bytes=0-0")]).status(), 404);
}

#[test]
fn a_range_of_another_response_is_not_served() {
    let check = |fields: &[(&'static str, &str)], condition: &str, expected: u16| {
        let response = ask(&head(200, fields), "GET", &[("range", "bytes=0-0"), ("if-range", condition)]);
        assert_eq!(response.status(), expected, "{fields:?} {condition}");
    };
    check(&[("etag", "\"a\"")], "\"a\"", 206);
    check(&[("etag", "\"a\"")], "\"b\"", 200);
    check(&[("etag", "W/\"a\"")], "W/\"a\"", 200);
    check(&[], "\"a\"", 200);
    check(&[], "Tue, 14 Nov 2023 21:13:20 GMT", 206);
    check(&[], "Tue, 14 Nov 2023 21:13:21 GMT", 200);
}

#[tokio::test]
async fn head_gets_the_head_and_a_range_its_bytes() {
    use http_body_util::BodyExt;

    let response = ask(&head(200, &[]), "HEAD", &[]);
    assert_eq!(response.headers()[CONTENT_LENGTH], "10");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    let response = ask(&head(200, &[]), "GET", &[("range", "bytes=3-5")]);
    assert_eq!(response.headers()[CONTENT_LENGTH], "3");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "345");
}
