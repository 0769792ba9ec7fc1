//! THE path of a request: every phase, in order, in one function.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::access_log::{AccessLog, Account, AccountedBody};
use super::cache::Cache;
use super::connection::Busy;
use super::context::Context;
use super::forward;
use super::framing;
use super::limits::{BodyFate, LimitedBody};
use super::reply::{self, Refusal};
use super::route::{Action, Route, Routes};
use crate::balance::Balancer;
use crate::body::{self, Request, Response};
use crate::names::ServiceName;
use crate::telemetry::metrics::Metrics;

/// What requests meet on their way. Built whole from one configuration; a request keeps the one that it
/// began with.
pub struct Pipeline {
    /// The routes.
    pub routes: Routes,
    /// What stands below.
    pub balancer: Balancer,
    /// The cache; none while no route uses it.
    pub cache: Option<Arc<Cache>>,
    /// The longest request body where a route sets none.
    pub body_bytes_max: u64,
    /// Requests in flight at most.
    pub requests_max: usize,
}

/// Answers one request. It wraps [`Pipeline::answer`] with what happens to every request: a refusal
/// becomes a response, the id is set, and the account is written last, when the response body has ended.
pub async fn handle(
    pipeline: Option<&Pipeline>,
    request: http::Request<Incoming>,
    client: IpAddr,
    busy: Busy,
    log: Arc<AccessLog>,
    metrics: Arc<Metrics>,
) -> http::Response<AccountedBody> {
    let mut account = Account::open(Context::begin(&request, client), log, metrics, busy);
    let mut fate = None;
    let answer = match pipeline {
        Some(pipeline) => pipeline.answer(request, &mut account, &mut fate).await,
        None => Err(Refusal::Starting),
    };
    let mut response = match answer {
        Ok(response) => response,
        Err(refusal) => {
            // The refusal says what is wrong with the body already.
            fate = None;
            account.context.refusal = Some(refusal.name());
            reply::refuse(&refusal, &account.context)
        }
    };
    if let Ok(id) = HeaderValue::from_str(&account.context.request_id) {
        response.headers_mut().insert(reply::REQUEST_ID, id);
    }
    AccountedBody::follow(response, account, fate)
}

impl Pipeline {
    /// The phases. Each adds to the context or ends the request through `?`. Policies that come later have
    /// their place by what they need:
    ///
    /// - CORS preflight: behind `find`, before anything that a preflight cannot satisfy;
    /// - authenticate and authorise: behind CORS, on the same route as the verdict of `find`;
    /// - rate limit by caller: behind the identity, before the body is touched;
    /// - compression: last, on whatever answered.
    async fn answer(
        &self,
        request: http::Request<Incoming>,
        account: &mut Account,
        fate: &mut Option<Arc<BodyFate>>,
    ) -> Result<Response, Refusal> {
        let (mut head, incoming) = request.into_parts();
        framing::check(&mut head)?;
        if account.in_flight() > self.requests_max {
            return Err(Refusal::Overloaded);
        }
        if head.uri.path() == "*" {
            return Ok(about_the_host());
        }
        let target = head.uri.clone();
        let found = self.routes.find(framing::host_of(&head), &head.method, target.path())?;
        let route = account.context.route.insert(found.route.clone()).clone();
        let bytes_max = route.body_bytes_max.unwrap_or(self.body_bytes_max);
        let request = Request::from_parts(head, limited(incoming, bytes_max, fate)?);

        match &route.action {
            Action::Files(files) => files.serve(request, found.rest(), found.ends_with_slash()).await,
            Action::Forward(service) => self.ask(service, &route, found.path(), request, account, fate).await,
        }
    }

    /// Asks the service itself.
    pub(super) async fn forward(
        &self,
        service: &ServiceName,
        route: &Route,
        request: Request,
        account: &mut Account,
        fate: &Option<Arc<BodyFate>>,
    ) -> Result<Response, Refusal> {
        let answer = forward::send(&self.balancer, service, route, request, &account.context).await;
        // What happened to the body goes before what the service made of it.
        if let Some(refusal) = fate.as_ref().and_then(|fate| fate.refusal()) {
            return Err(refusal);
        }
        let answer = answer?;
        account.context.service_version = answer.version;
        Ok(answer.response)
    }
}

/// The body within its limits; one that announces more is refused before a byte of it is read.
fn limited(
    incoming: Incoming,
    bytes_max: u64,
    fate: &mut Option<Arc<BodyFate>>,
) -> Result<body::Body, Refusal> {
    if incoming.is_end_stream() {
        return Ok(body::empty());
    }
    if incoming.size_hint().lower() > bytes_max {
        return Err(Refusal::BodyTooLarge);
    }
    let limited = LimitedBody::new(incoming, bytes_max);
    *fate = Some(limited.fate());
    Ok(limited.boxed_unsync())
}

/// The answer to `OPTIONS *` (RFC 9110, 9.3.7): the methods that a route can have.
fn about_the_host() -> Response {
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(allow) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}
