//! The client for the addresses of one external service: pooled HTTP/1.1 and HTTP/2.

use std::time::Duration;

use http::Uri;
use http::header::{HOST, UPGRADE};
use http::uri::Scheme;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::balance::connect::Connector;
use crate::body::{Body, Request};
use crate::config::{HttpVersion, Upstreams};

/// Requests in flight on one connection of HTTP/2: no server should take fewer (RFC 9113, 6.5.2), and many take no more.
pub const STREAMS_MAX: usize = 100;

/// Connections of HTTP/2 to one address: six thousand requests in flight are more than an address answers in time.
const LANES_MAX: usize = 64;

/// How long an idle connection is kept: shorter than the servers that are in use keep theirs, so that requests seldom
/// meet a connection that is being closed.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// Idle connections kept for one address.
const IDLE_PER_ADDRESS_MAX: usize = 128;

/// How often an HTTP/2 address is asked whether it is still there, and how long it has for the answer.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of one response of HTTP/2 that may wait for their reader: enough for 50 MB/s from an address 5 ms away.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Those of all responses of a connection: as many as can be said (RFC 9113, 6.9.1), so that only the windows of its
/// streams count, and readers who are slow never stop the others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

const HTTP1: Option<HttpVersion> = Some(HttpVersion::Http1);

/// Sends requests to the addresses of one service.
pub struct UpstreamClient {
    /// The first lane: at most one connection of HTTP/2 to an address, and any number of HTTP/1.1.
    first: HttpClient,
    /// The lanes behind it.
    further: Vec<HttpClient>,
    /// For what only HTTP/1.1 can do; none when the service speaks HTTP/2.
    http1: Option<HttpClient>,
}

type HttpClient = Client<Connector, Body>;

impl UpstreamClient {
    /// A client by these settings; it connects with the first request.
    pub fn new(config: &Upstreams) -> Self {
        let connector = Connector::new(config, config.http);
        let lane = || client(connector.clone(), config.http);
        let first = lane();
        let http1 = match config.http {
            None => Some(client(Connector::new(config, HTTP1), HTTP1)),
            Some(HttpVersion::Http1) => Some(first.clone()),
            Some(HttpVersion::Http2) => None,
        };
        let count = config.addresses.iter().map(|address| lanes(config, &address.uri)).max();
        let further = (1..count.unwrap_or(1)).map(|_| lane()).collect();
        Self { first, further, http1 }
    }

    /// Whether a request may name another host than that of the address, or ask for another protocol.
    pub fn speaks_http1(&self) -> bool {
        self.http1.is_some()
    }

    /// Sends one request on a lane of its address. One that names a host, or asks for another protocol, goes over
    /// HTTP/1.1, where that can be said.
    ///
    /// # Errors
    ///
    /// When the address cannot be reached, or breaks the protocol.
    pub async fn send(&self, request: Request, lane: usize) -> Result<http::Response<Incoming>, Error> {
        let headers = request.headers();
        let needs_http1 = headers.contains_key(HOST) || headers.contains_key(UPGRADE);
        let client = match &self.http1 {
            Some(http1) if needs_http1 => http1,
            _ => lane.checked_sub(1).and_then(|index| self.further.get(index)).unwrap_or(&self.first),
        };
        client.request(request).await
    }
}

/// On how many lanes requests to this address go: so many that all the requests of the service find room in the
/// connections of HTTP/2.
pub fn lanes(config: &Upstreams, address: &Uri) -> usize {
    let is_http2 = match config.http {
        None => address.scheme() == Some(&Scheme::HTTPS),
        Some(version) => version == HttpVersion::Http2,
    };
    if is_http2 { config.requests_max.div_ceil(STREAMS_MAX).min(LANES_MAX) } else { 1 }
}

fn client(connector: Connector, version: Option<HttpVersion>) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME_MAX)
        .pool_max_idle_per_host(IDLE_PER_ADDRESS_MAX)
        .http2_only(version == Some(HttpVersion::Http2))
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(connector)
}
