//! One kept response: its head, whom it may answer, and its body.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED, TRAILER,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::policy::{self, Exchange, Terms};
use super::vary::Selection;
use crate::config::CacheRules;
use crate::gateway::part::opaque;
use crate::names::ServiceName;

/// What a response costs beside its bytes: the structures around them, roughly.
const OVERHEAD_BYTES: usize = 512;

/// What each field costs beside its bytes.
const FIELD_OVERHEAD_BYTES: usize = 32;

/// Fields of a 304 that are not those of the kept response: they describe its body, which stays
/// (RFC 9111, 3.2).
static ABOUT_BODY: [HeaderName; 4] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, TRAILER];

/// Which requests of one URL belong together: those that the same route sends to the same service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The route with all that it does to requests and responses.
    pub route: u64,
    /// The service.
    pub service: ServiceName,
}

/// A request, as far as it decides whose response it may get.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Where it belongs.
    pub scope: &'a Scope,
    /// Its fields.
    pub request: &'a HeaderMap,
    /// Whether its caller is known.
    pub is_known: bool,
}

/// The head of a response that may answer other requests.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The fields as they are kept.
    pub headers: HeaderMap,
    /// The terms of its use.
    pub terms: Terms,
    scope: Scope,
    selection: Selection,
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its head.
    pub head: Arc<Head>,
    /// Its body.
    pub body: Bytes,
}

impl Head {
    /// The head as it is kept, or why it is not.
    pub fn new(exchange: &Exchange<'_>, scope: &Scope, rules: &CacheRules) -> Result<Self, &'static str> {
        let terms = policy::assess(exchange, rules)?;
        let selection = Selection::new(exchange.response, &rules.key_headers, exchange.request);
        let selection = selection.ok_or("vary")?;
        let mut headers = exchange.response.clone();
        // The age is told anew each time, trailers are not kept.
        for name in terms.unkept.iter().chain(&[AGE, TRAILER]) {
            headers.remove(name);
        }
        if !headers.contains_key(DATE) {
            set_date(&mut headers, exchange.received);
        }
        Ok(Self { status: exchange.status, headers, terms, scope: scope.clone(), selection })
    }

    /// Whether it may answer such a request, as far as other fields than those of caching go. RFC 9111 lets a
    /// known caller have what an unknown one was given; here the service must have said that it is for all.
    pub fn matches(&self, asking: Asking<'_>) -> bool {
        self.scope == *asking.scope
            && (!asking.is_known || self.terms.is_for_all)
            && self.selection.matches(asking.request)
    }

    /// Whether two requests get the same response, when the service chooses as it did here.
    pub fn agree(&self, one: &HeaderMap, other: &HeaderMap) -> bool {
        self.selection.agree(one, other)
    }

    /// Whether it takes the place of another: it answers the same requests.
    pub fn replaces(&self, other: &Self) -> bool {
        self.scope == other.scope && self.selection == other.selection
    }

    /// Whether the service can be asked if it has changed.
    pub fn has_validator(&self) -> bool {
        self.headers.contains_key(ETAG) || self.headers.contains_key(LAST_MODIFIED)
    }

    fn bytes(&self) -> usize {
        let fields = self.headers.iter();
        let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD_BYTES);
        OVERHEAD_BYTES + self.selection.bytes() + fields.sum::<usize>()
    }
}

impl Kept {
    /// A response whose body has come whole.
    pub fn new(mut head: Arc<Head>, body: Bytes) -> Self {
        if !head.headers.contains_key(CONTENT_LENGTH) && head.status != StatusCode::NO_CONTENT {
            Arc::make_mut(&mut head).headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        Self { head, body }
    }

    /// Its fields with those of a 304 that has come now (RFC 9111, 3.2).
    pub fn with_news(&self, news: &HeaderMap, received: SystemTime) -> HeaderMap {
        let mut headers = self.head.headers.clone();
        // The old date would make it as old as it was when it was asked about.
        set_date(&mut headers, received);
        for name in news.keys().filter(|name| !ABOUT_BODY.contains(name)) {
            headers.remove(name);
            for value in news.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers
    }

    /// The same with the fields of this exchange, or why it cannot be kept any longer.
    pub fn renewed(
        &self,
        exchange: &Exchange<'_>,
        scope: &Scope,
        rules: &CacheRules,
    ) -> Result<Self, &'static str> {
        let exchange = Exchange { status: self.head.status, ..*exchange };
        Ok(Self { head: Arc::new(Head::new(&exchange, scope, rules)?), body: self.body.clone() })
    }

    /// Whether a 304 can be about this response: a strong validator must be the same (RFC 9111, 4.3.4).
    pub fn is_meant_by(&self, not_modified: &HeaderMap) -> bool {
        let tag = |headers: &HeaderMap| headers.get(ETAG).map(|tag| tag.as_bytes().to_vec());
        match (tag(not_modified), tag(&self.head.headers)) {
            (Some(new), Some(old)) => opaque(&new) == opaque(&old),
            (Some(new), None) => new.starts_with(b"W/"),
            (None, _) => true,
        }
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        self.head.bytes() + self.body.len()
    }

    /// Whether one of the tags in its Surrogate-Key field is this one.
    pub fn has_tag(&self, tag: &str) -> bool {
        let lines = self.head.headers.get_all("surrogate-key").iter();
        lines.filter_map(|line| line.to_str().ok()).flat_map(str::split_ascii_whitespace).any(|it| it == tag)
    }

    /// Whether the head of a response to HEAD shows that the service has another one now (RFC 9111, 4.3.5).
    pub fn differs_from(&self, headers: &HeaderMap) -> bool {
        [ETAG, LAST_MODIFIED, CONTENT_LENGTH].iter().any(|name| {
            let (new, old) = (headers.get(name), self.head.headers.get(name));
            new.is_some() && new != old
        })
    }

    /// Whether it shows that the service has the same one.
    pub fn is_confirmed_by(&self, headers: &HeaderMap) -> bool {
        !self.differs_from(headers) && [ETAG, LAST_MODIFIED].iter().any(|name| headers.contains_key(name))
    }
}

/// Whoever keeps a response without a date adds when it came (RFC 9110, 6.6.1).
fn set_date(headers: &mut HeaderMap, received: SystemTime) {
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(received)) {
        headers.insert(DATE, date);
    }
}
