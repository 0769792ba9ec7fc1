//! Cache-Control (RFC 9111, 5.2) and its targeted form (RFC 9213), as written -> what they say.
//!
//! Doubt counts against reuse: a time that is no number or is given twice with different numbers is zero, so
//! that the response is stale. What only lengthens reuse is ignored when it is malformed.

use std::time::Duration;

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// The field by which a service speaks to caches before browsers only; it stands instead of Cache-Control.
const TARGETED: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The directives of a response whose argument is a time.
const TIMES: [&str; 4] = ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"];

/// What larger numbers count as (RFC 9111, 1.2.2).
const SECONDS_MAX: u64 = 1 << 31;

/// What a response says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// It must not be kept.
    pub no_store: bool,
    /// It must not be used before the service was asked.
    pub no_cache: bool,
    /// It is for one user.
    pub private: Private,
    /// It is for all users.
    pub public: bool,
    /// It must not be used when it is stale.
    pub must_revalidate: bool,
    /// The same, for shared caches.
    pub proxy_revalidate: bool,
    /// It may be kept only by a cache that knows its status.
    pub must_understand: bool,
    /// It does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// How long it is fresh.
    pub max_age: Option<Duration>,
    /// How long it is fresh in a shared cache.
    pub s_maxage: Option<Duration>,
    /// How long it may be used stale while it is fetched again (RFC 5861).
    pub stale_while_revalidate: Option<Duration>,
    /// How long it may be used stale when the service fails (RFC 5861).
    pub stale_if_error: Option<Duration>,
    /// Whether all this comes from the targeted field, beside which Expires does not count.
    pub is_targeted: bool,
}

/// How much of a response is for one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Private {
    /// Nothing.
    #[default]
    No,
    /// These fields; the rest may be kept.
    Fields(Vec<HeaderName>),
    /// All of it.
    All,
}

/// What a request says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// The service is to be asked.
    pub no_cache: bool,
    /// The response is not to be kept.
    pub no_store: bool,
    /// The service is not to be asked.
    pub only_if_cached: bool,
    /// The greatest age.
    pub max_age: Option<Duration>,
    /// How long the response must stay fresh.
    pub min_fresh: Option<Duration>,
    /// How long it may have been stale.
    pub max_stale: Option<Duration>,
    /// How long it may have been stale when the service fails (RFC 5861, 4).
    pub stale_if_error: Option<Duration>,
}

/// A name in lower case and its argument, as written between the commas.
type Directive = (String, Option<String>);

impl ResponseDirectives {
    /// Reads the fields of a response.
    pub fn of(headers: &HeaderMap) -> Self {
        let targeted = targeted(headers);
        let mut found = Self { is_targeted: targeted.is_some(), ..Self::default() };
        for (name, argument) in targeted.unwrap_or_else(|| directives(headers)) {
            found.add(&name, argument.as_deref());
        }
        found
    }

    fn add(&mut self, name: &str, argument: Option<&str>) {
        match name {
            "no-store" => self.no_store = true,
            // With field names it may be treated like the one without (RFC 9111, 5.2.2.4).
            "no-cache" => self.no_cache = true,
            "private" => self.private.add(argument),
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "immutable" => self.immutable = true,
            "max-age" => add_time(&mut self.max_age, argument),
            "s-maxage" => add_time(&mut self.s_maxage, argument),
            "stale-while-revalidate" => add_time(&mut self.stale_while_revalidate, argument),
            "stale-if-error" => add_time(&mut self.stale_if_error, argument),
            _ => {}
        }
    }
}

impl Private {
    fn add(&mut self, argument: Option<&str>) {
        let fields = |list: &str| -> Option<Vec<HeaderName>> {
            list.split(',').map(|name| name.trim().parse().ok()).collect()
        };
        *self = match (argument.and_then(fields), std::mem::take(self)) {
            (Some(more), Self::Fields(mut known)) => {
                known.extend(more);
                Self::Fields(known)
            }
            (Some(fields), Self::No) => Self::Fields(fields),
            _ => Self::All,
        };
    }
}

impl RequestDirectives {
    /// Reads the fields of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        if !headers.contains_key(CACHE_CONTROL) {
            // Pragma counts only for clients that know no Cache-Control (RFC 9111, 5.4).
            let pragmas = headers.get_all(PRAGMA).iter();
            found.no_cache = read(pragmas).iter().any(|(name, _)| name == "no-cache");
            return found;
        }
        for (name, argument) in directives(headers) {
            let time = argument.as_deref().and_then(seconds);
            match name.as_str() {
                "no-cache" => found.no_cache = true,
                "no-store" => found.no_store = true,
                "only-if-cached" => found.only_if_cached = true,
                "max-age" => found.max_age = found.max_age.or(time),
                "min-fresh" => found.min_fresh = found.min_fresh.or(time),
                // Without a number any staleness will do.
                "max-stale" if argument.is_none() => found.max_stale = Some(Duration::MAX),
                "stale-if-error" => found.stale_if_error = found.stale_if_error.or(time),
                "max-stale" => found.max_stale = found.max_stale.or(time),
                _ => {}
            }
        }
        found
    }
}

/// Whole seconds (RFC 9111, 1.2.2): digits and nothing else.
pub fn seconds(text: &str) -> Option<Duration> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // So many digits that they do not fit are many seconds, not none.
    Some(Duration::from_secs(text.parse().unwrap_or(SECONDS_MAX).min(SECONDS_MAX)))
}

/// The members of a list field, split at commas outside of quotes. A quote that does not end is none.
fn members(text: &str) -> Vec<&str> {
    let (mut members, mut start, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                members.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    if is_quoted {
        return text.split(',').map(str::trim).collect();
    }
    members.push(text[start..].trim());
    members
}

fn directives(headers: &HeaderMap) -> Vec<Directive> {
    read(headers.get_all(CACHE_CONTROL).iter())
}

fn read<'h>(values: impl Iterator<Item = &'h HeaderValue>) -> Vec<Directive> {
    let mut found = Vec::new();
    for value in values {
        let text = String::from_utf8_lossy(value.as_bytes());
        for member in members(&text).into_iter().filter(|member| !member.is_empty()) {
            let (name, argument) = match member.split_once('=') {
                Some((name, argument)) => (name, Some(unquoted(argument))),
                None => (member, None),
            };
            found.push((name.trim().to_ascii_lowercase(), argument));
        }
    }
    found
}

fn unquoted(text: &str) -> String {
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace('\\', ""),
        None => text.to_owned(),
    }
}

fn add_time(found: &mut Option<Duration>, argument: Option<&str>) {
    let time = argument.and_then(seconds).unwrap_or_default();
    let agrees = found.is_none_or(|before| before == time);
    *found = Some(if agrees { time } else { Duration::ZERO });
}

/// The targeted field: a dictionary of structured fields (RFC 9213, 2.1), which is ignored as a whole when it
/// is absent, empty or malformed, or when a time in it is no integer.
fn targeted(headers: &HeaderMap) -> Option<Vec<Directive>> {
    let lines: Vec<&[u8]> = headers.get_all(TARGETED).iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return None;
    }
    let found: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    let mut directives = Vec::new();
    for (name, member) in found {
        let value = match member {
            ListEntry::Item(item) => Some(item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        let argument = match value {
            Some(BareItem::Boolean(false)) => continue,
            Some(BareItem::Integer(number)) => Some(number.to_string()),
            _ if TIMES.contains(&name.as_str()) => return None,
            Some(BareItem::String(text)) => Some(text.as_str().to_owned()),
            Some(BareItem::Token(token)) => Some(token.as_str().to_owned()),
            _ => None,
        };
        directives.push((name.as_str().to_owned(), argument));
    }
    (!directives.is_empty()).then_some(directives)
}

#[cfg(test)]
#[path = "directives_tests.rs"]
mod tests;
