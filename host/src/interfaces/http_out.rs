//! Outgoing HTTP of a guest: to sibling services in process, to outside hosts behind the allow list.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use tokio::time::Instant;
use wasmtime_wasi::runtime::{poll_noop, spawn};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::body::{Body, BodyError, Request, empty, keeping};
use crate::interfaces::call::{CALL_DEPTH_MAX, Call, HostCall};
use crate::interfaces::guest::InstanceContext;
use crate::interfaces::http_client::{HttpClient, is_forbidden};
use crate::interfaces::siblings::{SiblingCall, SiblingError};
use crate::names::{CALLER, REQUEST, ServiceName, is_of_host};
use crate::telemetry::trace::{TRACEPARENT, TraceContext};

/// The host names of services: `http://<service>.internal`.
const INTERNAL_SUFFIX: &str = ".internal";

/// The longest an outside host may take to the response head when neither guest nor call says less.
const FIRST_BYTE_TIME_MAX: Duration = Duration::from_secs(60);

/// What no guest sees or sets; asked for each of its header fields.
static FORBIDDEN: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;

/// Decides about each outgoing request of one instance.
pub struct Outbound {
    this: Arc<InstanceContext>,
}

/// What comes of a request.
type Sent = Result<http::Response<WasiBody>, Error>;

/// A request on its way.
pub type Sending = Pin<Box<dyn Future<Output = Sent> + Send>>;

/// What is to be done for a body beside sending it.
type BodyWork = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Where a request goes.
enum Destination {
    Sibling(ServiceName),
    Outside,
}

impl Outbound {
    /// The outgoing side of this instance.
    pub fn new(this: Arc<InstanceContext>) -> Self {
        Self { this }
    }

    /// Sends a request where it is granted to go. Whoever polls this must do so whenever it is woken: see [`apart`].
    pub fn send(&self, mut request: http::Request<WasiBody>, options: Option<RequestOptions>) -> Sending {
        let (call, destination) = match self.decide(request.uri()) {
            Ok(decided) => decided,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        call.note(HostCall::Http(request.method().clone(), request.uri().clone()));
        let service = &self.this.service;
        // Under way until the body of the response is dropped.
        let Some(outgoing) = service.usage.begin_outgoing(service.config.limits.outgoing) else {
            service.limited("outgoing");
            return Box::pin(async { Err(Error::ConnectionLimitReached) });
        };
        strip_identity(request.headers_mut());
        let trace = call.trace.child();
        request.headers_mut().insert(TRACEPARENT, trace.to_header());
        let first_byte = options.and_then(|options| options.first_byte_timeout);
        match destination {
            Destination::Sibling(service) => {
                if call.depth >= CALL_DEPTH_MAX {
                    return Box::pin(async { Err(Error::LoopDetected) });
                }
                let sibling = self.sibling_call(service, request, &call, trace, first_byte);
                let sent = self.this.service.host.siblings.send(sibling);
                Box::pin(async move {
                    let response = sent.await.map_err(of_sibling)?;
                    Ok(response.map(|body| keeping(to_guest(body), outgoing)))
                })
            }
            Destination::Outside => {
                let client = self.this.service.host.http.clone();
                let limit = first_byte.unwrap_or(FIRST_BYTE_TIME_MAX);
                Box::pin(async move {
                    let response = to_outside(client, request, limit).await?;
                    Ok(response.map(|body| keeping(body, outgoing)))
                })
            }
        }
    }

    /// Decides where the request may go, or why not.
    fn decide(&self, uri: &Uri) -> Result<(Arc<Call>, Destination), Error> {
        let Some(call) = self.this.call() else {
            return Err(refuse("calls are only possible while a request or message is handled"));
        };
        if call.is_writing() || call.rehearsal {
            return Err(refuse(
                "a call to another service is not possible while a read-write transaction is open: \
                 commit or roll back first",
            ));
        }
        let config = &self.this.service.config;
        let host = uri.host().unwrap_or_default();
        if let Some(name) = host.strip_suffix(INTERNAL_SUFFIX) {
            let granted = config.grants.calls.get(name).cloned();
            return match granted {
                Some(service) => Ok((call, Destination::Sibling(service))),
                None => {
                    Err(self.deny("calls", &format!("the call to {host}"), &format!("calls = [{name:?}]")))
                }
            };
        }
        let scheme = uri.scheme_str().unwrap_or("https");
        let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
        if is_forbidden(&self.this.service.host.forbidden, host, port) {
            return Err(self.deny("fetches", &format!("the request to {host}:{port}"), "nothing grants it"));
        }
        if !config.grants.fetches.iter().any(|origin| origin.allows(scheme, host, port)) {
            let origin = format!("{scheme}://{}", uri.authority().map(|it| it.as_str()).unwrap_or_default());
            return Err(self.deny(
                "fetches",
                &format!("the request to {origin}"),
                &format!("fetches = [{origin:?}]"),
            ));
        }
        Ok((call, Destination::Outside))
    }

    fn deny(&self, right: &'static str, what: &str, grant: &str) -> Error {
        let service = &self.this.service.config.name;
        self.this.denied(right, &format!("{what} was refused: [services.{service}] would need {grant}"));
        Error::HttpRequestDenied
    }
}

impl WasiHttpHooks for Outbound {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        FORBIDDEN.contains(name)
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: BodyWork,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, BodyWork), Error>> + Send> {
        let sent = apart(self.send(request, options));
        Box::new(async { Ok((sent.await?, Box::new(std::future::ready(Ok(()))) as BodyWork)) })
    }
}

/// Sends a request in a task of its own where it does not end at once. While an instance computes, or waits for its
/// turn to, it polls nothing that it waits for; and a service that was given that turn would never take it.
async fn apart(mut sending: Sending) -> Sent {
    match poll_noop(Pin::new(&mut sending)) {
        Some(sent) => sent,
        None => spawn(sending).await,
    }
}

impl Outbound {
    fn sibling_call(
        &self,
        service: ServiceName,
        mut request: http::Request<WasiBody>,
        call: &Call,
        trace: TraceContext,
        first_byte: Option<Duration>,
    ) -> SiblingCall {
        let caller = self.this.service.config.name.clone();
        let headers = request.headers_mut();
        headers.extend(call.identity.iter().cloned());
        let told = [(CALLER, caller.as_str()), (REQUEST, &*call.request)];
        for (name, value) in told {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        let now = Instant::now();
        let longest = now + first_byte.unwrap_or(FIRST_BYTE_TIME_MAX);
        // Once the response has begun the caller's own deadline is past and no longer binds.
        let deadline = if call.deadline > now { longest.min(call.deadline) } else { longest };
        SiblingCall {
            caller,
            service,
            request: Box::new(request.map(from_guest)),
            request_id: call.request.clone(),
            trace,
            deadline,
            depth: call.depth + 1,
        }
    }
}

/// The word of a guest for why a service gave no response.
fn of_sibling(error: SiblingError) -> Error {
    match error {
        SiblingError::Absent => Error::DestinationNotFound,
        SiblingError::Busy => Error::ConnectionLimitReached,
        SiblingError::Timeout => Error::HttpResponseTimeout,
        SiblingError::Failed => Error::HttpResponseIncomplete,
    }
}

async fn to_outside(
    client: HttpClient,
    request: http::Request<WasiBody>,
    limit: Duration,
) -> Result<http::Response<WasiBody>, Error> {
    let mut request: Request = request.map(from_guest);
    // The client makes Host from the URI; a copy would become a second one on HTTP/2.
    request.headers_mut().remove(HOST);
    let sent = tokio::time::timeout(limit, client.send(request)).await;
    let response = sent.map_err(|_| Error::HttpResponseTimeout)?.map_err(|error| {
        tracing::debug!(%error, "an outside host did not answer");
        if error.is_connect() { Error::DestinationUnavailable } else { Error::HttpProtocolError }
    })?;
    Ok(response.map(|body| body.map_err(Error::Hyper).boxed_unsync()))
}

/// A body of a guest as the host sees it.
pub fn from_guest(body: WasiBody) -> Body {
    if body.is_end_stream() {
        return empty();
    }
    body.map_err(|error| BodyError::Guest(error.to_string())).boxed_unsync()
}

/// A body of the host as a guest sees it.
pub fn to_guest(body: Body) -> WasiBody {
    if body.is_end_stream() {
        // Takes no memory of its own.
        return Empty::new().map_err(|never| match never {}).boxed_unsync();
    }
    body.map_err(|error| match error {
        BodyError::TooLarge { limit } => Error::HttpRequestBodySize(Some(limit)),
        BodyError::Idle => Error::ConnectionReadTimeout,
        BodyError::Broken(_) => Error::ConnectionTerminated,
        BodyError::Guest(_) => Error::HttpResponseIncomplete,
    })
    .boxed_unsync()
}

/// Removes every header that carries identity: only the host sets them.
fn strip_identity(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| is_of_host(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn refuse(why: &str) -> Error {
    Error::InternalError(Some(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_say_who_asks_in_any_spelling() {
        let names = ["hostel-subject", "hostel_subject", "hostel-request", "hostel_service", "x-subject"];
        let fields = names.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("admin")));
        let mut headers = HeaderMap::from_iter(fields);
        strip_identity(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-subject"]);
    }
}
