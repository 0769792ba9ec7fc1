//! The accept loop: HTTP/1.1 and HTTP/2 on one port, through TLS or in clear text; graceful close.
//!
//! Knows nothing of routes; below it stands `pipeline`. Files in reading order: `entry` is what connections meet;
//! `admission` counts them; `proxy_protocol` and `tls`, with `certificate` and `client_certificate`, tell the `peer`;
//! `connection` is what lies below HTTP, `answer` when it sends, `wire` holds it to its rules; `patience` ends streams
//! that nobody reads; `redirect` answers where only https is served.

pub mod entry;
pub mod admission;
mod proxy_protocol;
mod tls;
mod certificate;
pub mod client_certificate;
pub mod peer;
mod plain;
pub mod connection;
mod answer;
mod patience;
mod redirect;
mod wire;

pub use self::answer::note_rest;
pub use self::certificate::TlsError;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::admission::{Full, Pass};
use self::connection::{Activity, Busy, Connection};
use self::entry::Entry;
use self::peer::Peer;
use self::plain::{Plain, Watch};
use self::wire::StrictStream;
use super::Shared;
use super::access_log::RefusedHeads;
use super::pipeline;

/// How long accepting pauses when the system has no more file descriptors: connections that end free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long an idle connection has to close itself once it was asked to.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// The longest pause between two looks at what a connection waits for, so that a change of what it waits
/// for (a head that begins on an idle connection) is seen soon after.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// The shortest pause between two looks: the grain of the timer.
const MOMENT: Duration = Duration::from_millis(1);

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Requests are answered, through TLS when there are certificates.
    Serve,
    /// Requests are sent to https at this port.
    Redirect(u16),
}

/// Accepts connections until `shutdown`, then lets requests in flight end, at most for `drain`.
pub async fn run(
    shared: Arc<Shared>,
    listener: TcpListener,
    role: Role,
    shutdown: CancellationToken,
    drain: Duration,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error, &shutdown).await;
                continue;
            }
        };
        let entry = shared.entry.load_full();
        // Of its own: all connections look at it all the time, and one lock for all would have them wait.
        let shutdown = shutdown.child_token();
        let arrival = Arrival { shared: shared.clone(), entry, role, shutdown };
        if let Some(pass) = arrival.admit(&stream, address.ip()) {
            // Boxed, or its eight kilobytes would be copied ten times on the way to its task.
            connections.spawn(Box::pin(arrival.serve(stream, address.ip(), pass)));
        }
    }
    // From here on the system refuses new connections.
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, all_ended).await.is_err() {
        tracing::warn!(open = connections.len(), "the time to drain is over: connections are cut");
        connections.shutdown().await;
    }
}

/// A connection that has come, and what it needs.
struct Arrival {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    role: Role,
    shutdown: CancellationToken,
}

impl Arrival {
    /// Lets the connection in, unless a limit is reached or it must come through a proxy and does not.
    fn admit(&self, stream: &TcpStream, address: IpAddr) -> Option<Pass> {
        let entry = &self.entry;
        if entry.proxy_protocol && !entry.is_proxy(address) {
            tracing::debug!(%address, "a connection that is not from a trusted proxy was closed");
            return None;
        }
        let by_client_max = entry.connections_max_of(address);
        match self.shared.admission.admit(address, entry.connections_max, by_client_max) {
            Ok(pass) => {
                // Small responses wait for nothing; without this they would wait for the client's ACK.
                let _ = stream.set_nodelay(true);
                Some(pass)
            }
            Err(full) => {
                self.turn_away(stream, full);
                None
            }
        }
    }

    /// A connection over a limit gets a short answer, as far as the system takes it at once. Through TLS it
    /// gets none: a handshake would cost more than the request.
    fn turn_away(&self, stream: &TcpStream, full: Full) {
        if self.speaks_tls() {
            return;
        }
        let status = match full {
            Full::Gateway => "503 Service Unavailable",
            Full::Client => "429 Too Many Requests",
        };
        let answer =
            format!("HTTP/1.1 {status}\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.try_write(answer.as_bytes());
    }

    fn speaks_tls(&self) -> bool {
        self.role == Role::Serve && self.entry.tls.is_some()
    }

    /// Serves the connection to its end.
    async fn serve(self, mut stream: TcpStream, mut address: IpAddr, mut pass: Pass) {
        if self.entry.proxy_protocol {
            let header = proxy_protocol::read(&mut stream);
            let named = match tokio::time::timeout(self.entry.timeouts.header, header).await {
                Ok(Ok(named)) => named,
                Ok(Err(error)) => return tracing::debug!(%address, %error, "a connection was closed"),
                Err(_) => return tracing::debug!(%address, "a proxy sent no PROXY header in time"),
            };
            address = named.unwrap_or(address);
            pass = match pass.pass_on(address, self.entry.connections_max_of(address)) {
                Ok(pass) => pass,
                Err(full) => return self.turn_away(&stream, full),
            };
        }
        let _pass = pass;
        let tls = self.entry.tls.as_ref().filter(|_| self.speaks_tls());
        let Some(tls) = tls else {
            let (stream, watch) = Plain::new(stream);
            let peer = Peer::new(address, None, &self.entry.proxies);
            return self.converse(stream, Some(watch), peer).await;
        };
        match tls.accept(stream).await {
            Ok((stream, facts)) => {
                self.converse(stream, None, Peer::new(address, Some(facts), &self.entry.proxies)).await;
            }
            Err(error) => tracing::debug!(%address, %error, "a TLS handshake failed"),
        }
    }

    /// Answers requests until one of the two sides closes, and goes on as a tunnel where the protocol was switched.
    async fn converse<S>(&self, stream: S, watch: Option<Watch>, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new(self.shared.clone());
        let ended_well = self.speak_http(stream, watch, peer, &activity).await;
        // HTTP is over and its connection gone: kept, it would let the tunnel wait for a switch that cannot come any
        // more. In this task, so that the tunnel counts as a connection and a drain waits for it.
        if let Some(tunnel) = activity.take_tunnel().filter(|_| ended_well) {
            tunnel.await;
        }
    }

    /// Answers requests until one of the two sides closes; tells whether all that was begun has ended.
    async fn speak_http<S>(
        &self,
        stream: S,
        watch: Option<Watch>,
        peer: Peer,
        activity: &Arc<Activity>,
    ) -> bool
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let timeouts = self.entry.timeouts;
        let peer = Arc::new(peer);
        let stream = Connection::new(stream, activity.clone(), timeouts.write);
        let heads = RefusedHeads::new(peer.address, &self.shared);
        let io = TokioIo::new(StrictStream::new(stream, activity.clone(), heads));
        let service = service_fn(|request: Request<Incoming>| {
            let busy = Busy::begin(activity, request.version(), !request.body().is_end_stream());
            let (peer, role) = (peer.clone(), self.role);
            async move {
                let busy = busy.in_its_task();
                Ok::<_, Infallible>(match role {
                    Role::Serve => pipeline::handle(request, &peer, busy).await,
                    Role::Redirect(port) => redirect::handle(request, &peer, port, busy),
                })
            }
        });
        let mut connection = pin!(self.entry.protocol.serve_connection_with_upgrades(io, service));
        let mut draining = false;
        let mut closing_at: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let busy = activity.is_busy();
            // A request that crossed the farewell on its way is still answered.
            let deadline = closing_at.filter(|_| !busy).or_else(|| activity.deadline(&timeouts));
            if deadline.is_some_and(|deadline| deadline <= now) {
                if closing_at.is_some() || activity.owes_head() {
                    return false;
                }
                connection.as_mut().graceful_shutdown();
                closing_at = Some(now + CLOSE_TIME_MAX);
            }
            let look = (now + LOOK_MAX).min(deadline.unwrap_or(now + LOOK_MAX).max(now + MOMENT));
            tokio::select! {
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = &result {
                        tracing::debug!(client = %peer.address, error, "a connection ended early");
                    }
                    return result.is_ok();
                }
                () = left(watch.as_ref(), activity) => {
                    tracing::debug!(client = %peer.address, "a client left before the end of its answer");
                    return false;
                }
                () = self.shutdown.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(look) => {}
            }
        }
    }
}

/// Ready when the client has left that waits for an answer.
async fn left(watch: Option<&Watch>, activity: &Activity) {
    poll_fn(|context| match watch {
        Some(watch) if activity.awaits_answer() => watch.poll_left(context),
        _ => Poll::Pending,
    })
    .await;
}

async fn pause_after(error: &io::Error, shutdown: &CancellationToken) {
    // A client that left before it was accepted is no reason to pause.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "no connection can be accepted; raise the limit of open files if this goes on");
    shutdown.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
}
