//! Answers from a kept response: conditional requests, ranges, HEAD (RFC 9111, 4.3.2; RFC 9110, 13 and 14).

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, DATE, ETAG, EXPIRES,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::directives::members;
use super::kept::{Head, opaque};
use super::policy;
use super::status::CacheStatus;
use crate::body::{self, Body, Response};

/// The fields of a 304 (RFC 9110, 15.4.5); the client has the others.
const NOT_MODIFIED: [HeaderName; 7] =
    [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY];

/// The body of a kept response.
pub enum Source {
    /// It is all there.
    Whole(Bytes),
    /// It is still coming; ranges cannot be cut out of it.
    Coming(Body),
}

/// What a request asks of the response that is kept for it.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    All,
    NotModified,
    Bytes(Range<usize>),
    Unsatisfiable,
}

/// The response to a request of this method and these fields.
pub fn answer(
    head: &Head,
    source: Source,
    method: &Method,
    request: &HeaderMap,
    now: SystemTime,
    status: CacheStatus,
) -> Response {
    let length = match &source {
        Source::Whole(bytes) => Some(bytes.len()),
        Source::Coming(_) => None,
    };
    let part = part(head, length, method, request);
    let mut response = Response::new(body::empty());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers.clone();
    let headers = response.headers_mut();
    match (&part, length) {
        (Part::NotModified, _) => {
            *headers = NOT_MODIFIED
                .iter()
                .filter_map(|name| Some((name.clone(), head.headers.get(name)?.clone())))
                .collect();
            for value in head.headers.get_all(VARY).iter().skip(1) {
                headers.append(VARY, value.clone());
            }
        }
        (Part::Bytes(range), Some(length)) => {
            let (first, last) = (range.start, range.end - 1);
            set(headers, CONTENT_RANGE, &format!("bytes {first}-{last}/{length}"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(range.len()));
        }
        (Part::Unsatisfiable, Some(length)) => {
            set(headers, CONTENT_RANGE, &format!("bytes */{length}"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        _ if length.is_some() && head.status == StatusCode::OK => {
            headers.entry(ACCEPT_RANGES).or_insert(HeaderValue::from_static("bytes"));
        }
        _ => {}
    }
    headers.insert(AGE, HeaderValue::from(head.terms.age(now).as_secs()));
    status.write(headers);
    *response.status_mut() = match part {
        Part::All => head.status,
        Part::NotModified => StatusCode::NOT_MODIFIED,
        Part::Bytes(_) => StatusCode::PARTIAL_CONTENT,
        Part::Unsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
    };
    if *method != Method::HEAD {
        *response.body_mut() = match (source, part) {
            (Source::Whole(bytes), Part::All) => body::full(bytes),
            (Source::Whole(bytes), Part::Bytes(range)) => body::full(bytes.slice(range)),
            (Source::Coming(body), Part::All) => body,
            _ => body::empty(),
        };
    }
    response
}

/// Conditions go before ranges (RFC 9110, 13.2.2). Both are about a 200 only.
fn part(head: &Head, length: Option<usize>, method: &Method, request: &HeaderMap) -> Part {
    if head.status != StatusCode::OK {
        return Part::All;
    }
    if is_not_modified(head, request) {
        return Part::NotModified;
    }
    let range = request.get(RANGE).filter(|_| *method == Method::GET && may_use_range(head, request));
    match (range.and_then(|range| range.to_str().ok()), length) {
        (Some(range), Some(length)) => cut(range, length),
        _ => Part::All,
    }
}

fn is_not_modified(head: &Head, request: &HeaderMap) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        let wanted = head.headers.get(ETAG).map(|tag| opaque(tag.as_bytes()));
        let lines = request.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
        let mut tags = lines.flat_map(members);
        return tags.any(|tag| tag == "*" || wanted.is_some_and(|wanted| opaque(tag.as_bytes()) == wanted));
    }
    let Some(since) = policy::date(request, IF_MODIFIED_SINCE) else {
        return false;
    };
    // A response that does not say when it changed counts from its date (RFC 9111, 4.3.2).
    let changed = policy::date(&head.headers, LAST_MODIFIED).or_else(|| policy::date(&head.headers, DATE));
    changed.is_some_and(|changed| changed <= since)
}

/// Whether the range is of the response that the client has a part of (RFC 9110, 13.1.5).
fn may_use_range(head: &Head, request: &HeaderMap) -> bool {
    let Some(condition) = request.get(IF_RANGE) else {
        return true;
    };
    let condition = condition.as_bytes();
    if condition.starts_with(b"\"") {
        return head.headers.get(ETAG).is_some_and(|tag| tag.as_bytes() == condition);
    }
    // A date is only as good as a strong tag when it is a minute older than the response (RFC 9110, 8.8.2.2).
    let is_same = head.headers.get(LAST_MODIFIED).is_some_and(|date| date.as_bytes() == condition);
    let changed = policy::date(&head.headers, LAST_MODIFIED);
    let made = policy::date(&head.headers, DATE);
    let is_strong = changed
        .zip(made)
        .is_some_and(|(changed, made)| made.duration_since(changed).is_ok_and(|time| time.as_secs() >= 60));
    is_same && is_strong
}

/// One range of bytes. Several, another unit and what is malformed get the whole response (RFC 9110, 14.2).
fn cut(range: &str, length: usize) -> Part {
    let Some((unit, set)) = range.split_once('=') else {
        return Part::All;
    };
    let Some((first, last)) = set.trim().split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes"))
    else {
        return Part::All;
    };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More digits than fit lie behind every end.
        is_number.then(|| text.parse::<usize>().unwrap_or(usize::MAX))
    };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(suffix)) if first.is_empty() => length - suffix.min(length)..length,
        _ => return Part::All,
    };
    if range.is_empty() { Part::Unsatisfiable } else { Part::Bytes(range) }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
