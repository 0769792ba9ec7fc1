//! The accept loop: HTTP/1.1 and HTTP/2 in clear text on one port, connection limits, graceful close.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Shared;
use super::admission::{Full, Pass};
use super::connection::{Activity, Busy, Connection};
use super::framing;
use super::pipeline;

/// Bytes of an HTTP/1 head that are read before it is refused unseen. More than our own limits, so that
/// a long target gets 414 and only what is far beyond gets 431; little enough for 10,000 connections.
const HEAD_BUFFER_BYTES_MAX: usize = 96 * 1024;

/// Requests at once on one HTTP/2 connection (RFC 9113, 6.5.2, asks for at least 100).
const STREAMS_MAX: u32 = 128;

/// Response bytes that are held for each HTTP/2 stream whose client does not read.
const STREAM_SEND_BYTES_MAX: usize = 64 * 1024;

/// How often an HTTP/2 client is asked whether it is still there, and how long it has for the answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long accepting pauses when the system has no more file descriptors: connections that end free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long an idle connection has to close itself once it was asked to.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// The longest pause between two looks at what a connection waits for, so that a change of what it waits
/// for (a head that begins on an idle connection) is seen soon after.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Accepts connections until `shutdown`, then lets requests in flight end, at most for `drain`.
pub async fn run(shared: Arc<Shared>, listener: TcpListener, shutdown: CancellationToken, drain: Duration) {
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    let protocol = Arc::new(protocol(shared.timeouts().idle));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error, &shutdown).await;
                continue;
            }
        };
        if let Some(pass) = admit(&shared, &stream, address.ip()) {
            let serving = Serving {
                shared: shared.clone(),
                protocol: protocol.clone(),
                client: address.ip(),
                shutdown: shutdown.clone(),
                _pass: pass,
            };
            let abort = abort.clone();
            connections.spawn(async move { abort.run_until_cancelled(serving.serve(stream)).await });
        }
    }
    // From here on the system refuses new connections.
    drop(listener);
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "the time to drain is over: connections are cut");
        abort.cancel();
        connections.wait().await;
    }
}

/// One connection and what it needs.
struct Serving {
    shared: Arc<Shared>,
    protocol: Arc<auto::Builder<TokioExecutor>>,
    client: IpAddr,
    shutdown: CancellationToken,
    _pass: Pass,
}

impl Serving {
    /// Serves the connection to its end.
    async fn serve(self, stream: TcpStream) {
        let timeouts = self.shared.timeouts();
        let activity = Activity::new();
        let io = TokioIo::new(Connection::new(stream, activity.clone(), timeouts.write));
        let service = service_fn(|request: Request<Incoming>| {
            let shared = self.shared.clone();
            let busy = Busy::begin(&activity, &shared.in_flight, request.version());
            let client = self.client;
            async move {
                let pipeline = shared.pipeline.load_full();
                let (log, metrics) = (shared.access_log.clone(), shared.metrics.clone());
                let response =
                    pipeline::handle(pipeline.as_deref(), request, client, busy, log, metrics).await;
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection = pin!(self.protocol.serve_connection_with_upgrades(io, service));
        let mut draining = false;
        let mut closing_at: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let busy = activity.is_busy();
            // A request that crossed the farewell on its way is still answered.
            let deadline = closing_at.filter(|_| !busy).or_else(|| activity.deadline(&timeouts));
            if deadline.is_some_and(|deadline| deadline <= now) {
                if busy || closing_at.is_some() || activity.owes_head() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                closing_at = Some(now + CLOSE_TIME_MAX);
            }
            let look = (now + LOOK_MAX).min(deadline.unwrap_or(now + LOOK_MAX).max(now + MOMENT));
            tokio::select! {
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(client = %self.client, error, "a connection ended early");
                    }
                    // In this task, so that it counts as a connection and a drain waits for it.
                    if let Some(tunnel) = activity.take_tunnel() {
                        tunnel.await;
                    }
                    return;
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

/// The shortest pause between two looks: the grain of the timer.
const MOMENT: Duration = Duration::from_millis(1);

/// A connection over a limit gets a short answer, as far as the system takes it at once, and is closed.
fn admit(shared: &Arc<Shared>, stream: &TcpStream, client: IpAddr) -> Option<Pass> {
    let limits = shared.connection_limits();
    let full = match shared.admission.admit(client, limits.all, limits.by_client) {
        Ok(pass) => {
            // Small responses wait for nothing; without this they would wait for the client's ACK.
            let _ = stream.set_nodelay(true);
            return Some(pass);
        }
        Err(full) => full,
    };
    let status = match full {
        Full::Gateway => "503 Service Unavailable",
        Full::Client => "429 Too Many Requests",
    };
    let answer =
        format!("HTTP/1.1 {status}\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let _ = stream.try_write(answer.as_bytes());
    None
}

async fn pause_after(error: &io::Error, shutdown: &CancellationToken) {
    // A client that left before it was accepted is no reason to pause.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "no connection can be accepted; raise the limit of open files if this goes on");
    shutdown.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
}

fn protocol(idle: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // A second net behind `Activity`, which tells a slow head from an idle connection.
        .header_read_timeout(idle)
        .max_buf_size(HEAD_BUFFER_BYTES_MAX)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(framing::HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .max_send_buf_size(STREAM_SEND_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
