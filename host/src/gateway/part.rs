//! Which part of a response a request asks for by conditions and ranges (RFC 9110, 13 and 14): the one place where
//! they are read, for what is kept and for files.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, DATE, ETAG, EXPIRES, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::date;

/// By how much a response must be younger than its last change for the date to be as good as a strong tag
/// (RFC 9110, 8.8.2.2): too long for two changes in it to go unseen, or for clocks that differ.
const STRONG_AFTER: Duration = Duration::from_secs(60);

/// The fields of a 304 (RFC 9110, 15.4.5), and those that are not about the content; the client has the others.
static NOT_MODIFIED: [HeaderName; 9] =
    [AGE, CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, LAST_MODIFIED, SET_COOKIE, VARY];

/// The fields of a refusal: what else the response has is said of its content.
static REFUSED: [HeaderName; 1] = [VARY];

/// A refusal is about this request only.
const CACHE_REFUSED: HeaderValue = HeaderValue::from_static("no-store");

/// The fields by which a request asks for less than the whole.
static ASKING: [HeaderName; 5] = [IF_MATCH, IF_UNMODIFIED_SINCE, IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE];

/// What a request asks of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    All,
    /// These bytes.
    Range(Range<u64>),
    /// Nothing: the client has it.
    NotModified,
    /// Nothing: it is not the one that the client means.
    NotMeant,
    /// Nothing: it has no such bytes.
    Unsatisfiable,
}

impl Part {
    /// What a GET or HEAD with these fields asks of a 200 with those. Conditions go before ranges (RFC 9110,
    /// 13.2.2). Of a response whose length is not known yet no range is cut.
    pub fn asked(response: &HeaderMap, length: Option<u64>, method: &Method, request: &HeaderMap) -> Self {
        if !is_meant(response, request) {
            return Self::NotMeant;
        }
        if is_not_modified(response, request) {
            return Self::NotModified;
        }
        let range = request.get(RANGE).and_then(|range| range.to_str().ok());
        match (range, length) {
            (Some(range), Some(length)) if *method == Method::GET && may_use_range(response, request) => {
                Self::cut(range, length)
            }
            _ => Self::All,
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::All => StatusCode::OK,
            Self::Range(_) => StatusCode::PARTIAL_CONTENT,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::NotMeant => StatusCode::PRECONDITION_FAILED,
            Self::Unsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }

    /// Makes the fields of the answer from those of the whole response, which is so long.
    pub fn narrow(&self, headers: &mut HeaderMap, length: u64) {
        match self {
            Self::All => {}
            Self::Range(range) => {
                let (first, last) = (range.start, range.end - 1);
                set(headers, CONTENT_RANGE, &format!("bytes {first}-{last}/{length}"));
                headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
            }
            Self::NotModified => retain(headers, &NOT_MODIFIED),
            Self::NotMeant | Self::Unsatisfiable => {
                retain(headers, &REFUSED);
                headers.insert(CACHE_CONTROL, CACHE_REFUSED);
                headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
                if *self == Self::Unsatisfiable {
                    set(headers, CONTENT_RANGE, &format!("bytes */{length}"));
                }
            }
        }
    }

    /// The content of the answer, of which this is the whole.
    pub fn content(&self, whole: &Bytes) -> Bytes {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
        match self {
            Self::All => whole.clone(),
            Self::Range(range) => whole.slice(place(range.start)..place(range.end)),
            Self::NotModified | Self::NotMeant | Self::Unsatisfiable => Bytes::new(),
        }
    }

    /// One range of bytes. Several, another unit and what is malformed get the whole response (RFC 9110, 14.2).
    fn cut(range: &str, length: u64) -> Self {
        let Some((unit, set)) = range.split_once('=') else {
            return Self::All;
        };
        let Some((first, last)) = set.trim().split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes"))
        else {
            return Self::All;
        };
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // More digits than fit lie behind every end.
            is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
        };
        let range = match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
            (Some(first), None) if last.is_empty() => first..length,
            // More than there is: the whole (RFC 9110, 14.1.2).
            (None, Some(suffix)) if first.is_empty() => length - suffix.min(length)..length,
            _ => return Self::All,
        };
        if range.is_empty() { Self::Unsatisfiable } else { Self::Range(range) }
    }
}

/// Whether a request may ask for less than the whole.
pub fn is_asked(request: &HeaderMap) -> bool {
    ASKING.iter().any(|name| request.contains_key(name))
}

/// A tag without its weakness, as If-None-Match compares it (RFC 9110, 8.8.3.2).
pub fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// Whether one of the tags in a field fulfils this; what is no tag ends its line.
pub fn any_tag(headers: &HeaderMap, name: HeaderName, fulfils: impl Fn(&[u8]) -> bool) -> bool {
    headers.get_all(name).iter().any(|line| {
        let mut rest = line.as_bytes();
        std::iter::from_fn(|| next_tag(&mut rest)).any(&fulfils)
    })
}

/// Takes the next tag, or a `*`, from a list. Tags know no escapes, and their bytes may be any.
fn next_tag<'l>(rest: &mut &'l [u8]) -> Option<&'l [u8]> {
    let start = rest.iter().position(|byte| !b" \t,".contains(byte))?;
    let list = &rest[start..];
    let quoted = if list.starts_with(b"W/\"") { 3 } else { usize::from(list.starts_with(b"\"")) };
    let length = match quoted {
        0 => usize::from(list.starts_with(b"*")),
        begin => begin + list[begin..].iter().position(|byte| *byte == b'"')? + 1,
    };
    let (tag, after) = list.split_at(length);
    *rest = after;
    (!tag.is_empty()).then_some(tag)
}

/// Whether the response is the one that the client wants to act on (RFC 9110, 13.1.1 and 13.1.4).
fn is_meant(response: &HeaderMap, request: &HeaderMap) -> bool {
    if request.contains_key(IF_MATCH) {
        let strong = response.get(ETAG).map(HeaderValue::as_bytes).filter(|tag| tag.starts_with(b"\""));
        return any_tag(request, IF_MATCH, |tag| tag == b"*" || strong == Some(tag));
    }
    let since = date::field(request, IF_UNMODIFIED_SINCE);
    since.zip(date::field(response, LAST_MODIFIED)).is_none_or(|(since, changed)| changed <= since)
}

fn is_not_modified(response: &HeaderMap, request: &HeaderMap) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        let wanted = response.get(ETAG).map(|tag| opaque(tag.as_bytes()));
        return any_tag(request, IF_NONE_MATCH, |tag| tag == b"*" || wanted == Some(opaque(tag)));
    }
    let Some(since) = date::field(request, IF_MODIFIED_SINCE) else {
        return false;
    };
    // A response that does not say when it changed counts from its date (RFC 9111, 4.3.2).
    let changed = date::field(response, LAST_MODIFIED).or_else(|| date::field(response, DATE));
    changed.is_some_and(|changed| changed <= since)
}

/// Whether the range is of the response that the client has a part of (RFC 9110, 13.1.5).
fn may_use_range(response: &HeaderMap, request: &HeaderMap) -> bool {
    let Some(condition) = request.get(IF_RANGE) else {
        return true;
    };
    let condition = condition.as_bytes();
    if condition.starts_with(b"\"") {
        return response.get(ETAG).is_some_and(|tag| tag.as_bytes() == condition);
    }
    let is_same = response.get(LAST_MODIFIED).is_some_and(|date| date.as_bytes() == condition);
    // What has no date is made now.
    let made = date::field(response, DATE).unwrap_or_else(SystemTime::now);
    let age = date::field(response, LAST_MODIFIED).and_then(|changed| made.duration_since(changed).ok());
    is_same && age.is_some_and(|age| age >= STRONG_AFTER)
}

fn retain(headers: &mut HeaderMap, names: &[HeaderName]) {
    let all = std::mem::take(headers);
    for name in names {
        headers.extend(all.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
#[path = "part_tests.rs"]
mod tests;
