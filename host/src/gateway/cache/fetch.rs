//! A request that goes to the service, and what becomes of the answer: kept, freshened, replaced or let through.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Body as _;
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{Source, answer};
use super::flight::{Lead, Stage};
use super::growing::Growing;
use super::kept::{Asking, Head, Kept, Scope};
use super::policy::{self, Exchange, REQUEST_NO_STORE};
use super::request;
use super::status::{CacheStatus, Forwarded};
use super::store::Key;
use super::{Asked, Cache, RouteCache};
use crate::body::{Request, Response};
use crate::gateway::reply::Refusal;

/// The errors of a service that a stale response may hide (RFC 5861, 4).
const HIDDEN: [StatusCode; 4] = [
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// Why a response is not kept while too many others come.
const NO_ROOM: &str = "no-room";

/// What is to be done with the answer of the service.
pub struct Plan {
    why: Forwarded,
    /// None when the cache has no part in it.
    fetch: Option<Box<Fetch>>,
}

/// One request as the cache has to remember it.
pub struct Fetch {
    /// Where the response is kept.
    pub key: Key,
    /// For which route and service.
    pub scope: Scope,
    /// The method of the client.
    pub method: Method,
    /// The fields of the client.
    pub request: HeaderMap,
    /// Whether its caller is known.
    pub is_known: bool,
    /// The right to lead, when others may wait.
    pub lead: Option<Lead>,
    /// The right to run behind an answer.
    pub permit: Option<OwnedSemaphorePermit>,
    route: Arc<RouteCache>,
    sent: SystemTime,
    epoch: u64,
    kept: Option<Kept>,
}

impl Plan {
    /// The cache has no part in it.
    pub fn past(why: Forwarded) -> Self {
        Self { why, fetch: None }
    }

    /// The cache takes part.
    pub fn new(why: Forwarded, fetch: Fetch) -> Self {
        Self { why, fetch: Some(Box::new(fetch)) }
    }

    /// See [`Cache::keep`].
    pub fn finish(self, cache: &Arc<Cache>, answer: Result<Response, Refusal>) -> Result<Response, Refusal> {
        let Some(fetch) = self.fetch else {
            let mut response = answer?;
            CacheStatus::forwarded(self.why).write(response.headers_mut());
            return Ok(response);
        };
        let failed = match &answer {
            Ok(response) => HIDDEN.contains(&response.status()).then_some(response.status()),
            Err(refusal @ Refusal::Call(_)) => Some(refusal.status()),
            Err(_) => None,
        };
        if let Some(response) = failed.and_then(|status| fetch.answer_stale(self.why, status)) {
            return Ok(response);
        }
        let response = match answer {
            Ok(response) => response,
            Err(refusal) => {
                fetch.tell(Stage::Alone);
                return Err(refusal);
            }
        };
        if fetch.is_validating() && response.status() == StatusCode::NOT_MODIFIED {
            return Ok(fetch.freshen(cache, self.why, response));
        }
        Ok(fetch.take(cache, self.why, response))
    }
}

impl Fetch {
    /// The fetch for a request that was looked up.
    pub fn new(
        asked: Asked<'_>,
        key: Key,
        scope: Scope,
        request: &Request,
        epoch: u64,
        kept: Option<Kept>,
    ) -> Self {
        Self {
            key,
            scope,
            method: request.method().clone(),
            request: request.headers().clone(),
            is_known: policy::is_known(request.headers(), asked.is_identified),
            lead: None,
            permit: None,
            route: asked.route.clone(),
            sent: SystemTime::now(),
            epoch,
            kept,
        }
    }

    /// Whether the service is asked if the kept response is still right.
    pub fn is_validating(&self) -> bool {
        self.method == Method::GET && self.kept.as_ref().is_some_and(|kept| kept.head.has_validator())
    }

    /// Puts the validators of the kept response in the place of the client's conditions, which are looked at again
    /// when the answer is there.
    pub fn set_conditions(&self, headers: &mut HeaderMap) {
        let Some(kept) = self.kept.as_ref().filter(|_| self.is_validating() || self.permit.is_some()) else {
            return;
        };
        for name in &request::CONDITIONS {
            headers.remove(name);
        }
        for (from, to) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
            if let Some(validator) = kept.head.headers.get(from) {
                headers.insert(to, validator.clone());
            }
        }
    }

    /// Who asks.
    pub fn asking(&self) -> Asking<'_> {
        Asking { scope: &self.scope, request: &self.request, is_known: self.is_known }
    }

    fn tell(&self, stage: Stage) {
        if let Some(lead) = &self.lead {
            lead.tell(stage);
        }
    }

    fn exchange<'e>(&'e self, status: StatusCode, response: &'e HeaderMap, now: SystemTime) -> Exchange<'e> {
        Exchange {
            request: &self.request,
            is_identified: self.is_known,
            status,
            response,
            sent: self.sent,
            received: now,
        }
    }

    fn answer(&self, kept: &Kept, now: SystemTime, status: CacheStatus) -> Response {
        answer(&kept.head, Source::Whole(kept.body.clone()), &self.method, &self.request, now, status)
    }

    /// The stale response in the place of an error, when it allows that.
    fn answer_stale(&self, why: Forwarded, failed: StatusCode) -> Option<Response> {
        let now = SystemTime::now();
        let kept = self.kept.as_ref().filter(|kept| kept.head.terms.may_hide_error(now))?;
        self.tell(Stage::Alone);
        let status = CacheStatus::Forwarded {
            why,
            status: Some(failed),
            is_stored: false,
            is_collapsed: false,
            detail: Some("stale-if-error"),
        };
        Some(self.answer(kept, now, status))
    }

    /// The kept response with the news of a 304.
    fn freshen(self, cache: &Cache, why: Forwarded, response: Response) -> Response {
        let now = SystemTime::now();
        let Some(kept) = &self.kept else {
            return response;
        };
        let exchange = self.exchange(response.status(), response.headers(), now);
        let news = match kept.is_meant_by(response.headers()) {
            true => kept.freshened(&exchange, &self.scope, &self.route.rules),
            false => Err("validator"),
        };
        let (kept, detail) = match news {
            Ok(fresh) => {
                cache.store.keep(&self.key, fresh.clone(), self.epoch);
                self.tell(Stage::Landed(fresh.clone()));
                (fresh, None)
            }
            Err(detail) => {
                // It is right once more, for this client, who was the one to ask.
                cache.store.forget(&self.key, kept);
                self.tell(Stage::Alone);
                (kept.clone(), Some(detail))
            }
        };
        let status = CacheStatus::Forwarded {
            why,
            status: Some(StatusCode::NOT_MODIFIED),
            is_stored: detail.is_none(),
            is_collapsed: false,
            detail,
        };
        self.answer(&kept, now, status)
    }

    /// A response with a body of its own: kept while it goes through, when it may be.
    fn take(self, cache: &Arc<Cache>, why: Forwarded, mut response: Response) -> Response {
        if self.method == Method::HEAD {
            if let Some(kept) = self.kept.as_ref().filter(|kept| kept.differs_from(response.headers())) {
                cache.store.forget(&self.key, kept);
            }
            CacheStatus::forwarded(why).write(response.headers_mut());
            return response;
        }
        let length = length(&response);
        let exchange = self.exchange(response.status(), response.headers(), SystemTime::now());
        let head = Head::new(&exchange, &self.scope, &self.route.rules);
        let growing = head.and_then(|head| {
            if response.status().is_server_error() && self.kept.is_some() {
                // What is kept may be of use again; the error is not.
                return Err("error");
            }
            if length.is_some_and(|length| length > cache.limits.entry_bytes) {
                return Err("too-large");
            }
            Ok((Arc::new(head), Growing::new(length, &cache.budget).ok_or(NO_ROOM)?))
        });
        match growing {
            Ok((head, growing)) => self.collect(cache, why, response, head, growing, length),
            Err(detail) => {
                self.let_through(cache, response.status(), detail);
                CacheStatus::not_kept(why, detail).write(response.headers_mut());
                response
            }
        }
    }

    /// Reads the body in a task of its own, for all who want it, and keeps it when it is whole.
    fn collect(
        self,
        cache: &Arc<Cache>,
        why: Forwarded,
        response: Response,
        head: Arc<Head>,
        growing: Arc<Growing>,
        length: Option<u64>,
    ) -> Response {
        self.tell(Stage::Coming(head.clone(), growing.clone()));
        let (body, rest) = growing.lead();
        let (mut parts, origin) = response.into_parts();
        let status =
            CacheStatus::Forwarded { why, status: None, is_stored: true, is_collapsed: false, detail: None };
        status.write(&mut parts.headers);
        let cache = cache.clone();
        tokio::spawn(async move {
            // The whole of it, with the lead: others may join until the response is kept.
            let fetch = self;
            let finish = |bytes| cache.store.keep(&fetch.key, Kept::new(head, bytes), fetch.epoch);
            growing.collect(origin, rest, length, cache.limits.entry_bytes, finish).await;
        });
        Response::from_parts(parts, body)
    }

    /// Lets the others know that this response is not for them, and what was kept go.
    fn let_through(&self, cache: &Cache, status: StatusCode, detail: &'static str) {
        self.tell(Stage::Alone);
        if status.is_server_error() || self.is_known || [REQUEST_NO_STORE, NO_ROOM].contains(&detail) {
            // This says nothing about what others get.
            return;
        }
        if let Some(kept) = &self.kept {
            cache.store.forget(&self.key, kept);
        }
        if self.lead.is_some() {
            cache.store.mark_unshared(&self.key);
        }
    }
}

/// The length of a body, when it is known before it comes.
fn length(response: &Response) -> Option<u64> {
    let told = response.headers().get(CONTENT_LENGTH).map(HeaderValue::to_str);
    told.and_then(|told| told.ok()?.parse().ok()).or_else(|| response.body().size_hint().exact())
}
