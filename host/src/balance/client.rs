//! The client for the addresses of one external service: pooled HTTP/1.1 and HTTP/2, TLS verified.

use std::time::Duration;

use http::header::UPGRADE;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use crate::body::{Body, Request};
use crate::config::{HttpVersion, Upstreams};

/// How long an idle connection is kept: shorter than the servers that are in use keep theirs, so that requests seldom
/// meet a connection that is being closed.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// Idle connections kept for one address.
const IDLE_PER_ADDRESS_MAX: usize = 128;

/// How often an HTTP/2 address is asked whether it is still there, and how long it has for the answer.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends requests to the addresses of one service.
pub struct UpstreamClient {
    requests: TlsClient,
    /// Only HTTP/1.1 can switch protocols; none when the service speaks HTTP/2.
    upgrades: Option<TlsClient>,
}

type TlsClient = Client<HttpsConnector<HttpConnector>, Body>;

impl UpstreamClient {
    /// A client by these settings; it connects with the first request.
    pub fn new(config: &Upstreams) -> Self {
        let requests = client(config, config.http);
        let upgrades = match config.http {
            None => Some(client(config, Some(HttpVersion::Http1))),
            Some(HttpVersion::Http1) => Some(requests.clone()),
            Some(HttpVersion::Http2) => None,
        };
        Self { requests, upgrades }
    }

    /// Whether a request may ask for another protocol.
    pub fn takes_upgrades(&self) -> bool {
        self.upgrades.is_some()
    }

    /// Sends one request.
    ///
    /// # Errors
    ///
    /// When the address cannot be reached, or breaks the protocol.
    pub async fn send(&self, request: Request) -> Result<http::Response<Incoming>, Error> {
        let client = match &self.upgrades {
            Some(upgrades) if request.headers().contains_key(UPGRADE) => upgrades,
            _ => &self.requests,
        };
        client.request(request).await
    }
}

fn client(config: &Upstreams, version: Option<HttpVersion>) -> TlsClient {
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(config.connect_timeout));
    http.set_nodelay(true);
    http.enforce_http(false);
    let https = HttpsConnectorBuilder::new().with_tls_config(tls(config)).https_or_http();
    let https = match version {
        None => https.enable_http1().enable_http2().wrap_connector(http),
        Some(HttpVersion::Http1) => https.enable_http1().wrap_connector(http),
        Some(HttpVersion::Http2) => https.enable_http2().wrap_connector(http),
    };
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME_MAX)
        .pool_max_idle_per_host(IDLE_PER_ADDRESS_MAX)
        .http2_only(version == Some(HttpVersion::Http2))
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(https)
}

fn tls(config: &Upstreams) -> ClientConfig {
    let builder = ClientConfig::builder();
    if config.authorities.is_empty() {
        return builder.with_webpki_roots().with_no_client_auth();
    }
    let mut roots = RootCertStore::empty();
    // The configuration has tried each of them.
    roots.add_parsable_certificates(config.authorities.iter().cloned());
    builder.with_root_certificates(roots).with_no_client_auth()
}
