//! The account of one request, kept to the end of its response.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};

use super::access_log::line::{self, Line};
use super::context::Context;
use super::forward;
use super::forward::upgrade::Tunnel;
use super::limits::BodyFate;
use super::listener::connection::{Busy, Upload};
use crate::body::{Body, BodyError, Response};
use crate::names::ServiceName;
use crate::telemetry::requests::{Kind, known_method};

/// The status of a request whose client left before the response began; no client sees it.
const CLIENT_LEFT: u16 = 499;

/// The account of one request. Dropping it writes the line and counts the request, so that none is missed,
/// also when the client leaves and everything else is dropped.
pub struct Account {
    /// What the phases learnt.
    pub context: Context,
    /// The status sent; none until the response begins.
    status: Option<StatusCode>,
    bytes: u64,
    complete: bool,
    busy: Busy,
}

impl Account {
    /// Opens the account of a request: in one place, since it goes with the response from hand to hand.
    pub fn open(context: Context, busy: Busy) -> Box<Self> {
        Box::new(Self { context, status: None, bytes: 0, complete: false, busy })
    }

    /// The connection goes on as a tunnel when the response is out.
    pub fn switch_protocols(&self, tunnel: Tunnel) {
        self.busy.switch_protocols(tunnel);
    }

    /// The body of the request, as far as its connection is concerned.
    pub fn upload(&self) -> Upload {
        self.busy.upload()
    }

    /// Requests in flight in the whole gateway, with this one.
    pub fn in_flight(&self) -> usize {
        self.busy.in_flight()
    }

    fn line(&self, status: u16, duration: Duration) -> Line<'_> {
        let context = &self.context;
        Line {
            time: context.came.checked_add(duration).unwrap_or(context.came),
            client: context
                .peer
                .text_of(context.client)
                .map_or_else(|| line::client_text(context.client), Cow::Borrowed),
            certificate: context.certificate.as_ref().map(|certificate| certificate.subject.as_str()),
            method: line::method_text(&context.method),
            path: line::path_text(&context.target),
            protocol: line::protocol_text(context.version),
            status,
            bytes: self.bytes,
            duration,
            route: context.route.as_ref().map(|route| &*route.pattern),
            service: forward::service_of(context).map(ServiceName::as_str),
            version: context.service_version,
            request: &context.request_id,
            trace: context.trace.trace_text(),
            subject: context.identity.as_deref().map(line::subject_text),
            refusal: context.refusal,
            complete: self.complete,
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let context = &self.context;
        let duration = context.started.elapsed();
        let status = self.status.map_or(CLIENT_LEFT, |status| status.as_u16());
        let (service, version) = (forward::service_of(context), context.service_version);
        let kind = Kind { service, version, method: known_method(&context.method), status };
        let shared = self.busy.shared();
        match &context.route {
            Some(route) => route.requests.count(&shared.metrics, kind, duration),
            None => shared.metrics.requests(kind, None).count(duration),
        }
        if shared.access_log.is_wanted() {
            shared.access_log.write(&self.line(status, duration));
        }
    }
}

/// A response body that keeps its request's account to the end.
pub struct AccountedBody {
    body: Body,
    account: Box<Account>,
    /// The length, where it is known: the last byte is then the end, and nobody asks for more.
    expected: Option<u64>,
    /// How the request body fares: a response to a broken request must not look whole.
    fate: Option<Arc<BodyFate>>,
}

impl AccountedBody {
    /// Follows the body of a response to its end.
    pub fn follow(
        response: Response,
        mut account: Box<Account>,
        fate: Option<Arc<BodyFate>>,
    ) -> http::Response<Self> {
        account.status = Some(response.status());
        // A client that never opens its window is not asked for: the head waits for it already.
        account.busy.handed_over();
        let announced = response.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let expected = response.body().size_hint().exact().or(announced);
        account.complete = response.body().is_end_stream();
        response.map(|body| Self { body, account, expected, fate })
    }
}

impl http_body::Body for AccountedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.account.busy.asked();
        let polled = Pin::new(&mut this.body).poll_frame(task);
        if polled.is_ready() && this.fate.as_ref().is_some_and(|fate| fate.refusal().is_some()) {
            let error = BodyError::Broken("the request body did not come whole".into());
            return Poll::Ready(Some(Err(error)));
        }
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.account.busy.handed_over();
                let length = frame.data_ref().map_or(0, Bytes::len);
                this.account.bytes += u64::try_from(length).unwrap_or(u64::MAX);
                let has_all = this.expected.is_some_and(|expected| this.account.bytes >= expected);
                this.account.complete = has_all || this.body.is_end_stream();
            }
            Poll::Ready(Some(Err(_))) => this.account.complete = false,
            Poll::Ready(None) => this.account.complete = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
