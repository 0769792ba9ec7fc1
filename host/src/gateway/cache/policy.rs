//! RFC 9111 as pure functions of heads and clock: may a response be kept, how long is it fresh, may it be used.
//!
//! Our own, since the crate `http-cache-semantics` 3 is not right for a shared cache: conflicting directives
//! turn into `must-revalidate`, which then lets it keep the response to a request with Authorization; directives
//! compare with case and are split inside quotes; only the first line of a field counts, in Vary too; dates of
//! the two older forms, the response's delay, field names of `private`, targeted fields and
//! stale-while-revalidate are missing; a 304 loses all but one line of each field and adds none.

use std::time::{Duration, SystemTime};

use http::header::{
    AGE, AUTHORIZATION, CONTENT_TYPE, COOKIE, DATE, ETAG, EXPIRES, LAST_MODIFIED, SET_COOKIE,
};
use http::{HeaderMap, HeaderName, StatusCode};

use super::directives::{Private, RequestDirectives, ResponseDirectives, seconds};
use crate::config::CacheRules;
use crate::gateway::date;

/// The part of the time since the last change for which a response is taken for fresh (RFC 9111, 4.2.2).
const HEURISTIC_DIVISOR: u32 = 10;

/// The longest freshness that is only guessed: a mistake is over by the next day.
const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The statuses whose freshness may be guessed (RFC 9110, 15.1), but for 206, which is not kept.
const HEURISTIC: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

/// The statuses that the operator's default time holds for: errors are kept only when the service says so.
const DEFAULT_TIME: [u16; 6] = [200, 203, 204, 300, 301, 308];

/// What is known beside them, for `must-understand`.
const UNDERSTOOD: [u16; 3] = [302, 303, 307];

/// Statuses that answer something in the request that is no part of the key (a range, a condition, a size, an
/// expectation), or that make sense on one connection only. Whoever sends it must not choose for others.
const NEVER_KEPT: [u16; 11] = [206, 304, 407, 408, 412, 413, 416, 417, 421, 425, 431];

/// Why a response is not kept whose client does not want it.
const REQUEST_NO_STORE: &str = "request-no-store";

/// The same for one without a time of its own to a client with a cookie, which may be why it is as it is.
const PERSONAL: &str = "personal";

/// The same for one to a caller who is known, unless it says that it is for all.
const KNOWN_CALLER: &str = "authorization";

/// The same for one that would have to share the memory with too many others.
pub const NO_ROOM: &str = "no-room";

/// A response and how it came about.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'e> {
    /// The fields of the request, as the client sent them.
    pub request: &'e HeaderMap,
    /// Whether the gateway knows who asks, by whatever way.
    pub is_identified: bool,
    /// The status of the response.
    pub status: StatusCode,
    /// The fields of the response.
    pub response: &'e HeaderMap,
    /// When the request was sent.
    pub sent: SystemTime,
    /// When the response head came.
    pub received: SystemTime,
}

/// The terms on which a kept response may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// When it came.
    pub received: SystemTime,
    /// How old it was then.
    pub initial_age: Duration,
    /// At which age it becomes stale.
    pub lifetime: Duration,
    /// Whether it may answer callers who are known: its service has said so.
    pub is_for_all: bool,
    /// Whether the service is asked each time.
    pub is_always_validated: bool,
    /// Whether a client may take it stale.
    pub may_be_stale: bool,
    /// Whether it does not change while it is fresh.
    pub is_immutable: bool,
    /// How long it may be used stale while it is fetched again.
    pub stale_while_revalidate: Duration,
    /// How long it may be used stale when the service fails.
    pub stale_if_error: Duration,
    /// Fields that belong to the first client only and are not kept.
    pub unkept: Vec<HeaderName>,
}

/// What may be done with a kept response for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It answers.
    Use,
    /// It answers, and is fetched again meanwhile.
    UseAndFetch,
    /// The service is asked first, because the client wants it.
    ValidateForClient,
    /// The service is asked first.
    Validate,
}

/// Whether the response to a GET may be kept (RFC 9111, 3), and on which terms. An error is the reason, as the
/// `detail` of Cache-Status.
pub fn assess(exchange: &Exchange<'_>, rules: &CacheRules) -> Result<Terms, &'static str> {
    let says = ResponseDirectives::of(exchange.response);
    let mut unkept = may_keep(exchange, &says)?;
    if exchange.response.contains_key(SET_COOKIE) {
        // The RFC allows it, but a cookie is for one client: kept only where the response is meant for all, and
        // then without the cookie.
        if !says.public && says.s_maxage.is_none() {
            return Err("set-cookie");
        }
        unkept.push(SET_COOKIE);
    }
    let explicit = explicit_lifetime(exchange, &says);
    let is_personal = exchange.is_identified || exchange.request.contains_key(COOKIE);
    let lifetime = match explicit {
        Some(lifetime) => lifetime,
        // A service that says nothing may not have thought of caches at all.
        None if is_personal && !says.public => return Err(PERSONAL),
        None => guessed_lifetime(exchange, &says, rules).ok_or("status")?,
    };
    let forbids_stale = says.no_cache || says.must_revalidate || says.proxy_revalidate;
    // `s-maxage` forbids it too (RFC 9111, 5.2.2.10), unless the same response allows it in so many words.
    let allowed = |said: Option<Duration>, rule: Duration| match said {
        _ if forbids_stale => Duration::ZERO,
        Some(time) => time,
        None if says.s_maxage.is_some() => Duration::ZERO,
        None => rule,
    };
    let terms = Terms {
        received: exchange.received,
        initial_age: initial_age(exchange),
        lifetime,
        is_for_all: is_for_all(&says),
        is_always_validated: says.no_cache,
        may_be_stale: !forbids_stale && says.s_maxage.is_none(),
        is_immutable: says.immutable,
        stale_while_revalidate: allowed(says.stale_while_revalidate, rules.stale_while_revalidate),
        stale_if_error: allowed(says.stale_if_error, rules.stale_if_error),
        unkept,
    };
    let has_validator = [ETAG, LAST_MODIFIED].iter().any(|name| exchange.response.contains_key(name));
    let is_useful = terms.has_lifetime()
        || has_validator
        || !terms.stale_while_revalidate.is_zero()
        || !terms.stale_if_error.is_zero();
    if is_useful { Ok(terms) } else { Err("no-freshness") }
}

/// What a kept response may be used for now (RFC 9111, 4, 4.2.4 and 5.2.1).
pub fn judge(terms: &Terms, request: &RequestDirectives, now: SystemTime) -> Verdict {
    let age = terms.age(now);
    if request.no_cache {
        return Verdict::ValidateForClient;
    }
    if terms.is_always_validated {
        return Verdict::Validate;
    }
    let is_fresh = terms.lifetime > age;
    // A reload need not ask about what does not change (RFC 8246, 2.1).
    let max_age = request.max_age.filter(|_| !(is_fresh && terms.is_immutable));
    if max_age.is_some_and(|max| age > max) {
        return Verdict::ValidateForClient;
    }
    if request.min_fresh.is_some_and(|min| terms.lifetime.saturating_sub(age) < min) {
        return Verdict::ValidateForClient;
    }
    let staleness = age.saturating_sub(terms.lifetime);
    if is_fresh || terms.may_be_stale && request.max_stale.is_some_and(|max| staleness <= max) {
        return Verdict::Use;
    }
    if staleness < terms.stale_while_revalidate { Verdict::UseAndFetch } else { Verdict::Validate }
}

impl Terms {
    /// The age now (RFC 9111, 4.2.3). A clock that was set back makes nothing younger than it came.
    pub fn age(&self, now: SystemTime) -> Duration {
        self.initial_age + now.duration_since(self.received).unwrap_or_default()
    }

    /// Whether it may answer in place of an error now: as the service allows, or as the client does where the service
    /// does not forbid it (RFC 5861, 4).
    pub fn may_hide_error(&self, request: &RequestDirectives, now: SystemTime) -> bool {
        let staleness = self.age(now).saturating_sub(self.lifetime);
        let is_wanted = self.may_be_stale && request.stale_if_error.is_some_and(|max| staleness < max);
        is_wanted || staleness < self.stale_if_error
    }

    /// Whether there is a time in which it answers without the service being asked.
    pub fn has_lifetime(&self) -> bool {
        self.lifetime > self.initial_age && !self.is_always_validated
    }
}

/// Whether a request comes from a caller whom the gateway or the service knows by credentials.
pub fn is_known(request: &HeaderMap, is_identified: bool) -> bool {
    is_identified || request.contains_key(AUTHORIZATION)
}

/// Whether the reason why an answer is not kept lies in the request or the moment: it says nothing about what others
/// get.
pub fn is_about_request(status: StatusCode, reason: &str) -> bool {
    NEVER_KEPT.contains(&status.as_u16())
        || [REQUEST_NO_STORE, PERSONAL, KNOWN_CALLER, NO_ROOM].contains(&reason)
}

/// The age on arrival (RFC 9111, 4.2.3).
pub fn initial_age(exchange: &Exchange<'_>) -> Duration {
    let apparent = exchange.received.duration_since(made(exchange)).unwrap_or_default();
    let delay = exchange.received.duration_since(exchange.sent).unwrap_or_default();
    let told = exchange.response.get(AGE).and_then(|age| age.to_str().ok());
    let told = told.and_then(|age| seconds(age.split(',').next()?.trim())).unwrap_or_default();
    apparent.max(told + delay)
}

/// Whether the response to one caller may answer another (RFC 9111, 3.5).
fn is_for_all(says: &ResponseDirectives) -> bool {
    says.public || says.must_revalidate || says.s_maxage.is_some()
}

/// The fields that must be left out, or why nothing may be kept.
fn may_keep(exchange: &Exchange<'_>, says: &ResponseDirectives) -> Result<Vec<HeaderName>, &'static str> {
    let status = exchange.status.as_u16();
    let is_understood = HEURISTIC.contains(&status) || UNDERSTOOD.contains(&status);
    if status < 200 || NEVER_KEPT.contains(&status) || says.must_understand && !is_understood {
        return Err("status");
    }
    // Where the status is understood, `no-store` beside `must-understand` is for other caches.
    if says.no_store && !says.must_understand {
        return Err("no-store");
    }
    if RequestDirectives::of(exchange.request).no_store {
        return Err(REQUEST_NO_STORE);
    }
    if is_known(exchange.request, exchange.is_identified) && !is_for_all(says) {
        return Err(KNOWN_CALLER);
    }
    let content_type = exchange.response.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if content_type.to_ascii_lowercase().starts_with(b"text/event-stream") {
        return Err("event-stream");
    }
    match &says.private {
        Private::No => Ok(Vec::new()),
        Private::Fields(fields) => Ok(fields.clone()),
        Private::All => Err("private"),
    }
}

/// How long it is fresh by its own words (RFC 9111, 4.2.1).
fn explicit_lifetime(exchange: &Exchange<'_>, says: &ResponseDirectives) -> Option<Duration> {
    let expires = || {
        let is_asked = !says.is_targeted && exchange.response.contains_key(EXPIRES);
        is_asked.then(|| {
            // Anything but one date means "already expired" (RFC 9111, 5.3).
            let expires = date::field(exchange.response, EXPIRES).unwrap_or(SystemTime::UNIX_EPOCH);
            expires.duration_since(made(exchange)).unwrap_or_default()
        })
    };
    says.s_maxage.or(says.max_age).or_else(expires)
}

/// How long it is taken for fresh when it does not say; none for a status about which nothing can be guessed.
fn guessed_lifetime(
    exchange: &Exchange<'_>,
    says: &ResponseDirectives,
    rules: &CacheRules,
) -> Option<Duration> {
    let status = exchange.status.as_u16();
    if !says.public && !HEURISTIC.contains(&status) {
        return None;
    }
    let unchanged = date::field(exchange.response, LAST_MODIFIED)
        .and_then(|modified| made(exchange).duration_since(modified).ok());
    let default = if DEFAULT_TIME.contains(&status) { rules.default_time } else { Duration::ZERO };
    Some(unchanged.map_or(default, |unchanged| (unchanged / HEURISTIC_DIVISOR).min(HEURISTIC_MAX)))
}

/// When the service made it.
fn made(exchange: &Exchange<'_>) -> SystemTime {
    date::field(exchange.response, DATE).unwrap_or(exchange.received)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "policy_fuzz.rs"]
mod fuzz;
