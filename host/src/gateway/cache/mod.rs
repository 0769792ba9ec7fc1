//! A shared cache by RFC 9111, with RFC 5861 (stale), 8246 (immutable), 9211 (Cache-Status) and 9213 (targeted).
//!
//! Knows nothing of how a service is asked. Files in reading order: `origin` is where a client asked; `request`
//! tells what the cache handles; `directives` reads Cache-Control; `policy` decides what may be kept and used; `vary` chooses between the
//! responses of a URL; `kept` is one of them, `store` all; `answer` answers from one; `flight` lets one request ask
//! for many, `growing` is a body that they share; `fetch` is what becomes of the service's answer, `fate` of what was
//! kept before; `status` tells it.

mod origin;
mod request;
mod directives;
mod policy;
mod vary;
mod kept;
mod store;
mod answer;
mod flight;
mod growing;
mod fetch;
mod fate;
mod status;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{Method, Uri};
use tokio::sync::Semaphore;

use self::answer::{Found, Source, answer};
use self::directives::RequestDirectives;
use self::fetch::Fetch;
use self::flight::{Flight, Flights, Joining, Part, Stage};
use self::growing::Budget;
use self::kept::{Asking, Kept, Scope};
use self::policy::Verdict;
use self::status::{CacheStatus, Forwarded};
use self::store::{Shelf, Store};
use super::reply::Refusal;
use crate::body::{self, Request, Response};
use crate::config::{CacheLimits, CacheRules, RouteConfig};
use crate::names::ServiceName;

pub use self::fetch::Plan;
pub use self::origin::Origin;
pub use self::store::{Key, Purge};

/// Fetches at once for stale responses that have answered already.
const BACKGROUND_MAX: usize = 64;

/// How often a request waits for another one before it asks by itself: the first may turn out to be for other
/// fields, the second is for its own.
const FOLLOW_TRIES: u32 = 2;

/// How long a follower waits for a body that may be too long to be kept.
const WHOLE_TIME_MAX: Duration = Duration::from_secs(10);

/// How much more than the store all bodies may take that anybody holds: half is for those that come, and for those
/// that are thrown away while a slow client still reads them.
const BODIES_FACTOR: u64 = 2;

/// The cache of the gateway.
pub struct Cache {
    limits: CacheLimits,
    store: Store,
    flights: Arc<Flights>,
    budget: Arc<Budget>,
    background: Arc<Semaphore>,
}

/// How a route uses the cache.
#[derive(Debug, Default)]
pub struct RouteCache {
    rules: CacheRules,
    /// Stands for the whole configuration of the route: what one has kept never answers for another, nor for
    /// itself once it has changed.
    scope: u64,
}

/// A request on a route that uses the cache.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// How the route uses it.
    pub route: &'a Arc<RouteCache>,
    /// Who would answer.
    pub service: &'a ServiceName,
    /// Where the client asked, if it said.
    pub origin: Option<&'a Origin>,
    /// The path in normal form.
    pub path: &'a str,
    /// Whether the gateway knows who asks.
    pub is_identified: bool,
}

/// What the cache has for a request.
pub enum Lookup {
    /// The answer.
    Answer(Response),
    /// The answer, and what is to be fetched behind it.
    Stale(Response, Box<(Box<Request>, Plan)>),
    /// Nothing: the service is to be asked, and what it answers handed to [`Cache::keep`].
    Fetch(Plan),
}

/// How following another request went.
enum Followed {
    Answered(Response),
    Again,
    Alone,
}

impl RouteCache {
    /// The use of the cache that a route has configured.
    pub fn new(route: &RouteConfig) -> Option<Arc<Self>> {
        let rules = route.cache.clone()?;
        let mut hasher = DefaultHasher::new();
        format!("{:?}", RouteConfig { line: 0, ..route.clone() }).hash(&mut hasher);
        Some(Arc::new(Self { rules, scope: hasher.finish() }))
    }
}

impl Cache {
    /// An empty cache.
    pub fn new(limits: CacheLimits) -> Self {
        Self {
            limits,
            store: Store::new(limits.size_bytes),
            flights: Arc::default(),
            budget: Arc::new(Budget::new(limits.size_bytes.saturating_mul(BODIES_FACTOR))),
            background: Arc::new(Semaphore::new(BACKGROUND_MAX)),
        }
    }

    /// What it may hold.
    pub fn limits(&self) -> CacheLimits {
        self.limits
    }

    /// Looks a request up; one that has to be fetched gets the conditions of what is kept.
    ///
    /// # Errors
    ///
    /// When nothing is kept for a request that wants nothing else.
    pub async fn look_up(&self, asked: Asked<'_>, request: &mut Request) -> Result<Lookup, Refusal> {
        let key = match request::key(&asked, request) {
            Ok(key) => key,
            Err(why) => return Ok(Lookup::Fetch(Plan::past(why))),
        };
        let scope = Scope { route: asked.route.scope, service: asked.service.clone() };
        let wishes = RequestDirectives::of(request.headers());
        let mut tries = FOLLOW_TRIES;
        loop {
            let epoch = self.store.epoch(&key);
            let shelf = self.store.find(&key).unwrap_or_default();
            let now = SystemTime::now();
            let is_known = policy::is_known(request.headers(), asked.is_identified);
            let kept = shelf.find(Asking { scope: &scope, request: request.headers(), is_known }).cloned();
            let verdict = kept.as_ref().map(|kept| policy::judge(&kept.head.terms, &wishes, now));
            if let (Some(kept), Some(Verdict::Use | Verdict::UseAndFetch)) = (&kept, verdict) {
                let status = CacheStatus::hit(&kept.head.terms, now);
                let found = Found::new(&kept.head, Source::Whole(kept.body.clone()), now);
                let response = answer(found, request.method(), request.headers(), status);
                if verdict == Some(Verdict::Use) {
                    return Ok(Lookup::Answer(response));
                }
                let fetch = Fetch::new(asked, key, scope, request, epoch, Some(kept.clone()));
                return Ok(self.fetch_behind(response, fetch, &shelf, request));
            }
            if wishes.only_if_cached {
                return Err(Refusal::NotCached);
            }
            let why = why_forwarded(verdict, &shelf);
            let mut fetch = Fetch::new(asked, key.clone(), scope.clone(), request, epoch, kept);
            let part = self.flights.join(&joining(&fetch, &shelf, &wishes));
            match part {
                Part::Lead(lead) => fetch.lead = Some(lead),
                Part::Alone => {}
                Part::Follow(flight) => match follow(&flight, &fetch, &wishes, why).await {
                    Followed::Answered(response) => return Ok(Lookup::Answer(response)),
                    Followed::Again if tries > 0 => {
                        tries -= 1;
                        continue;
                    }
                    Followed::Again | Followed::Alone => {}
                },
            }
            fetch.set_conditions(request.headers_mut());
            return Ok(Lookup::Fetch(Plan::new(why, fetch)));
        }
    }

    /// Takes the answer of the service to a request that was looked up, and answers the client.
    ///
    /// # Errors
    ///
    /// The refusal, unless something is kept that may answer in its place.
    pub fn keep(
        self: &Arc<Self>,
        plan: Plan,
        answer: Result<Response, Refusal>,
    ) -> Result<Response, Refusal> {
        plan.finish(self, answer)
    }

    /// Throws away what a request with an unsafe method has made outdated (RFC 9111, 4.4): what is kept under its
    /// own URL and under those of this origin that the response names.
    pub fn invalidate(&self, target: &Key, response: &Response) {
        if !response.status().is_success() && !response.status().is_redirection() {
            return;
        }
        for name in [LOCATION, CONTENT_LOCATION] {
            let named = response.headers().get(name).and_then(|uri| uri.to_str().ok()?.parse::<Uri>().ok());
            if let Some(key) = named.and_then(|uri| target.follow(&uri)) {
                self.store.invalidate(&key);
            }
        }
        self.store.invalidate(target);
    }

    /// Throws away what an operator names; answers how many responses went.
    pub fn purge(&self, purge: &Purge) -> usize {
        self.store.purge(purge)
    }

    /// The answer from what is stale, and the fetch behind it, unless there is one already or there are too many.
    fn fetch_behind(&self, response: Response, mut fetch: Fetch, shelf: &Shelf, request: &Request) -> Lookup {
        let Ok(permit) = self.background.clone().try_acquire_owned() else {
            return Lookup::Answer(response);
        };
        let joining = Joining {
            key: &fetch.key,
            epoch: fetch.epoch,
            asking: fetch.asking(),
            known: &shelf.variants,
            may_lead: true,
            may_follow: false,
        };
        let Part::Lead(lead) = self.flights.join(&joining) else {
            return Lookup::Answer(response);
        };
        fetch.lead = Some(lead);
        fetch.permit = Some(permit);
        fetch.method = Method::GET;
        let mut behind = Request::new(body::empty());
        *behind.uri_mut() = request.uri().clone();
        *behind.headers_mut() = request.headers().clone();
        fetch.set_conditions(behind.headers_mut());
        Lookup::Stale(response, Box::new((Box::new(behind), Plan::new(Forwarded::Stale, fetch))))
    }
}

/// Which part a request may take among others for the same URL.
fn joining<'j>(fetch: &'j Fetch, shelf: &'j Shelf, wishes: &RequestDirectives) -> Joining<'j> {
    let is_get = fetch.method == Method::GET;
    let has_conditions = request::has_any(&fetch.request, &request::CONDITIONS);
    // Responses to known callers are rarely for others: waiting pays only where one has been.
    let has_any = || shelf.variants.iter().any(|kept| kept.head.terms.is_for_all);
    // What is validated each time answers nobody but who asked.
    let has_lifetime = fetch.kept.as_ref().is_none_or(|kept| kept.head.terms.has_lifetime());
    let is_shared = is_get && has_lifetime && shelf.is_shared() && (!fetch.is_known || has_any());
    Joining {
        key: &fetch.key,
        epoch: fetch.epoch,
        asking: fetch.asking(),
        known: &shelf.variants,
        may_lead: is_shared && !wishes.no_store && (fetch.is_validating() || !has_conditions),
        may_follow: is_shared && !wishes.no_cache,
    }
}

/// Waits for another request and answers from its response, when that may be used.
async fn follow(flight: &Flight, fetch: &Fetch, wishes: &RequestDirectives, why: Forwarded) -> Followed {
    let stage = flight.follow().await;
    let head = match &stage {
        Stage::Coming(head, _) | Stage::Landed(Kept { head, .. }) => head.clone(),
        Stage::Abandoned => return Followed::Again,
        Stage::Alone | Stage::Asking => return Followed::Alone,
    };
    if !head.matches(fetch.asking()) {
        return Followed::Again;
    }
    // The head tells already whether the body is worth waiting for.
    if policy::judge(&head.terms, wishes, SystemTime::now()) != Verdict::Use {
        return Followed::Alone;
    }
    let source = match stage {
        Stage::Coming(_, growing) => match tokio::time::timeout(WHOLE_TIME_MAX, growing.follow()).await {
            Ok(Some(body)) => Source::Coming(body),
            _ => return Followed::Alone,
        },
        Stage::Landed(kept) => Source::Whole(kept.body),
        _ => return Followed::Alone,
    };
    let status =
        CacheStatus::Forwarded { why, status: None, is_stored: false, is_collapsed: true, detail: None };
    let found = Found::new(&head, source, SystemTime::now());
    Followed::Answered(answer(found, &fetch.method, &fetch.request, status))
}

fn why_forwarded(verdict: Option<Verdict>, shelf: &Shelf) -> Forwarded {
    match verdict {
        Some(Verdict::ValidateForClient) => Forwarded::Request,
        Some(_) => Forwarded::Stale,
        None if shelf.variants.is_empty() => Forwarded::UriMiss,
        None => Forwarded::VaryMiss,
    }
}
