//! The only place where a refusal becomes an HTTP response: a problem document (RFC 9457), or a small
//! page for a browser. What a refusal tells is fixed here; causes stay in the log.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::json;

use super::auth::Denial;
use super::context::Context;
use super::login::LoginFault;
use super::routing::path::PathFault;
use crate::balance::CallError;
use crate::body::{self, Response};
use crate::names::RequestId;

/// The header by which a response is found again in the logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The type of a problem document.
const PROBLEM: &str = "application/problem+json";

/// How long a client waits before it asks an overloaded gateway again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request is not served.
#[derive(Debug)]
pub enum Refusal {
    /// The head breaks a rule of HTTP; the text says which.
    Malformed(&'static str),
    /// A method that ends at the gateway.
    NoMethod,
    /// The path has no normal form.
    Path(PathFault),
    /// The path may be read as that of another route.
    AmbiguousPath,
    /// The request line is too long.
    TargetTooLong,
    /// The header fields are too many or too long.
    HeadTooLarge,
    /// An expectation other than `100-continue`.
    UnknownExpectation,
    /// No route matches.
    NoRoute,
    /// There is a route, but not for the method.
    Method {
        /// The methods that it has, as in the Allow header.
        allow: HeaderValue,
    },
    /// There is no such file.
    NoFile,
    /// The file could not be read.
    FileFailed,
    /// The request body is longer than allowed.
    BodyTooLarge,
    /// The request body broke off or was malformed.
    BodyBroken,
    /// The request body came too slowly.
    BodyTooSlow,
    /// The host is that of another certificate than the connection's.
    Misdirected,
    /// More requests are in flight than allowed.
    Overloaded,
    /// The caller has asked too often.
    RateLimited {
        /// How long until it may ask again.
        retry_after: Duration,
    },
    /// The routes are not there yet.
    Starting,
    /// The service cannot switch to the protocol that is asked for.
    NoUpgrade,
    /// The caller may not pass.
    Auth(Denial),
    /// A browser cannot sign in.
    Login(LoginFault),
    /// Nothing is kept for a request that wants nothing else.
    NotCached,
    /// The service did not answer.
    Call(CallError),
}

impl Refusal {
    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.outline().0
    }

    /// A short stable name: the end of the problem's type, and a field of the access log.
    pub fn name(&self) -> &'static str {
        self.outline().1
    }

    fn title(&self) -> &'static str {
        self.outline().2
    }

    /// Whether the connection must close, since what follows on it cannot be trusted.
    fn closes(&self) -> bool {
        matches!(
            self,
            Self::Malformed(_)
                | Self::TargetTooLong
                | Self::HeadTooLarge
                | Self::BodyTooLarge
                | Self::BodyBroken
                | Self::BodyTooSlow
        )
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded | Self::Starting | Self::Login(LoginFault::Away | LoginFault::Store) => {
                Some(RETRY_AFTER)
            }
            Self::RateLimited { retry_after } => Some(*retry_after),
            Self::Auth(denial) => denial.retry_after(),
            Self::Call(CallError::Busy { retry_after } | CallError::CircuitOpen { retry_after }) => {
                Some(*retry_after)
            }
            Self::Call(CallError::Unknown(_) | CallError::NoVersion(_)) => Some(RETRY_AFTER),
            _ => None,
        }
    }

    /// Status, name and title: what does not change from one such refusal to the next.
    fn outline(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed-request", "Malformed request"),
            Self::NoMethod => (StatusCode::NOT_IMPLEMENTED, "unknown-method", "Method not implemented"),
            Self::Path(_) | Self::AmbiguousPath => {
                (StatusCode::BAD_REQUEST, "ambiguous-path", "Ambiguous path")
            }
            Self::TargetTooLong => (StatusCode::URI_TOO_LONG, "target-too-long", "Target too long"),
            Self::HeadTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "header-too-large", "Header too large")
            }
            Self::UnknownExpectation => {
                (StatusCode::EXPECTATION_FAILED, "unknown-expectation", "Unknown expectation")
            }
            Self::NoRoute | Self::NoFile => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::Method { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
            }
            Self::FileFailed => (StatusCode::INTERNAL_SERVER_ERROR, "file-unreadable", "File unreadable"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "body-broken", "Body broke off"),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "body-too-slow", "Body too slow"),
            Self::Misdirected => {
                (StatusCode::MISDIRECTED_REQUEST, "misdirected-request", "Misdirected request")
            }
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Overloaded"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests"),
            Self::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting", "Starting"),
            Self::NoUpgrade => (StatusCode::NOT_IMPLEMENTED, "no-upgrade", "Protocol not available"),
            Self::Auth(denial) => denial.outline(),
            Self::Login(fault) => fault.outline(),
            Self::NotCached => (StatusCode::GATEWAY_TIMEOUT, "not-cached", "Not cached"),
            Self::Call(error) => call_outline(error),
        }
    }

    /// What the caller may know about this one.
    pub fn detail(&self) -> String {
        let fixed = match self {
            Self::Malformed(rule) => rule,
            Self::NoMethod => "TRACE is not served here, since it would show what proxies add",
            Self::Path(fault) => return fault.to_string(),
            Self::AmbiguousPath => "the path may be read in two ways; leave out empty segments and `;`",
            Self::TargetTooLong => "the request line is longer than 8 KiB",
            Self::HeadTooLarge => "the header is longer than 32 KiB or has more than 100 fields",
            Self::UnknownExpectation => "only the expectation 100-continue is known",
            Self::NoRoute => "nothing is served at this host and path",
            Self::Method { .. } => "this path is not served for this method; see the Allow header",
            Self::NoFile => "there is no such file",
            Self::FileFailed => "the file could not be read",
            Self::BodyTooLarge => "the request body is longer than this route allows",
            Self::BodyBroken => "the request body broke off or is malformed",
            Self::BodyTooSlow => "the request body came too slowly",
            Self::Misdirected => "this host has a certificate of its own; ask on another connection",
            Self::Overloaded => "too many requests are in flight",
            Self::RateLimited { .. } => {
                "you have asked too often; wait as long as the Retry-After header says"
            }
            Self::Starting => "the gateway has just started",
            Self::NoUpgrade => "there are no WebSockets at this path",
            Self::Auth(denial) => denial.detail(),
            Self::Login(fault) => fault.detail(),
            Self::NotCached => "no kept response answers this, and the request wants no other",
            Self::Call(error) => call_detail(error),
        };
        fixed.to_owned()
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Auth(denial)
    }
}

impl From<LoginFault> for Refusal {
    fn from(fault: LoginFault) -> Self {
        Self::Login(fault)
    }
}

/// The response to a refused request.
pub fn refuse(refusal: &Refusal, context: &Context) -> Response {
    let status = refusal.status();
    let id = &*context.request_id;
    let (content_type, text) = if context.prefers_html {
        ("text/html; charset=utf-8", page(status, refusal.title(), &refusal.detail(), id))
    } else {
        (PROBLEM, problem(refusal, id))
    };
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Refusal::Method { allow } = refusal {
        headers.insert(header::ALLOW, allow.clone());
    }
    if let Refusal::Auth(denial) = refusal
        && let Some(challenge) = denial.challenge()
    {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(wait) = refusal.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    if refusal.closes() && context.version < http::Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The same for a head that never became a request, as bytes. Its connection closes.
pub fn refuse_head(refusal: &Refusal, id: &RequestId) -> Vec<u8> {
    let status = refusal.status();
    let text = problem(refusal, id.as_str());
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&jiff::Timestamp::now());
    let date = date.map(|date| format!("date: {date}\r\n")).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {PROBLEM}\r\ncontent-length: {length}\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\n{REQUEST_ID}: {id}\r\n{date}connection: close\r\n\r\n",
        length = text.len(),
        id = id.as_str(),
    );
    [head, text].concat().into_bytes()
}

/// A time as headers tell it (RFC 9110, 10.2.3), rounded up so that nobody comes too early.
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Whether a page serves the caller better than a problem document: it names HTML and rates it above JSON.
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()) else {
        return false;
    };
    let html = quality(accept, &["text/html", "application/xhtml+xml"]);
    html > 0.0 && html > quality(accept, &["application/json", "application/problem+json"])
}

fn quality(accept: &str, types: &[&str]) -> f32 {
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next()?;
        types.iter().any(|wanted| media.eq_ignore_ascii_case(wanted)).then_some(())?;
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        Some(quality.and_then(|text| text.parse().ok()).unwrap_or(1.0))
    });
    ranges.fold(0.0, f32::max)
}

fn problem(refusal: &Refusal, id: &str) -> String {
    let problem = json!({
        "type": format!("urn:hostel:problem:{}", refusal.name()),
        "title": refusal.title(),
        "status": refusal.status().as_u16(),
        "detail": refusal.detail(),
        "instance": id,
    });
    problem.to_string()
}

/// `detail` and `id` are made by the host and hold nothing to escape.
fn page(status: StatusCode, title: &str, detail: &str, id: &str) -> String {
    let number = status.as_u16();
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{number} {title}</title><h1>{title}</h1><p>{detail}.</p><p><small>{id}</small></p></html>\n"
    )
}

fn call_outline(error: &CallError) -> (StatusCode, &'static str, &'static str) {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let bad = StatusCode::BAD_GATEWAY;
    let late = StatusCode::GATEWAY_TIMEOUT;
    match error {
        CallError::Unknown(_) => (unavailable, "no-service", "Service unavailable"),
        CallError::NoVersion(_) => (unavailable, "not-deployed", "Service not deployed"),
        CallError::Busy { .. } => (unavailable, "busy", "Service busy"),
        CallError::CircuitOpen { .. } => (unavailable, "circuit-open", "Service set aside"),
        CallError::Trap(_) => (bad, "service-failed", "Service failed"),
        CallError::NoResponse => (bad, "no-response", "No response"),
        CallError::LimitExceeded { limit: "time" | "cpu" } => (late, "limit", "Limit exceeded"),
        CallError::LimitExceeded { .. } => (bad, "limit", "Limit exceeded"),
        CallError::Unreachable(_) => (bad, "unreachable", "Service unreachable"),
        CallError::Broken(_) => (bad, "broken-off", "Service broke off"),
        CallError::Timeout { .. } => (late, "timeout", "Time is up"),
    }
}

fn call_detail(error: &CallError) -> &'static str {
    match error {
        CallError::Unknown(_) | CallError::Unreachable(_) => "the service cannot be reached",
        CallError::NoVersion(_) => "no version of the service is deployed",
        CallError::Busy { .. } => "all instances of the service are busy",
        CallError::CircuitOpen { .. } => "the service has failed repeatedly and is given a rest",
        CallError::Broken(_) => "the service broke the connection before it answered",
        CallError::Trap(_) => "the service failed while it handled the request",
        CallError::NoResponse => "the service ended without a response",
        CallError::LimitExceeded { .. } => "the service exceeded one of its limits",
        CallError::Timeout { .. } => "the service did not answer in time",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_a_page_and_programs_a_document() {
        let check = |accept: &'static str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_html(&headers), expected, "{accept}");
        };
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true);
        check("*/*", false);
        check("application/json", false);
        check("application/json, text/html", false);
        check("application/json;q=0.5, text/html", true);
        check("text/html;q=0", false);
        check("text/html;q=x;q=", true);
        assert!(!prefers_html(&HeaderMap::new()));
    }

    #[test]
    fn causes_stay_inside() {
        let inside = "wasm backtrace";
        for error in
            [CallError::Trap, CallError::Unreachable, CallError::Broken].map(|error| error(inside.into()))
        {
            assert!(!Refusal::Call(error).detail().contains(inside));
        }
    }
}
