//! THE path of a request: every phase, in order, in one function.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header, request};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::account::{Account, AccountedBody};
use super::auth::{Auth, Denial};
use super::cache::Cache;
use super::context::Context;
use super::forward;
use super::forward::header_rules;
use super::forward::split::Choice;
use super::framing;
use super::limits::{BodyFate, LimitedBody};
use super::listener::connection::Busy;
use super::listener::peer::Peer;
use super::location;
use super::login::Login;
use super::policies;
use super::policies::cors;
use super::policies::rate_limit::Caller;
use super::reply::{self, Refusal};
use super::routing::condition::Facts;
use super::routing::{Action, Route, Routes};
use crate::balance::Balancer;
use crate::body::{self, Request, Response};
use crate::names::ServiceName;

/// What requests meet on their way. Built whole from one configuration; a request keeps the one that it
/// began with.
pub struct Pipeline {
    /// The routes.
    pub routes: Routes,
    /// How browsers sign in; none: not at all.
    pub login: Option<Arc<Login>>,
    /// What stands below.
    pub balancer: Balancer,
    /// The cache; none while no route uses it.
    pub cache: Option<Arc<Cache>>,
    /// The longest request body where a route sets none.
    pub body_bytes_max: u64,
    /// How long a request body may come slowly before its pace counts.
    pub body_timeout: Duration,
    /// Requests in flight at most.
    pub requests_max: usize,
}

/// Answers one request. It wraps [`Pipeline::answer`] with what happens to every request: a refusal
/// becomes a response, the id is set, and the account is written last, when the response body has ended.
pub async fn handle(
    request: http::Request<Incoming>,
    peer: &Arc<Peer>,
    busy: Busy,
) -> http::Response<AccountedBody> {
    let pipeline = busy.shared().pipeline.load();
    let mut account = Account::open(Context::begin(&request, peer), busy);
    let mut fate = None;
    let answer = match &*pipeline {
        Some(pipeline) => pipeline.answer(request, &mut account, &mut fate).await,
        None => Err(Refusal::Starting),
    };
    finish(answer, account, fate)
}

/// What happens to every answer.
pub fn finish(
    answer: Result<Response, Refusal>,
    mut account: Box<Account>,
    mut fate: Option<Arc<BodyFate>>,
) -> http::Response<AccountedBody> {
    let response = match answer {
        Ok(response) => response,
        Err(refusal) => {
            // The refusal says what is wrong with the body already.
            fate = None;
            account.context.refusal = Some(refusal.name());
            reply::refuse(&refusal, &account.context)
        }
    };
    let response = policies::finish(response, &mut account.context);
    let mut response = without_needless_content(response, &account.context.method);
    if let Ok(id) = HeaderValue::from_str(&account.context.request_id) {
        response.headers_mut().insert(reply::REQUEST_ID, id);
    }
    AccountedBody::follow(response, account, fate)
}

impl Pipeline {
    /// The phases. Each adds to the context or ends the request through `?`. What not every request needs is boxed: the
    /// whole way is moved as one future.
    ///
    /// What happens to every response of a route, also to a refusal, stands in [`policies::finish`].
    async fn answer(
        &self,
        request: http::Request<Incoming>,
        account: &mut Account,
        fate: &mut Option<Arc<BodyFate>>,
    ) -> Result<Response, Refusal> {
        let (mut head, incoming) = request.into_parts();
        framing::check(&mut head)?;
        forward::strip_claims(&mut head.headers);
        account.context.peer.check_authority(&head)?;
        if account.in_flight() > self.requests_max {
            return Err(Refusal::Overloaded);
        }
        if head.uri.path() == "*" || ends_here(&head) {
            return Ok(about_the_host());
        }
        if let Some(login) = &self.login
            && let Some(step) = login.step(&head)
        {
            return Box::pin(login.answer(step, &head, &account.context)).await;
        }
        if let Some(response) = self.preflight(&head, &mut account.context) {
            return Ok(response);
        }
        let target = head.uri.clone();
        let facts = Facts::of(&head);
        let found = self.routes.find(framing::host_of(&head), &head.method, target.path(), facts)?;
        let route = found.route;
        account.context.route = Some(route.clone());
        let remembered = account.context.remembered.insert(route.policies.remember(&head));
        route.policies.admit_address(account.context.client, remembered)?;
        if let Some(auth) = &route.auth {
            match Box::pin(auth.admit(&head, &account.context, self.login.as_deref())).await {
                Ok(identity) => account.context.identity = Some(identity),
                Err(denial) => return self.turn_away(denial, auth, &head, &account.context),
            }
        }
        if let Some(login) = &self.login {
            login.hide(&mut head.headers);
        }
        let caller = Caller::of(account.context.identity.as_deref());
        let remembered = account.context.remembered.get_or_insert_default();
        route.policies.admit_caller(caller, account.context.client, &head.headers, remembered)?;
        let bytes_max = route.body_bytes_max.unwrap_or(self.body_bytes_max);
        let body = limited(incoming, account, bytes_max, self.body_timeout, fate)?;
        // Boxed, as it is moved often from here on.
        let request = Box::new(Request::from_parts(head, body));

        let mut response = match &route.action {
            Action::Files(files) => {
                Box::pin(files.serve(*request, found.rest(), found.ends_with_slash())).await?
            }
            Action::Redirect(redirect) => location::answer(redirect, &target)?,
            Action::Forward(service) => {
                self.ask(service, route, found.path(), request, account, fate).await?
            }
            Action::Split(split) => {
                let choice = Choice::make(split, request.headers(), account.context.client);
                account.context.service = Some(choice.service.clone());
                let mut response =
                    self.ask(choice.service, route, found.path(), request, account, fate).await?;
                choice.remember(response.headers_mut(), account.context.scheme == "https");
                response
            }
        };
        header_rules::apply(route.transform.response_headers.as_ref(), response.headers_mut());
        Ok(response)
    }

    /// Sends a person to where one signs in; every other caller is refused.
    fn turn_away(
        &self,
        denial: Denial,
        auth: &Auth,
        head: &request::Parts,
        context: &Context,
    ) -> Result<Response, Refusal> {
        let login =
            self.login.as_ref().filter(|login| denial == Denial::Missing && auth.takes_sessions_of(login));
        login.and_then(|login| login.invite(head, context)).ok_or_else(|| denial.into())
    }

    /// Asks the service itself.
    pub(super) async fn forward(
        &self,
        service: &ServiceName,
        route: &Route,
        request: Box<Request>,
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
        if let Some(tunnel) = answer.tunnel {
            account.switch_protocols(tunnel);
        }
        Ok(answer.response)
    }

    /// The answer to a CORS preflight: by the rules of the route that it asks about, before anything that a
    /// preflight cannot satisfy. None for another request, and where the service decides.
    fn preflight(&self, head: &request::Parts, context: &mut Context) -> Option<Response> {
        let method = cors::asked_method(head)?;
        let facts = Facts::promised(head);
        let found = self.routes.find(framing::host_of(head), &method, head.uri.path(), facts).ok()?;
        let response = found.route.policies.cors.as_ref()?.preflight(head);
        context.route = Some(found.route.clone());
        Some(response)
    }
}

/// The body within its limits; one that announces more is refused before a byte of it is read.
fn limited(
    incoming: Incoming,
    account: &Account,
    bytes_max: u64,
    timeout: Duration,
    fate: &mut Option<Arc<BodyFate>>,
) -> Result<body::Body, Refusal> {
    if incoming.is_end_stream() {
        return Ok(body::empty());
    }
    if incoming.size_hint().lower() > bytes_max {
        return Err(Refusal::BodyTooLarge);
    }
    let limited = LimitedBody::new(incoming, account.upload(), bytes_max, timeout);
    *fate = Some(limited.fate());
    Ok(limited.boxed_unsync())
}

/// Whether the question about options was for the gateway itself (RFC 9110, 7.6.2).
fn ends_here(head: &request::Parts) -> bool {
    head.method == Method::OPTIONS && forward::forwards_left(&head.headers) == Some(0)
}

/// To HEAD, and as a 204 or 304, a response has no content (RFC 9110, 6.4.1). The server of HTTP/1.1 leaves it out by
/// itself, that of HTTP/2 does not.
fn without_needless_content(mut response: Response, method: &Method) -> Response {
    let has_none = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if *method != Method::HEAD && !has_none {
        return response;
    }
    // An empty body is that of a service that leaves it out itself: it tells nothing of the length.
    let length = response.body().size_hint().exact().filter(|length| *length > 0 && !has_none);
    if let Some(length) = length {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    *response.body_mut() = body::empty();
    response
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
