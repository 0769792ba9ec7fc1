//! The client for outside hosts: pooled HTTP/1.1 and HTTP/2, TLS verified, private addresses refused.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use crate::body::{Body, Request};

/// How long a connection may take to be made.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long an idle connection is kept.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// Idle connections kept for one outside host.
const IDLE_PER_HOST_MAX: usize = 32;

/// Sends requests to outside hosts; cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: GuardedClient,
    /// For ports on which the host itself listens for operators: no name may resolve to such a listener.
    strict: GuardedClient,
    forbidden: Forbidden,
}

type GuardedClient = Client<HttpsConnector<HttpConnector<GuardedResolver>>, Body>;

/// Which local sockets no guest may reach: the host's own listeners for operators.
pub type Forbidden = Arc<HashSet<SocketAddr>>;

impl HttpClient {
    /// A client that refuses link-local addresses and the `forbidden` listeners.
    pub fn new(forbidden: Forbidden) -> Self {
        let barred = forbidden.iter().map(SocketAddr::ip).collect();
        Self { client: client(Vec::new()), strict: client(barred), forbidden }
    }

    /// Sends one request.
    ///
    /// # Errors
    ///
    /// When the host cannot be found or reached, or breaks the protocol.
    pub async fn send(
        &self,
        request: Request,
    ) -> Result<http::Response<hyper::body::Incoming>, hyper_util::client::legacy::Error> {
        let port = request.uri().port_u16();
        let is_strict = self.forbidden.iter().any(|local| Some(local.port()) == port);
        let client = if is_strict { &self.strict } else { &self.client };
        client.request(request).await
    }
}

fn client(barred: Vec<IpAddr>) -> GuardedClient {
    let mut http = HttpConnector::new_with_resolver(GuardedResolver { barred: barred.into() });
    http.set_connect_timeout(Some(CONNECT_TIME_MAX));
    http.set_nodelay(true);
    http.enforce_http(false);
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(http);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME_MAX)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .build(https)
}

/// Resolves names and drops addresses that no guest may reach, so that a name that resolves to one is of no use.
#[derive(Clone, Debug)]
struct GuardedResolver {
    barred: Arc<[IpAddr]>,
}

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let barred = self.barred.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let is_allowed =
                |ip: IpAddr| !is_link_local(ip) && !barred.iter().any(|local| reaches(*local, ip));
            let allowed: Vec<_> = found.filter(|address| is_allowed(address.ip())).collect();
            match allowed.is_empty() {
                true => {
                    Err(io::Error::new(io::ErrorKind::PermissionDenied, "only forbidden addresses found"))
                }
                false => Ok(allowed.into_iter()),
            }
        })
    }
}

/// Whether a literal address or name of a URL names a forbidden listener or a link-local address (RFC 3927,
/// RFC 4291), where clouds keep their credentials.
pub fn is_forbidden(forbidden: &HashSet<SocketAddr>, host: &str, port: u16) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let reaches = |ip: IpAddr| forbidden.iter().any(|local| local.port() == port && reaches(local.ip(), ip));
    match host.parse::<IpAddr>() {
        Ok(ip) => is_link_local(ip) || reaches(ip),
        Err(_) => forbidden.iter().any(|local| local.port() == port) && is_local_name(host),
    }
}

fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether a listener bound to `local` is reached at `ip`.
fn reaches(local: IpAddr, ip: IpAddr) -> bool {
    local == ip.to_canonical()
        || local.is_unspecified()
        || (local.is_loopback() && ip.to_canonical().is_loopback())
        || (local.is_loopback() && ip.is_unspecified())
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_a_forbidden_address_is_as_good_as_none() {
        let mut resolver = GuardedResolver { barred: ["127.0.0.1".parse().unwrap()].into() };
        // Spellings that the system takes for 169.254.169.254, and names of this machine.
        for name in ["169.254.43518", "2852039166", "0xa9fea9fe", "localhost", "127.1"] {
            let found = resolver.call(name.parse().unwrap()).await;
            assert_eq!(found.unwrap_err().kind(), io::ErrorKind::PermissionDenied, "{name}");
        }
        let mut open = GuardedResolver { barred: [].into() };
        assert!(open.call("localhost".parse().unwrap()).await.is_ok());
    }

    #[test]
    fn the_admin_listener_and_link_local_addresses_are_refused() {
        let forbidden = HashSet::from(["127.0.0.1:9090".parse().unwrap()]);
        let check = |host: &str, port: u16, expected: bool| {
            assert_eq!(is_forbidden(&forbidden, host, port), expected, "{host}:{port}");
        };
        check("127.0.0.1", 9090, true);
        check("127.8.8.8", 9090, true);
        check("localhost", 9090, true);
        check("0.0.0.0", 9090, true);
        check("[::ffff:127.0.0.1]", 9090, true);
        check("127.0.0.1", 9091, false);
        check("169.254.169.254", 80, true);
        check("[fe80::1]", 80, true);
        check("example.com", 9090, false);
    }
}
