//! What the phases learn about one request: id, trace, client, route, timings.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use jiff::Timestamp;
use tokio::time::Instant;

use super::auth::Identity;
use super::forward::forwarded;
use super::listener::client_certificate::ClientCertificate;
use super::listener::peer::Peer;
use super::policies::Remembered;
use super::reply;
use super::routing::Route;
use crate::names::{RequestId, ServiceName, VersionNumber};
use crate::telemetry::trace::{TRACEPARENT, TraceContext};

/// The context of one request. Phases add to it; the access log reads it at the end.
#[derive(Debug)]
pub struct Context {
    /// The id under which the request is found in logs.
    pub request_id: Arc<str>,
    /// The trace: the caller's when it sent a valid one.
    pub trace: TraceContext,
    /// The other end of the connection: the client, or the last proxy before the gateway.
    pub peer: Arc<Peer>,
    /// The address of the client.
    pub client: IpAddr,
    /// The scheme that the client used.
    pub scheme: &'static str,
    /// The host and port that the client asked for, as a trusted proxy told them.
    pub asked_host: Option<HeaderValue>,
    /// See `asked_host`.
    pub asked_port: Option<u16>,
    /// The client's certificate, verified.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The method.
    pub method: Method,
    /// The target as sent.
    pub target: Uri,
    /// The version of HTTP.
    pub version: Version,
    /// Whether a refusal is shown as a page.
    pub prefers_html: bool,
    /// When the head had come, by the clock on the wall.
    pub came: Timestamp,
    /// The same, to measure from.
    pub started: Instant,
    /// The route, once found.
    pub route: Option<Arc<Route>>,
    /// What the policies of the route need for the response, once they have seen the request.
    pub remembered: Option<Remembered>,
    /// The service, where the route has several to choose from.
    pub service: Option<ServiceName>,
    /// Who asks, once its route wants to know.
    pub identity: Option<Arc<Identity>>,
    /// The version of the service that answered.
    pub service_version: Option<VersionNumber>,
    /// The name of the refusal, when there was one.
    pub refusal: Option<&'static str>,
}

impl Context {
    /// The context of a request whose head has just come from the client.
    pub fn begin<B>(request: &http::Request<B>, peer: &Arc<Peer>) -> Self {
        let headers = request.headers();
        let (trace, came) = (caller_trace(headers), Timestamp::now());
        let told = forwarded::read(headers, peer);
        Self {
            request_id: RequestId::at(came).into(),
            trace: trace.map_or_else(TraceContext::new, |trace| trace.child()),
            peer: peer.clone(),
            client: told.client,
            scheme: told.scheme.unwrap_or_else(|| peer.scheme()),
            asked_host: told.host,
            asked_port: told.port,
            certificate: peer.certificate().cloned(),
            method: request.method().clone(),
            target: request.uri().clone(),
            version: request.version(),
            prefers_html: reply::prefers_html(headers),
            came,
            started: Instant::now(),
            route: None,
            remembered: None,
            service: None,
            identity: None,
            service_version: None,
            refusal: None,
        }
    }

    /// The context of a request that the gateway makes by itself in the name of this one. Whom and what it is for is not
    /// read again: what proxies said is out of its head by then.
    pub fn again<B>(&self, request: &http::Request<B>) -> Self {
        Self {
            client: self.client,
            scheme: self.scheme,
            asked_host: self.asked_host.clone(),
            asked_port: self.asked_port,
            service: self.service.clone(),
            identity: self.identity.clone(),
            ..Self::begin(request, &self.peer)
        }
    }
}

/// The caller's trace context; more than one such header is none (W3C Trace Context, 3.2).
pub fn caller_trace(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter().map(HeaderValue::to_str);
    let value = values.next()?.ok()?;
    if values.next().is_some() {
        return None;
    }
    TraceContext::parse(value)
}
