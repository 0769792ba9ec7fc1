//! Answers from a kept response: the whole, a part, or that the client has it (RFC 9111, 4.3.2).

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, AGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::kept::Head;
use super::status::CacheStatus;
use crate::body::{self, Body, Response};
use crate::gateway::part::Part;

/// A kept response, as a client gets it.
pub struct Found<'f> {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: &'f HeaderMap,
    /// How old it is.
    pub age: Duration,
    /// The body.
    pub source: Source,
}

/// The body of a kept response.
pub enum Source {
    /// It is all there.
    Whole(Bytes),
    /// It is still coming; ranges cannot be cut out of it.
    Coming(Body),
}

impl<'f> Found<'f> {
    /// One that is kept, or will be.
    pub fn new(head: &'f Head, source: Source, now: SystemTime) -> Self {
        Self { status: head.status, headers: &head.headers, age: head.terms.age(now), source }
    }
}

/// The response to a request of this method and these fields.
pub fn answer(found: Found<'_>, method: &Method, request: &HeaderMap, status: CacheStatus) -> Response {
    let length = match &found.source {
        Source::Whole(bytes) => Some(bytes.len() as u64),
        Source::Coming(_) => None,
    };
    let mut response = Response::new(body::empty());
    *response.status_mut() = found.status;
    let headers = response.headers_mut();
    *headers = found.headers.clone();
    headers.insert(AGE, HeaderValue::from(found.age.as_secs()));
    // Conditions and ranges are about a 200 only.
    let part = match found.status {
        StatusCode::OK => Part::asked(found.headers, length, method, request),
        _ => Part::All,
    };
    if found.status == StatusCode::OK {
        part.narrow(headers, length.unwrap_or_default());
        if part == Part::All && length.is_some() {
            headers.entry(ACCEPT_RANGES).or_insert(HeaderValue::from_static("bytes"));
        }
    }
    status.write(headers);
    if part != Part::All {
        *response.status_mut() = part.status();
    }
    if *method != Method::HEAD {
        *response.body_mut() = match (found.source, part) {
            (Source::Whole(bytes), part) => body::full(part.content(&bytes)),
            (Source::Coming(body), Part::All) => body,
            _ => body::empty(),
        };
    }
    response
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
