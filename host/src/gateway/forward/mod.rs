//! Hands a request to a service: headers that only one hop may see are taken out, those that the host
//! vouches for are set.
//!
//! Files in reading order: `split` chooses among several services; `rewrite` and `header_rules` change what it sees;
//! `forwarded` is what proxies say of the client; `upgrade` lets another protocol follow.

pub mod split;
mod rewrite;
pub mod header_rules;
pub mod forwarded;
pub mod upgrade;

use std::pin::pin;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use self::upgrade::Tunnel;
use super::context::{self, Context};
use super::reply::Refusal;
use super::routing::{Action, Route};
use crate::balance::{self, Balancer, Call, CallError};
use crate::body::{Request, Response};
use crate::config::{HeaderRules, Transform};
use crate::deadline;
use crate::names::{REQUEST, ServiceName, VersionNumber, is_claim};
use crate::telemetry::trace::{TRACEPARENT, TRACESTATE};

/// The longest time to a response head where a route sets none. Services have their own, much shorter
/// one; this only bounds what waits where that is not enforced.
const TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// What a proxy tells a client about its credentials (RFC 9110, 11.7.3), and nobody else (RFC 9111, 3.1).
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");

/// What belongs to one connection and is never passed on (RFC 9110, 7.6.1), and the expectation, which
/// the gateway has met itself. `te` is looked at separately.
static HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    PROXY_AUTHENTICATION_INFO,
    header::PROXY_AUTHORIZATION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Headers that a Connection field cannot take out: the message would change its meaning.
static ALWAYS_KEPT: [HeaderName; 4] =
    [header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::AUTHORIZATION];

/// What a trailer cannot say: whom the message is for, who sends it, how it is to be read (RFC 9110, 6.5.1).
static NOT_IN_TRAILERS: [HeaderName; 16] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::EXPECT,
    header::HOST,
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::RANGE,
    header::TE,
    header::TRAILER,
    header::VIA,
    HeaderName::from_static("x-api-key"),
];

/// The name under which the gateway stands in Via (RFC 9110, 7.6.3), behind the version that it was asked in.
static VIA: [HeaderValue; 3] = [
    HeaderValue::from_static("1.0 hostel"),
    HeaderValue::from_static("1.1 hostel"),
    HeaderValue::from_static("2 hostel"),
];

/// About so many fields are set for a service; room for all is made at once.
const FIELDS_ADDED: usize = 12;

/// The host of a request of HTTP/1.0 that names none (RFC 9112, 3.3): services expect one.
const DEFAULT_HOST: HeaderValue = HeaderValue::from_static("localhost");

/// What a service answered.
pub struct Answer {
    /// The response head, with a streamed body.
    pub response: Response,
    /// The version that answered; none for an external service.
    pub version: Option<VersionNumber>,
    /// What goes on over the connection behind the response, which then switches protocols.
    pub tunnel: Option<Tunnel>,
}

/// Sends a request to a service and waits for the head of its response.
///
/// # Errors
///
/// Why the service gave none.
pub async fn send(
    balancer: &Balancer,
    service: &ServiceName,
    route: &Route,
    mut request: Box<Request>,
    context: &Context,
) -> Result<Answer, Refusal> {
    let asked = upgrade::asked(&mut request);
    prepare(request.headers_mut(), context)?;
    if let (Some(auth), Some(identity)) = (&route.auth, &context.identity) {
        auth.pass_on(identity, request.headers_mut());
    }
    transform(&route.transform, &mut request)?;
    let asked = match asked {
        Some(asked) => asked.pass_on(balancer.takes_upgrades(service), request.headers_mut())?,
        None => None,
    };
    let deadline = context.started + route.time.unwrap_or(TIME_MAX);
    let call = Call {
        request,
        request_id: context.request_id.clone(),
        trace: context.trace,
        route: Some(route.pattern.clone()),
        deadline,
        depth: 0,
        client: Some(context.client),
        keeps_host: route.transform.request_headers.as_ref().is_some_and(HeaderRules::sets_host),
        retry: route.retry.clone(),
    };
    let answer = deadline::by(deadline, pin!(balancer.send(service, call))).await;
    let answer = answer.unwrap_or(Err(CallError::Timeout { limit: "time" }));
    let balance::Answer { mut response, version, upgraded, .. } = answer.map_err(Refusal::Call)?;
    let tunnel = match (asked, upgraded) {
        (Some(asked), Some(upgraded)) => {
            let protocol = asked.agreed(&response);
            strip_hop_by_hop(response.headers_mut());
            upgrade::announce(response.headers_mut(), protocol);
            Some(asked.tunnel(upgraded))
        }
        // Only the server may send these, and none of them ends a request (RFC 9110, 15.2).
        _ if response.status().is_informational() => return Err(Refusal::Call(CallError::NoResponse)),
        _ => {
            strip_hop_by_hop(response.headers_mut());
            strip_for_requests(response.headers_mut());
            None
        }
    };
    Ok(Answer { response, version, tunnel })
}

/// Brings the headers of a request into the form in which a service gets them.
fn prepare(headers: &mut HeaderMap, context: &Context) -> Result<(), Refusal> {
    headers.reserve(FIELDS_ADDED);
    strip_hop_by_hop(headers);
    headers.remove(header::EXPECT);
    headers.append(header::VIA, via(context.version).clone());
    if let Some(left) = forwards_left(headers) {
        headers.insert(header::MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
    if headers.contains_key(TRACESTATE) && context::caller_trace(headers).is_none() {
        // The state belongs to the trace that is not continued.
        headers.remove(TRACESTATE);
    }
    headers.insert(TRACEPARENT, context.trace.to_header());
    headers.entry(header::HOST).or_insert(DEFAULT_HOST);
    let id = HeaderValue::from_str(&context.request_id);
    headers.insert(REQUEST, id.map_err(|_| Refusal::Malformed("a header cannot be passed on"))?);
    forwarded::write(headers, context)
}

/// Takes out of trailers what only a head can say, and what only the host can.
pub fn prepare_trailers(trailers: &mut HeaderMap) {
    strip_claims(trailers);
    for name in HOP_BY_HOP.iter().chain(&NOT_IN_TRAILERS) {
        trailers.remove(name);
    }
}

/// How many more proxies the request may pass (RFC 9110, 7.6.2); none where it does not say.
pub fn forwards_left(headers: &HeaderMap) -> Option<u32> {
    headers.get(header::MAX_FORWARDS)?.to_str().ok()?.parse().ok()
}

fn via(version: Version) -> &'static HeaderValue {
    let [first, second, third] = &VIA;
    match version {
        Version::HTTP_09 | Version::HTTP_10 => first,
        Version::HTTP_11 => second,
        _ => third,
    }
}

/// Changes what the route changes of a request.
fn transform(transform: &Transform, request: &mut Request) -> Result<(), Refusal> {
    if let Some(rewrite) = &transform.rewrite {
        let rewritten = rewrite::apply(rewrite, request.uri())?;
        *request.uri_mut() = rewritten.target;
        if let Some(prefix) = rewritten.stripped {
            request.headers_mut().insert("x-forwarded-prefix", text(prefix)?);
        }
    }
    header_rules::apply(transform.request_headers.as_ref(), request.headers_mut());
    Ok(())
}

/// Takes out what belongs to the connection only, and what its Connection field names.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none of them: one look at each field there is takes less than to ask for each of those.
    let is_of_hop = |name: &&HeaderName| HOP_BY_HOP.contains(name) || **name == header::TE;
    let mut gone: Vec<HeaderName> = headers.keys().filter(is_of_hop).cloned().collect();
    if gone.is_empty() {
        return;
    }
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named = named.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
    gone.extend(named.filter(|name| !ALWAYS_KEPT.contains(name)));
    // gRPC needs to know that trailers are understood, which holds on every hop here.
    let trailers = headers.get(header::TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    for name in gone {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Takes out of a response what only a request can say, and the announcement of trailers that cannot be.
fn strip_for_requests(headers: &mut HeaderMap) {
    headers.remove(header::TE);
    let announced = headers.get_all(header::TRAILER).iter().filter_map(|names| names.to_str().ok());
    let names = announced.flat_map(|names| names.split(',')).map(str::trim);
    let is_forbidden =
        |name: &str| NOT_IN_TRAILERS.iter().any(|other| name.eq_ignore_ascii_case(other.as_str()));
    if names.into_iter().any(is_forbidden) {
        headers.remove(header::TRAILER);
    }
}

/// Takes out what a client claims in the name of the host or of a proxy, once the words of trusted proxies were
/// read: nothing behind may believe it, not even the choice of the route.
pub fn strip_claims(headers: &mut HeaderMap) {
    let claims = |name: &&HeaderName| is_claim(name);
    let names: Vec<HeaderName> = headers.keys().filter(claims).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn text(value: String) -> Result<HeaderValue, Refusal> {
    HeaderValue::try_from(value).map_err(|_| Refusal::Malformed("a header cannot be passed on"))
}

/// The service of a request, for metrics and the log.
pub fn service_of(context: &Context) -> Option<&ServiceName> {
    match context.route.as_ref().map(|route| &route.action) {
        Some(Action::Forward(service)) => Some(service),
        Some(Action::Split(_)) => context.service.as_ref(),
        Some(Action::Redirect(_) | Action::Files(_)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::gateway::listener::peer::Peer;

    fn prepared(fields: &[(&str, &str)]) -> HeaderMap {
        let mut request = http::Request::builder().uri("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let peer = Peer::new("192.0.2.7".parse().unwrap(), None, &Arc::from([]));
        let context = Context::begin(&request, &Arc::new(peer));
        let mut headers = request.into_parts().0.headers;
        strip_claims(&mut headers);
        prepare(&mut headers, &context).unwrap();
        headers
    }

    #[test]
    fn claims_of_clients_are_taken_out() {
        let headers = prepared(&[
            ("hostel-subject", "admin"),
            ("Hostel-Scopes", "all"),
            ("hostel_claims", "{}"),
            ("hostel-request", "mine"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x_forwarded_for", "10.0.0.1"),
            ("x-forwarded-prefix", "/admin"),
            ("forwarded", "for=10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("hostelry", "kept"),
            ("host", "shop.example"),
        ]);
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        for name in ["hostel-subject", "hostel-scopes", "hostel_claims", "x_forwarded_for", "x-real-ip"] {
            assert!(!names.contains(&name), "{name}");
        }
        assert!(!names.contains(&"x-forwarded-prefix"));
        assert_ne!(headers["hostel-request"], "mine");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-host"], "shop.example");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-port"], "80");
        assert_eq!(headers["forwarded"], "for=192.0.2.7;proto=http;host=\"shop.example\"");
        assert_eq!(headers["hostelry"], "kept");
    }

    #[test]
    fn trailers_say_nothing_that_a_head_must() {
        let mut trailers = HeaderMap::new();
        for name in [
            "hostel-subject",
            "hostel_subject",
            "x-forwarded-for",
            "authorization",
            "host",
            "cookie",
            "upgrade",
        ] {
            trailers.insert(name, HeaderValue::from_static("x"));
        }
        trailers.insert("x-checksum", HeaderValue::from_static("7"));
        prepare_trailers(&mut trailers);
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-checksum"]);
    }

    #[test]
    fn the_way_is_told_and_counted() {
        let headers = prepared(&[("via", "1.0 before"), ("max-forwards", "3")]);
        assert_eq!(headers.get_all("via").iter().collect::<Vec<_>>(), ["1.0 before", "1.1 hostel"]);
        assert_eq!(headers["max-forwards"], "2");
        assert!(!prepared(&[]).contains_key("max-forwards"));
    }

    #[test]
    fn what_belongs_to_the_connection_stays_there() {
        let headers = prepared(&[
            ("connection", "close, X-Secret, host"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authentication-info", "nextnonce=1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("host", "a"),
            ("x-kept", "1"),
        ]);
        let connection = ["connection", "keep-alive", "upgrade", "expect", "proxy-authentication-info"];
        for name in connection.iter().chain(&["x-secret", "x-other"]) {
            assert!(!headers.contains_key(*name), "{name}");
        }
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["host"], "a");
        assert_eq!(headers["x-kept"], "1");
    }

    #[test]
    fn a_valid_trace_goes_on_and_a_broken_one_does_not() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = prepared(&[("traceparent", trace), ("tracestate", "a=1")]);
        let sent = headers["traceparent"].to_str().unwrap();
        assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && sent != trace, "{sent}");
        assert_eq!(headers["tracestate"], "a=1");
        let headers = prepared(&[("traceparent", "nonsense"), ("tracestate", "a=1")]);
        assert!(!headers.contains_key("tracestate"));
        assert_eq!(headers["traceparent"].len(), 55);
    }
}
