//! What becomes of a kept response by the answers of its service.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::*;
use crate::gateway::cache::kept::Head;

/// One that is of use and has validators, as most are.
const GOOD: &[(&str, &str)] = &[("cache-control", "public, max-age=60"), ("etag", "\"1\"")];

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn exchange<'e>(request: &'e HeaderMap, status: u16, response: &'e HeaderMap) -> Exchange<'e> {
    let now = SystemTime::now();
    let status = StatusCode::from_u16(status).unwrap();
    Exchange { request, is_identified: false, status, response, sent: now, received: now }
}

fn scope() -> Scope {
    Scope { route: 1, service: "shop".parse().unwrap() }
}

fn kept(fields: &[(&'static str, &str)]) -> Kept {
    let (request, response) = (HeaderMap::new(), headers(fields));
    let head = Head::new(&exchange(&request, 200, &response), &scope(), &CacheRules::default()).unwrap();
    Kept::new(Arc::new(head), Bytes::from_static(b"body"))
}

/// The fate in a word, and the detail.
fn decided(
    kept: &Kept,
    method: &str,
    request: &[(&'static str, &str)],
    status: u16,
    response: &[(&'static str, &str)],
) -> (&'static str, Option<&'static str>) {
    let (request, response) = (headers(request), headers(response));
    let mut exchange = exchange(&request, status, &response);
    exchange.is_identified = request.contains_key("authorization");
    let rules = CacheRules::default();
    let head = Head::new(&exchange, &scope(), &rules);
    let unkept = head.err().unwrap_or("head");
    let method: Method = method.parse().unwrap();
    let is_validating = method == Method::GET;
    let answered = Answered { kept: Some(kept), method: &method, exchange, unkept, is_validating };
    let decision = decide(&answered, &scope(), &rules);
    let fate = match decision.fate {
        Fate::Stays => "stays",
        Fate::Goes => "goes",
        Fate::Renewed(_) => "renewed",
    };
    (fate, decision.detail)
}

#[test]
fn a_304_renews_or_forbids_but_its_asker_decides_nothing_for_others() {
    let check = |request: &[(&'static str, &str)], response: &[(&'static str, &str)], expected| {
        let decided = decided(&kept(GOOD), "GET", request, 304, response);
        assert_eq!(decided, expected, "{request:?} {response:?}");
    };
    check(&[], &[("etag", "\"1\"")], ("renewed", None));
    check(&[], &[], ("renewed", None));
    check(&[], &[("etag", "\"2\"")], ("goes", Some("status")));
    check(&[], &[("cache-control", "no-store")], ("goes", Some("no-store")));
    check(&[], &[("cache-control", "private")], ("goes", Some("private")));
    check(&[("cache-control", "no-store")], &[], ("stays", Some("request-no-store")));
    check(&[("authorization", "x")], &[("cache-control", "max-age=60")], ("stays", Some("authorization")));
    let guessed = kept(&[("last-modified", "Tue, 14 Nov 2000 22:03:20 GMT")]);
    let personal = decided(&guessed, "GET", &[("cookie", "a=1")], 304, &[]);
    assert_eq!(personal, ("stays", Some("personal")));
}

#[test]
fn what_an_asker_gets_has_all_that_a_304_says() {
    let (kept, request) = (kept(GOOD), HeaderMap::new());
    let response = headers(&[("set-cookie", "a=1"), ("cache-control", "private, max-age=9")]);
    let answered = Answered {
        kept: Some(&kept),
        method: &Method::GET,
        exchange: exchange(&request, 304, &response),
        unkept: "status",
        is_validating: true,
    };
    let fields = decide(&answered, &scope(), &CacheRules::default()).fields.unwrap();
    assert_eq!(fields["set-cookie"], "a=1");
    assert_eq!(fields.get_all("cache-control").iter().collect::<Vec<_>>(), ["private, max-age=9"]);
    assert_eq!((&fields["etag"], &fields["content-length"]), (&"\"1\"".parse().unwrap(), &4.into()));
}

#[test]
fn another_answer_takes_its_place_only_when_others_would_get_it() {
    let check = |request: &[(&'static str, &str)], status: u16, control: &str, expected: &str| {
        let decided = decided(&kept(GOOD), "GET", request, status, &[("cache-control", control)]);
        assert_eq!(decided.0, expected, "{request:?} {status} {control}");
    };
    for status in [200, 203, 301, 302, 404, 410] {
        check(&[], status, "no-store", "goes");
        check(&[], status, "private", "goes");
        check(&[("authorization", "x")], status, "no-store", "stays");
        check(&[("cache-control", "no-store")], status, "max-age=60", "stays");
    }
    for status in [206, 400, 401, 403, 406, 412, 416, 429, 500, 503] {
        check(&[], status, "no-store", "stays");
    }
    check(&[("cookie", "a=1")], 200, "x", "stays");
}

#[test]
fn an_answer_to_head_counts_only_when_it_is_200() {
    let check = |status: u16, response: &[(&'static str, &str)], expected: &str| {
        assert_eq!(decided(&kept(GOOD), "HEAD", &[], status, response).0, expected, "{status} {response:?}");
    };
    check(200, &[("etag", "\"1\""), ("content-length", "4"), ("cache-control", "max-age=9")], "renewed");
    check(200, &[("etag", "\"1\"")], "renewed");
    check(200, &[("etag", "\"1\""), ("content-length", "5")], "goes");
    check(200, &[("etag", "\"2\"")], "goes");
    check(200, &[("content-length", "4")], "stays");
    check(200, &[], "stays");
    for status in [304, 404, 429, 500] {
        check(status, &[("content-length", "99"), ("etag", "\"2\"")], "stays");
        check(status, &[("etag", "\"1\"")], "stays");
    }
}
