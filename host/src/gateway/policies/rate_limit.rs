//! How often the clients of a route may ask: which limits there are, who is counted, what is told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::limiter::{Counted, Limiter, Verdict};
use crate::config::{By, RateLimit, RouteConfig};
use crate::gateway::auth::{Identity, Way};
use crate::gateway::listener::admission;
use crate::gateway::reply::{self, Refusal};

/// How the caller stands, and what the limits are (draft-ietf-httpapi-ratelimit-headers-10).
const STANDING: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The limits of one route.
#[derive(Debug)]
pub struct RateLimits {
    /// Asked before authentication, which costs more than they do.
    by_address: Vec<Limit>,
    /// Asked once the caller is known.
    by_caller: Vec<Limit>,
    /// All of them as a header field.
    policy: HeaderValue,
}

#[derive(Debug)]
struct Limit {
    name: Arc<str>,
    by: By,
    limiter: Arc<Limiter>,
}

/// Who asks, as far as authentication has found out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'c> {
    /// The subject of the identity.
    pub subject: Option<&'c str>,
    /// The id of the API key.
    pub key: Option<&'c str>,
}

/// What the limits that were asked have said, each with its name.
#[derive(Debug, Default)]
pub struct Standings(Vec<(Arc<str>, Verdict)>);

impl<'c> Caller<'c> {
    /// The caller of this identity; nobody without one.
    pub fn of(identity: Option<&'c Identity>) -> Self {
        let key = identity.and_then(|identity| match &identity.way {
            Way::Key(id) => Some(&**id),
            Way::Token | Way::Certificate | Way::Session => None,
        });
        Self { subject: identity.map(|identity| &*identity.subject), key }
    }
}

impl RateLimits {
    /// The limits of a route; none when it has none. The state of a limit that is in use already is kept.
    pub fn new(route: &RouteConfig, limiters: &RateLimiters) -> Option<Self> {
        let configs = &route.policies.rate_limits;
        if configs.is_empty() {
            return None;
        }
        let names = names(configs);
        let policies = names.iter().zip(configs).map(|(name, config)| policy(name, config));
        let policy = HeaderValue::try_from(policies.collect::<Vec<_>>().join(", ")).ok()?;
        let limits = names.iter().zip(configs).map(|(name, config)| Limit {
            name: name.clone(),
            by: config.by.clone(),
            limiter: limiters.get(route, name, config),
        });
        let (by_address, by_caller) = limits.partition(|limit| limit.by == By::Address);
        Some(Self { by_address, by_caller, policy })
    }

    /// Asks the limits for which the address is enough.
    ///
    /// # Errors
    ///
    /// When one of them is exceeded.
    pub fn admit_address(&self, client: IpAddr, standings: &mut Standings) -> Result<(), Refusal> {
        let client = Counted::from(admission::client_of(client));
        self.by_address.iter().try_for_each(|limit| standings.note(limit, limit.limiter.admit(client)))
    }

    /// Asks the other limits. Who has no identity, or does not send the header, is known by the address.
    ///
    /// # Errors
    ///
    /// When one of them is exceeded.
    pub fn admit_caller(
        &self,
        caller: Caller<'_>,
        client: IpAddr,
        headers: &HeaderMap,
        standings: &mut Standings,
    ) -> Result<(), Refusal> {
        self.by_caller.iter().try_for_each(|limit| {
            let known = match &limit.by {
                By::Subject => caller.subject.map(str::as_bytes),
                By::Key => caller.key.map(str::as_bytes),
                By::Header(name) => headers.get(name).map(HeaderValue::as_bytes),
                By::Route => Some(&b""[..]),
                By::Address => None,
            };
            let counted = known.map_or_else(|| admission::client_of(client).into(), Counted::Known);
            standings.note(limit, limit.limiter.admit(counted))
        })
    }

    /// Tells the caller the limits, and how it stands with those that were asked.
    pub fn tell(&self, standings: &Standings, headers: &mut HeaderMap) {
        let standings: Vec<String> = standings.0.iter().map(|(name, verdict)| text(name, verdict)).collect();
        if standings.is_empty() {
            return;
        }
        if let Ok(standings) = HeaderValue::try_from(standings.join(", ")) {
            headers.insert(STANDING, standings);
            headers.insert(POLICY, self.policy.clone());
        }
    }
}

impl Standings {
    fn note(&mut self, limit: &Limit, verdict: Verdict) -> Result<(), Refusal> {
        self.0.push((limit.name.clone(), verdict));
        match verdict {
            Verdict::Passes { .. } => Ok(()),
            Verdict::Refused { wait } => Err(Refusal::RateLimited { retry_after: wait }),
        }
    }
}

/// The limits in use, by route and policy: one that stays the same over a reload keeps its state.
#[derive(Debug, Default)]
pub struct RateLimiters(Mutex<HashMap<Place, Weak<Limiter>>>);

/// The route, the name of the limit in it, and its policy.
type Place = (String, Arc<str>, RateLimit);

impl RateLimiters {
    fn get(&self, route: &RouteConfig, name: &Arc<str>, config: &RateLimit) -> Arc<Limiter> {
        let route = format!("{:?} {:?} {} {:?}", route.host, route.methods, route.shape(), route.conditions);
        let mut limiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limiters.retain(|_, limiter| limiter.strong_count() > 0);
        let kept = limiters.entry((route, name.clone(), config.clone())).or_default();
        kept.upgrade().unwrap_or_else(|| {
            let limiter = Arc::new(Limiter::new(config));
            *kept = Arc::downgrade(&limiter);
            limiter
        })
    }
}

/// A name for each limit of a route: who is counted, and a number from the second on.
fn names(configs: &[RateLimit]) -> Vec<Arc<str>> {
    let name = |(index, config): (usize, &RateLimit)| match configs[..index]
        .iter()
        .filter(|above| above.by == config.by)
        .count()
    {
        0 => config.by.to_string().into(),
        above => format!("{}-{}", config.by, above + 1).into(),
    };
    configs.iter().enumerate().map(name).collect()
}

/// A limit as a quota and the window in which it comes back. The quota is the burst: what may be left of it
/// is never more.
fn policy(name: &str, config: &RateLimit) -> String {
    let window = reply::whole_seconds(config.interval().saturating_mul(config.burst));
    format!("\"{name}\";q={};w={window}", config.burst)
}

/// How many more would pass, and after which time there are more: all of them, or one for who is refused.
fn text(name: &str, verdict: &Verdict) -> String {
    let (remaining, time) = match *verdict {
        Verdict::Passes { remaining, full_in } => (remaining, full_in),
        Verdict::Refused { wait } => (0, wait),
    };
    format!("\"{name}\";r={remaining};t={}", reply::whole_seconds(time))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Conditions, Policies, Target, Transform};

    fn route(path: &str, limits: &[(u32, u32, By)]) -> RouteConfig {
        let limit = |(requests, burst, by): &(u32, u32, By)| RateLimit {
            requests: *requests,
            per: Duration::from_secs(60),
            burst: *burst,
            by: by.clone(),
        };
        let rate_limits = limits.iter().map(limit).collect();
        RouteConfig {
            host: None,
            path: path.into(),
            methods: Vec::new(),
            conditions: Conditions::default(),
            target: Target::Service("order".parse().unwrap()),
            transform: Transform::default(),
            time: None,
            body_bytes_max: None,
            policies: Policies { rate_limits, ..Policies::default() },
            retry: None,
            auth: None,
            cache: None,
            line: 1,
        }
    }

    fn limits(route: &RouteConfig, limiters: &RateLimiters) -> RateLimits {
        RateLimits::new(route, limiters).unwrap()
    }

    fn by_address(limits: &RateLimits, address: &str) -> bool {
        limits.admit_address(address.parse().unwrap(), &mut Standings::default()).is_ok()
    }

    fn by_caller(
        limits: &RateLimits,
        caller: Caller<'_>,
        tenant: Option<&'static str>,
        address: &str,
    ) -> bool {
        let tenant = tenant.map(|tenant| ("x-tenant".parse().unwrap(), HeaderValue::from_static(tenant)));
        let headers = tenant.into_iter().collect();
        limits.admit_caller(caller, address.parse().unwrap(), &headers, &mut Standings::default()).is_ok()
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_ipv6() {
        let limits = limits(&route("/", &[(1, 1, By::Address)]), &RateLimiters::default());
        assert!(by_address(&limits, "192.0.2.1"));
        assert!(!by_address(&limits, "::ffff:192.0.2.1"), "the same address");
        assert!(by_address(&limits, "192.0.2.2"));
        assert!(by_address(&limits, "2001:db8::1"));
        assert!(!by_address(&limits, "2001:db8::ffff:1"), "one client owns the network");
        assert!(by_address(&limits, "2001:db8:0:1::1"));
        assert!(by_caller(&limits, Caller::default(), None, "192.0.2.1"), "asked once only");
    }

    #[test]
    fn callers_are_told_apart_and_the_anonymous_by_their_address() {
        let limits_by = |by| limits(&route("/", &[(1, 1, by)]), &RateLimiters::default());
        let (ada, bob) = (Some("ada"), Some("192.0.2.1"));
        let subject = limits_by(By::Subject);
        let key = limits_by(By::Key);
        for name in [ada, bob, None] {
            let (as_subject, as_key) =
                (Caller { subject: name, key: None }, Caller { subject: None, key: name });
            assert!(by_caller(&subject, as_subject, None, "192.0.2.1"), "{name:?}");
            assert!(!by_caller(&subject, as_subject, None, "192.0.2.1"), "{name:?}");
            assert!(by_caller(&key, as_key, None, "192.0.2.1"), "{name:?}");
            assert!(!by_caller(&key, as_key, None, "192.0.2.1"), "{name:?}");
        }
        let header = limits_by(By::Header("x-tenant".parse().unwrap()));
        for tenant in [Some("a"), Some("b"), None] {
            assert!(by_caller(&header, Caller::default(), tenant, "192.0.2.1"), "{tenant:?}");
            assert!(!by_caller(&header, Caller::default(), tenant, "192.0.2.1"), "{tenant:?}");
        }
        assert!(by_caller(&header, Caller::default(), None, "192.0.2.2"));
        let whole = limits_by(By::Route);
        assert!(by_caller(&whole, Caller { subject: ada, key: None }, None, "192.0.2.1"));
        assert!(!by_caller(&whole, Caller { subject: bob, key: None }, None, "192.0.2.2"));
    }

    #[test]
    fn what_is_told_are_structured_fields() {
        let config = route("/", &[(60, 120, By::Address), (5, 5, By::Address), (1, 1, By::Route)]);
        let limits = limits(&config, &RateLimiters::default());
        let mut headers = HeaderMap::new();
        limits.tell(&Standings::default(), &mut headers);
        assert!(headers.is_empty(), "nothing was asked");
        let mut standings = Standings::default();
        let client = "192.0.2.1".parse().unwrap();
        limits.admit_address(client, &mut standings).unwrap();
        limits.admit_caller(Caller::default(), client, &HeaderMap::new(), &mut standings).unwrap();
        limits.tell(&standings, &mut headers);
        let policy = "\"address\";q=120;w=120, \"address-2\";q=5;w=60, \"route\";q=1;w=60";
        assert_eq!(headers[POLICY], policy);
        assert_eq!(headers[STANDING], "\"address\";r=119;t=1, \"address-2\";r=4;t=12, \"route\";r=0;t=60");
    }

    #[test]
    fn a_limit_that_stays_keeps_its_state_and_no_other_has_it() {
        let limiters = RateLimiters::default();
        let config = route("/a/{x}", &[(1, 1, By::Address)]);
        let before = limits(&config, &limiters);
        assert!(by_address(&before, "192.0.2.1"));
        let same = limits(&RouteConfig { path: "/a/{y}".into(), line: 9, ..config.clone() }, &limiters);
        assert!(!by_address(&same, "192.0.2.1"));
        for other in [route("/b", &[(1, 1, By::Address)]), route("/a/{x}", &[(1, 2, By::Address)])] {
            assert!(by_address(&limits(&other, &limiters), "192.0.2.1"));
        }
        drop((before, same));
        assert!(by_address(&limits(&config, &limiters), "192.0.2.1"), "forgotten when nobody uses it");
        assert!(RateLimits::new(&route("/", &[]), &limiters).is_none());
    }
}
