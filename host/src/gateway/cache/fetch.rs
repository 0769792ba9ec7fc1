//! A request that goes to the service, and what becomes of the answer: kept, freshened, replaced or let through.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Body as _;
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{Found, Source, answer};
use super::directives::RequestDirectives;
use super::fate::{self, Answered, Decision, Fate};
use super::flight::{Lead, Stage};
use super::growing::Growing;
use super::kept::{Asking, Head, Kept, Scope};
use super::policy::{self, Exchange};
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
    /// The count of changes of its URL when it was looked up.
    pub epoch: u64,
    /// What is kept for it.
    pub kept: Option<Kept>,
    route: Arc<RouteCache>,
    sent: SystemTime,
}

impl Plan {
    /// The cache has no part in it.
    pub fn past(why: Forwarded) -> Self {
        Self { why, fetch: None }
    }

    /// The cache takes part; the request goes out now.
    pub fn new(why: Forwarded, mut fetch: Fetch) -> Self {
        fetch.sent = SystemTime::now();
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

    /// The stale response in the place of an error, when it allows that.
    fn answer_stale(&self, why: Forwarded, failed: StatusCode) -> Option<Response> {
        let (now, wishes) = (SystemTime::now(), RequestDirectives::of(&self.request));
        let kept = self.kept.as_ref().filter(|kept| kept.head.terms.may_hide_error(&wishes, now))?;
        self.tell(Stage::Alone);
        let status = CacheStatus::Forwarded {
            why,
            status: Some(failed),
            is_stored: false,
            is_collapsed: false,
            detail: Some("stale-if-error"),
        };
        let found = Found::new(&kept.head, Source::Whole(kept.body.clone()), now);
        Some(answer(found, &self.method, &self.request, status))
    }

    /// Keeps the response while it goes through, when it may be; otherwise decides about what is kept.
    fn take(self, cache: &Arc<Cache>, why: Forwarded, mut response: Response) -> Response {
        let now = SystemTime::now();
        let length = length(&response);
        let unkept = match self.begin(cache, &response, length, now) {
            Ok((head, growing)) => return self.collect(cache, why, response, head, growing, length),
            Err(unkept) => unkept,
        };
        let exchange = self.exchange(response.status(), response.headers(), now);
        let is_validating = self.is_validating();
        let answered =
            Answered { kept: self.kept.as_ref(), method: &self.method, exchange, unkept, is_validating };
        let decision = fate::decide(&answered, &self.scope, &self.route.rules);
        self.settle(cache, &decision.fate);
        match &self.kept {
            Some(kept) if is_validating && response.status() == StatusCode::NOT_MODIFIED => {
                self.answer_validated(kept, &decision, why, now)
            }
            _ if self.method == Method::HEAD => {
                CacheStatus::forwarded(why).write(response.headers_mut());
                response
            }
            _ => {
                CacheStatus::not_kept(why, unkept).write(response.headers_mut());
                response
            }
        }
    }

    /// The kept response with the news of a 304, also with those that are for this client only.
    fn answer_validated(
        &self,
        kept: &Kept,
        decision: &Decision,
        why: Forwarded,
        now: SystemTime,
    ) -> Response {
        let mut found = Found::new(&kept.head, Source::Whole(kept.body.clone()), now);
        if let Some(fields) = &decision.fields {
            found.headers = fields;
            found.age = policy::initial_age(&self.exchange(kept.head.status, fields, now));
        }
        let status = CacheStatus::Forwarded {
            why,
            status: Some(StatusCode::NOT_MODIFIED),
            is_stored: matches!(decision.fate, Fate::Renewed(_)),
            is_collapsed: false,
            detail: decision.detail,
        };
        answer(found, &self.method, &self.request, status)
    }

    /// Does to the kept response what has been decided, and lets the others know.
    fn settle(&self, cache: &Cache, fate: &Fate) {
        match fate {
            Fate::Renewed(fresh) => {
                cache.store.keep(&self.key, fresh.clone(), self.epoch);
                self.tell(Stage::Landed(fresh.clone()));
                return;
            }
            Fate::Goes => {
                if let Some(kept) = &self.kept {
                    cache.store.forget(&self.key, kept);
                }
                if self.lead.is_some() {
                    cache.store.mark_unshared(&self.key);
                }
            }
            Fate::Stays => {}
        }
        self.tell(Stage::Alone);
    }

    /// The head as it is kept and the place of the body, or why it is not kept.
    fn begin(
        &self,
        cache: &Cache,
        response: &Response,
        length: Option<u64>,
        now: SystemTime,
    ) -> Result<(Arc<Head>, Arc<Growing>), &'static str> {
        if self.method == Method::HEAD {
            return Err("head");
        }
        if self.is_validating() && response.status() == StatusCode::NOT_MODIFIED {
            return Err("validator");
        }
        let exchange = self.exchange(response.status(), response.headers(), now);
        let head = Head::new(&exchange, &self.scope, &self.route.rules)?;
        if response.status().is_server_error() && self.kept.is_some() {
            // What is kept may be of use again; the error is not.
            return Err("error");
        }
        if length.is_some_and(|length| length > cache.limits.entry_bytes) {
            return Err("too-large");
        }
        let growing = Growing::new(length, &cache.budget).or_else(|| {
            cache.store.settle();
            Growing::new(length, &cache.budget)
        });
        Ok((Arc::new(head), growing.ok_or(policy::NO_ROOM)?))
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
            if growing.collect(origin, rest, length, cache.limits.entry_bytes, finish).await {
                // The next ones would wait as long in vain.
                cache.store.mark_unshared(&fetch.key);
            }
        });
        Response::from_parts(parts, body)
    }
}

/// The length of a body, when it is known before it comes.
fn length(response: &Response) -> Option<u64> {
    let told = response.headers().get(CONTENT_LENGTH).map(HeaderValue::to_str);
    told.and_then(|told| told.ok()?.parse().ok()).or_else(|| response.body().size_hint().exact())
}
