//! Which part of a response of ten bytes is asked for.

use super::*;

const LENGTH: u64 = 10;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn response(etag: &str) -> HeaderMap {
    headers(&[
        ("etag", etag),
        ("last-modified", "Tue, 14 Nov 2023 21:13:20 GMT"),
        ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
    ])
}

#[test]
fn conditions_are_held_against_tag_and_date() {
    let check = |etag: &str, request: &[(&'static str, &str)], expected: Part| {
        let part = Part::asked(&response(etag), Some(LENGTH), &Method::GET, &headers(request));
        assert_eq!(part, expected, "{etag} {request:?}");
    };
    use Part::{All, NotMeant, NotModified};
    check("\"a\"", &[], All);
    check("\"a\"", &[("if-none-match", "\"a\"")], NotModified);
    check("\"a\"", &[("if-none-match", "W/\"a\"")], NotModified);
    check("W/\"a\"", &[("if-none-match", "\"a\"")], NotModified);
    check("\"a\"", &[("if-none-match", "\"b\",\t, W/\"a\"")], NotModified);
    check("\"a\"", &[("if-none-match", "\"b\""), ("if-none-match", "\"a\"")], NotModified);
    check("\"a\"", &[("if-none-match", "*")], NotModified);
    check("\"a, b\"", &[("if-none-match", "\"c\", \"a, b\"")], NotModified);
    check("\"é\"", &[("if-none-match", "\"é\"")], NotModified);
    check("\"é\"", &[("if-none-match", "\"è\"")], All);
    check("\"a\\\"", &[("if-none-match", "\"a\\\", \"b\"")], NotModified);
    for other in ["a", "\"a", "\"a, b\"", "w/\"a\"", "", ",", "W/", "\"A\""] {
        check("\"a\"", &[("if-none-match", other)], All);
    }
    check("\"a\"", &[("if-match", "\"a\"")], All);
    check("\"a\"", &[("if-match", "\"b\""), ("if-match", "\"a\"")], All);
    check("\"a\"", &[("if-match", "*")], All);
    check("\"a\"", &[("if-match", "W/\"a\"")], NotMeant);
    check("W/\"a\"", &[("if-match", "W/\"a\"")], NotMeant);
    check("\"a\"", &[("if-match", "\"b\""), ("if-none-match", "\"a\"")], NotMeant);
    let (before, at) = ("Tue, 14 Nov 2023 21:13:19 GMT", "tue, 14 NOV 2023 21:13:20 GMT");
    check("\"a\"", &[("if-modified-since", at)], NotModified);
    check("\"a\"", &[("if-modified-since", before)], All);
    check("\"a\"", &[("if-modified-since", at), ("if-none-match", "\"b\"")], All);
    check("\"a\"", &[("if-unmodified-since", before)], NotMeant);
    check("\"a\"", &[("if-unmodified-since", at)], All);
    check("\"a\"", &[("if-unmodified-since", before), ("if-match", "\"a\"")], All);
}

#[test]
fn one_range_is_cut_whatever_the_spelling() {
    let check = |range: &str, length: u64, expected: Part| {
        let asked = headers(&[("range", range)]);
        let part = Part::asked(&response("\"a\""), Some(length), &Method::GET, &asked);
        assert_eq!(part, expected, "{range} of {length}");
    };
    check("bytes=0-0", LENGTH, Part::Range(0..1));
    check("Bytes=0-1", LENGTH, Part::Range(0..2));
    check("bytes=007-9", LENGTH, Part::Range(7..10));
    check("bytes=0-99999999999999999999", LENGTH, Part::Range(0..10));
    check("bytes=-3", LENGTH, Part::Range(7..10));
    check("bytes=-30", LENGTH, Part::Range(0..10));
    for none in ["bytes=10-", "bytes=99999999999999999999-", "bytes=-0"] {
        check(none, LENGTH, Part::Unsatisfiable);
    }
    for none in ["bytes=0-", "bytes=0-0", "bytes=-5"] {
        check(none, 0, Part::Unsatisfiable);
    }
    for whole in ["bytes=4-2", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "0-1"] {
        check(whole, LENGTH, Part::All);
    }
    let asked = headers(&[("range", "bytes=0-0")]);
    assert_eq!(Part::asked(&response("\"a\""), Some(LENGTH), &Method::HEAD, &asked), Part::All);
    assert_eq!(Part::asked(&response("\"a\""), None, &Method::GET, &asked), Part::All);
}

#[test]
fn a_range_is_of_the_response_that_the_client_knows() {
    let check = |fields: &[(&'static str, &str)], condition: &str, is_used: bool| {
        let mut response = headers(&[("last-modified", "Tue, 14 Nov 2023 22:12:20 GMT")]);
        response.extend(headers(fields));
        let asked = headers(&[("range", "bytes=0-0"), ("if-range", condition)]);
        let part = Part::asked(&response, Some(LENGTH), &Method::GET, &asked);
        assert_eq!(part != Part::All, is_used, "{fields:?} {condition}");
    };
    check(&[("etag", "\"a\"")], "\"a\"", true);
    check(&[("etag", "\"a\"")], "\"b\"", false);
    check(&[("etag", "W/\"a\"")], "W/\"a\"", false);
    check(&[], "\"a\"", false);
    let changed = "Tue, 14 Nov 2023 22:12:20 GMT";
    check(&[], changed, true);
    check(&[("date", "Tue, 14 Nov 2023 22:13:20 GMT")], changed, true);
    check(&[("date", "Tue, 14 Nov 2023 22:13:19 GMT")], changed, false);
    check(&[], "Tue, 14 Nov 2023 22:12:21 GMT", false);
}

#[test]
fn a_refusal_has_none_of_the_fields_of_the_content() {
    let whole = || {
        headers(&[
            ("cache-control", "public, max-age=31536000, immutable"),
            ("etag", "\"a\""),
            ("content-type", "text/plain"),
            ("content-length", "10"),
            ("vary", "accept"),
            ("vary", "origin"),
        ])
    };
    for (part, content_range) in [(Part::Unsatisfiable, Some("bytes */10")), (Part::NotMeant, None)] {
        let mut fields = whole();
        part.narrow(&mut fields, LENGTH);
        assert_eq!(
            (&fields[CACHE_CONTROL], &fields[CONTENT_LENGTH]),
            (&"no-store".parse().unwrap(), &HeaderValue::from(0))
        );
        assert_eq!(fields.get(CONTENT_RANGE).map(|range| range.to_str().unwrap()), content_range);
        assert_eq!(fields.get_all(VARY).iter().count(), 2);
        assert!(!fields.contains_key(ETAG) && !fields.contains_key("content-type"), "{fields:?}");
    }
    let mut fields = whole();
    fields.append(CACHE_CONTROL, HeaderValue::from_static("no-transform"));
    Part::NotModified.narrow(&mut fields, LENGTH);
    assert_eq!(fields.get_all(CACHE_CONTROL).iter().count(), 2, "all lines of a field");
    assert!(!fields.contains_key("content-type") && !fields.contains_key(CONTENT_LENGTH), "{fields:?}");
    assert_eq!(fields[ETAG], "\"a\"");
}
