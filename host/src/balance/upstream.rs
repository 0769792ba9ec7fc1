//! An external service: requests go over the network to one of its URLs.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Uri;
use http::header::HOST;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::balance::call::{Answer, Call, CallError};
use crate::body::BodyError;
use crate::interfaces::http_client::HttpClient;
use crate::registry::{Endpoint, Health};

/// How long an address that could not be reached is passed over.
const EJECTION: Duration = Duration::from_secs(5);

/// The URLs of one external service.
pub struct Upstream {
    endpoints: Vec<Address>,
    next: AtomicUsize,
    client: HttpClient,
}

struct Address {
    uri: Uri,
    ejected_until: Mutex<Option<Instant>>,
}

impl Upstream {
    /// An external service at these URLs.
    pub fn new(uris: &[Uri], client: HttpClient) -> Self {
        let address = |uri: &Uri| Address { uri: uri.clone(), ejected_until: Mutex::new(None) };
        Self { endpoints: uris.iter().map(address).collect(), next: AtomicUsize::new(0), client }
    }

    /// Its endpoints and how they are, for the registry.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let now = Instant::now();
        let view = |address: &Address| Endpoint {
            address: address.shown(),
            instances: 0,
            health: if address.is_ejected(now) { Health::Unhealthy } else { Health::Healthy },
        };
        self.endpoints.iter().map(view).collect()
    }

    /// Sends the request to the next address that is not passed over.
    ///
    /// # Errors
    ///
    /// When it cannot be reached or does not answer in time.
    pub async fn send(&self, mut call: Call) -> Result<Answer, CallError> {
        let address = self.pick();
        *call.request.uri_mut() = join(&address.uri, call.request.uri())
            .map_err(|error| CallError::Unreachable(format!("{}: {error}", address.uri)))?;
        // The client makes Host from the URL.
        call.request.headers_mut().remove(HOST);
        *call.request.version_mut() = http::Version::HTTP_11;
        let sent = tokio::time::timeout_at(call.deadline, self.client.send(call.request)).await;
        let response = sent.map_err(|_| CallError::Timeout { limit: "time" })?.map_err(|error| {
            if error.is_connect() {
                address.eject(Instant::now() + EJECTION);
            }
            CallError::Unreachable(format!("{}: {}", address.uri, root_cause(&error)))
        })?;
        let response =
            response.map(|body| body.map_err(|error| BodyError::Broken(error.to_string())).boxed_unsync());
        Ok(Answer { response, version: None, instance: None })
    }

    /// Round robin over the addresses that are not passed over; over all when all are.
    fn pick(&self) -> &Address {
        let now = Instant::now();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.endpoints.len();
        let nth = |offset: usize| &self.endpoints[(start + offset) % count];
        (0..count).map(nth).find(|address| !address.is_ejected(now)).unwrap_or_else(|| nth(0))
    }
}

impl Address {
    /// As it stands in gateway.toml: an address has no path.
    fn shown(&self) -> String {
        self.uri.to_string().trim_end_matches('/').to_owned()
    }

    fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }

    fn eject(&self, until: Instant) {
        *self.ejected_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
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

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
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
}
