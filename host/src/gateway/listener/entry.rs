//! What a connection meets before its first request: limits, proxies, TLS, the protocol.

use std::net::IpAddr;
use std::sync::Arc;

use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use ipnet::IpNet;

use super::certificate::TlsError;
use super::connection::Timeouts;
use super::patience::StreamExecutor;
use super::tls::Tls;
use crate::config::GatewayConfig;
use crate::gateway::forward::forwarded;

/// Bytes of an HTTP/1 head that are read before it is refused unseen. More than our own limits, so that
/// a long target gets 414 and only what is far beyond gets 431; little enough for 10,000 connections.
const HEAD_BUFFER_BYTES_MAX: usize = 96 * 1024;

/// Response bytes that are held for each HTTP/2 stream whose client does not read.
const STREAM_SEND_BYTES_MAX: usize = 64 * 1024;

/// Request bytes that are held for each HTTP/2 stream whose service does not read.
const STREAM_RECEIVE_BYTES_MAX: u32 = 64 * 1024;

/// The same for each connection: 1,024 of them, as many as one address may open, hold 256 MiB at most.
const CONNECTION_RECEIVE_BYTES_MAX: u32 = 256 * 1024;

/// Built whole from one configuration; a connection keeps the one with which it began.
pub struct Entry {
    /// Open connections at most.
    pub connections_max: usize,
    /// How long clients may wait or make wait.
    pub timeouts: Timeouts,
    /// HTTP/1.1 and HTTP/2, told apart by the first bytes.
    pub protocol: auto::Builder<StreamExecutor>,
    /// None: clear text.
    pub tls: Option<Tls>,
    /// Whether connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// The proxies whose word counts.
    pub proxies: Arc<[IpNet]>,
    connections_per_address_max: usize,
}

impl Entry {
    /// Builds it, and reads the files of TLS.
    ///
    /// # Errors
    ///
    /// Which file cannot be used, and why.
    pub fn new(config: &GatewayConfig) -> Result<Self, TlsError> {
        let listener = &config.listener;
        Ok(Self {
            connections_max: config.connections_max,
            timeouts: Timeouts {
                header: config.header_timeout,
                idle: config.idle_timeout,
                write: config.write_timeout,
            },
            protocol: protocol(config),
            tls: listener.tls.as_ref().map(Tls::load).transpose()?,
            proxy_protocol: listener.proxies.protocol,
            proxies: listener.proxies.trusted.as_slice().into(),
            connections_per_address_max: config.connections_per_address_max,
        })
    }

    /// Whether an address is that of a trusted proxy.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        forwarded::is_trusted(&self.proxies, address)
    }

    /// Open connections at most from this address. A trusted proxy speaks for many clients.
    pub fn connections_max_of(&self, address: IpAddr) -> usize {
        if self.is_proxy(address) { self.connections_max } else { self.connections_per_address_max }
    }
}

fn protocol(config: &GatewayConfig) -> auto::Builder<StreamExecutor> {
    let listener = &config.listener;
    let http2 = &listener.http2;
    let mut builder = auto::Builder::new(StreamExecutor::new(config.write_timeout));
    builder
        .http1()
        // `Activity` tells a slow head from an idle connection.
        .header_read_timeout(None)
        // Where the client itself is watched, the library need not look whether it has left: it makes place for what may
        // come instead, eight kilobytes for each request.
        .half_close(listener.tls.is_none())
        .max_buf_size(HEAD_BUFFER_BYTES_MAX)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(http2.streams_max)
        .max_pending_accept_reset_streams(http2.resets_max)
        .max_header_list_size(http2.header_list_bytes_max)
        .max_send_buf_size(STREAM_SEND_BYTES_MAX)
        .initial_stream_window_size(STREAM_RECEIVE_BYTES_MAX)
        .initial_connection_window_size(CONNECTION_RECEIVE_BYTES_MAX)
        .keep_alive_interval(http2.ping_interval)
        .keep_alive_timeout(http2.ping_timeout);
    builder
}
