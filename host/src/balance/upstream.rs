//! An external service: requests go over the network to one of its addresses.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{COOKIE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::balance::address::Address;
use crate::balance::breaker::{Breaker, Pass};
use crate::balance::call::{Answer, Call, CallError, Tries};
use crate::balance::check;
use crate::balance::client::{UpstreamClient, lanes};
use crate::balance::outlier::Outliers;
use crate::balance::pick::{Picker, hash};
use crate::balance::queue::{Place, Queue};
use crate::balance::retry::Budget;
use crate::balance::stream::{Held, Upgraded, UpstreamBody};
use crate::balance::verdict::{Excuses, Verdict};
use crate::body::{BodyError, empty};
use crate::config::{self, Balance, Limits, Retry, ServiceConfig, Upstreams};
use crate::names::ServiceName;
use crate::registry::{Endpoint, Health};

/// One external service. Its health checks end with it.
pub struct Upstream {
    group: Arc<Group>,
    queue: Queue,
    retry: Option<Arc<Retry>>,
    budget: Budget,
    limits: Limits,
    _checks: JoinSet<()>,
}

/// The addresses of a service and what is known of them.
pub struct Group {
    /// Whose they are.
    pub name: ServiceName,
    /// In the order of gateway.toml.
    pub addresses: Vec<Address>,
    /// Speaks to them.
    pub client: UpstreamClient,
    config: Arc<Upstreams>,
    picker: Picker,
    outliers: Option<Mutex<Outliers>>,
    breaker: Mutex<Breaker>,
}

impl Upstream {
    /// An external service, whose health checks begin.
    pub fn new(service: &ServiceConfig, config: &Arc<Upstreams>) -> Self {
        let group = Arc::new(Group::new(service, config.clone()));
        let mut checks = JoinSet::new();
        if let Some(check) = &config.health_check {
            for index in 0..config.addresses.len() {
                checks.spawn(check::watch(group.clone(), index, check.clone()));
            }
        }
        Self {
            group,
            queue: Queue::new(config.requests_max, config.requests_max),
            retry: service.retry.clone(),
            budget: Budget::default(),
            limits: service.limits.clone(),
            _checks: checks,
        }
    }

    /// Its endpoints and how they are, for the registry.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let now = Instant::now();
        let view = |address: &Address| Endpoint {
            address: address.shown.clone(),
            instances: 0,
            health: if address.is_in(now) { Health::Healthy } else { Health::Unhealthy },
        };
        self.group.addresses.iter().map(view).collect()
    }

    /// How calls are tried again where the caller does not say.
    pub fn retry(&self) -> Option<Arc<Retry>> {
        self.retry.clone()
    }

    /// What is left for trying calls again.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether a request may ask for another protocol.
    pub fn takes_upgrades(&self) -> bool {
        self.group.client.speaks_http1()
    }

    /// Sends the request to one of the addresses, once there is a place for it.
    ///
    /// # Errors
    ///
    /// When it cannot be reached, or does not answer in time.
    pub async fn send(&self, call: Call, tries: &mut Tries) -> Result<Answer, CallError> {
        let now = Instant::now();
        let own_deadline = now + tries.time.map_or(self.limits.time, |time| time.min(self.limits.time));
        let pass = self.group.breaker().admit(now);
        let pass = pass.map_err(|retry_after| CallError::CircuitOpen { retry_after })?;
        let patience = own_deadline.min(call.deadline).min(now + self.limits.wait);
        let place = self.queue.enter(patience).await.ok_or_else(CallError::busy)?;
        let index = self.group.pick(&call, &tries.failed);
        let (verdict, result) = self.group.exchange(index, call, own_deadline, place, self.limits.idle).await;
        self.group.note(index, pass, verdict);
        if verdict != Verdict::Answered {
            tries.failed.push(index);
        }
        result
    }
}

impl Group {
    fn new(service: &ServiceConfig, config: Arc<Upstreams>) -> Self {
        let address = |address: &config::Address| Address::new(address, lanes(&config, &address.uri));
        let addresses: Vec<Address> = config.addresses.iter().map(address).collect();
        let outliers =
            config.outlier.clone().map(|settings| Mutex::new(Outliers::new(settings, addresses.len())));
        Self {
            name: service.name.clone(),
            client: UpstreamClient::new(&config),
            picker: Picker::new(&config.balance, addresses.iter().map(|address| address.shown.as_str())),
            addresses,
            config,
            outliers,
            breaker: Mutex::new(Breaker::new(service.circuit)),
        }
    }

    /// Lets requests through again at once.
    pub fn close_circuit(&self) {
        self.breaker().close();
    }

    /// Asks one address, and judges it.
    async fn exchange(
        &self,
        index: usize,
        mut call: Call,
        own_deadline: Instant,
        place: Place,
        idle: Duration,
    ) -> (Verdict, Result<Answer, CallError>) {
        let Some(address) = self.addresses.get(index) else {
            return (Verdict::Nothing, Err(CallError::Unreachable("it has no address".into())));
        };
        if let Err(error) = self.aim(&mut call, address) {
            return (Verdict::Nothing, Err(error));
        }
        let excuses = Excuses::watch(&mut call.request, own_deadline, call.deadline);
        let in_flight = address.begin();
        let sending = self.client.send(*call.request, in_flight.lane());
        let held = Held::new(place, in_flight);
        match tokio::time::timeout_at(own_deadline.min(call.deadline), sending).await {
            Err(_) => (excuses.verdict(), Err(CallError::Timeout { limit: "time" })),
            Ok(Ok(response)) => (Verdict::of_status(response.status()), Ok(answer(response, idle, held))),
            Ok(Err(error)) => {
                let verdict = if is_of_the_client(&error) { Verdict::Nothing } else { Verdict::Failed };
                let story = format!("{}: {}", address.shown, root_cause(&error));
                let is_unsent = error.is_connect();
                (
                    verdict,
                    Err(if is_unsent { CallError::Unreachable(story) } else { CallError::Broken(story) }),
                )
            }
        }
    }

    /// One of the addresses that are in; of all when none is, since a service that may answer is better than none.
    /// Those that failed the call before are passed over while there are others.
    fn pick(&self, call: &Call, failed: &[usize]) -> usize {
        if self.addresses.len() == 1 {
            return 0;
        }
        let now = Instant::now();
        let key = key(&self.config.balance, call.request.headers(), call.client);
        let choose = |may: &dyn Fn(usize, &Address) -> bool| {
            let standing = |index: usize| {
                let address = self.addresses.get(index).filter(|address| may(index, address))?;
                Some(address.standing(now, self.config.slow_start))
            };
            self.picker.pick(self.addresses.len(), standing, key, rand::random)
        };
        let is_fresh = |index: usize| !failed.contains(&index);
        choose(&|index, address| address.is_in(now) && is_fresh(index))
            .or_else(|| choose(&|_, address| address.is_in(now)))
            .or_else(|| choose(&|index, _| is_fresh(index)))
            .or_else(|| choose(&|_, _| true))
            .unwrap_or(0)
    }

    /// Directs the request to the address.
    fn aim(&self, call: &mut Call, address: &Address) -> Result<(), CallError> {
        let request = &mut call.request;
        *request.uri_mut() = join(&address.uri, request.uri())
            .map_err(|error| CallError::Unreachable(format!("{}: {error}", address.shown)))?;
        // HTTP/2 tells the address as the authority, and a second host beside it would be malformed.
        let keeps_host = (self.config.keeps_host || call.keeps_host) && self.client.speaks_http1();
        if !keeps_host {
            // The client makes it from the address.
            request.headers_mut().remove(HOST);
        }
        if !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
            // The library takes a GET that says nothing for one without a body, and sends none.
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        *request.version_mut() = http::Version::HTTP_11;
        Ok(())
    }

    /// Tells what a try says about an address, and about the service when nobody else could have answered.
    fn note(&self, index: usize, pass: Pass, verdict: Verdict) {
        let now = Instant::now();
        if let (Some(outliers), Some(address)) = (&self.outliers, self.addresses.get(index)) {
            let ejected = outliers.lock().unwrap_or_else(PoisonError::into_inner).note(index, verdict, now);
            if let Some(until) = ejected {
                address.eject(until);
                tracing::warn!(service = %self.name, address = %address.shown, "the address keeps failing and is passed over");
            }
        }
        let mut others = self.addresses.iter().enumerate().filter(|(other, _)| *other != index);
        if verdict == Verdict::Failed && others.any(|(_, address)| address.is_in(now)) {
            return;
        }
        if self.breaker().note(pass, verdict, now) {
            tracing::warn!(service = %self.name, "the service keeps failing and is left alone for a while");
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The innermost error, which says what happened.
pub fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// Whether the body of the request broke off, which is no fault of the service.
fn is_of_the_client(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<BodyError>())
}

fn answer(mut response: http::Response<hyper::body::Incoming>, idle: Duration, held: Held) -> Answer {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let connection = hyper::upgrade::on(&mut response);
        let upgraded = Some(Upgraded { connection, idle, held });
        return Answer { response: response.map(|_| empty()), version: None, upgraded };
    }
    let response = response.map(|body| UpstreamBody::new(body, idle, held).boxed_unsync());
    Answer { response, version: None, upgraded: None }
}

/// What is hashed, when the request has it.
fn key(balance: &Balance, headers: &HeaderMap, client: Option<IpAddr>) -> Option<u64> {
    match balance {
        Balance::HashHeader(name) => headers.get(name).map(|value| hash(value.as_bytes())),
        Balance::HashCookie(name) => cookie(headers, name).map(|value| hash(value.as_bytes())),
        Balance::HashAddress => client.map(|client| hash(client.to_canonical())),
        Balance::RoundRobin | Balance::LeastRequests | Balance::Random => None,
    }
}

/// The first cookie of this name (RFC 6265, 5.4).
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).next()
}

/// The path of the request at the address of the service.
fn join(base: &Uri, path: &Uri) -> Result<Uri, http::Error> {
    let path = path.path_and_query().map_or("/", |path| path.as_str());
    Uri::builder()
        .scheme(base.scheme_str().unwrap_or("http"))
        .authority(base.authority().map_or("", |authority| authority.as_str()))
        .path_and_query(path)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_goes_to_the_address_as_it_came() {
        let check = |base: &str, path: &str, expected: &str| {
            let joined = join(&base.parse().unwrap(), &path.parse().unwrap()).unwrap();
            assert_eq!(joined.to_string(), expected);
        };
        check("http://127.0.0.1:9001", "/a?b=c", "http://127.0.0.1:9001/a?b=c");
        check("http://127.0.0.1:9001/", "/a", "http://127.0.0.1:9001/a");
    }

    #[test]
    fn the_key_is_what_the_balance_names() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; sid=x=y; sid=z".parse().unwrap());
        headers.insert("x-user", "ann".parse().unwrap());
        let client: IpAddr = "192.0.2.7".parse().unwrap();
        let key = |balance: Balance| super::key(&balance, &headers, Some(client));
        assert_eq!(cookie(&headers, "sid"), Some("x=y"));
        assert_eq!(key(Balance::HashCookie("sid".into())), Some(hash("x=y".as_bytes())));
        assert_eq!(key(Balance::HashCookie("other".into())), None);
        assert_eq!(key(Balance::HashHeader("x-user".parse().unwrap())), Some(hash("ann".as_bytes())));
        assert_eq!(key(Balance::HashAddress), Some(hash(client)));
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(super::key(&Balance::HashAddress, &headers, Some(mapped)), Some(hash(client)));
        assert_eq!(key(Balance::RoundRobin), None);
    }
}
