//! One connection below HTTP: whether it is busy, how long it may wait, how it closes.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::answer::Answer;
use super::patience::Untaken;
use crate::coarse_time::CoarseTime;
use crate::gateway::Shared;
use crate::gateway::forward::upgrade::Tunnel;

/// How long a closing connection listens on, so that the client reads the last response before what it
/// still sends makes the system reset the connection (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Bytes that are read and thrown away meanwhile.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// How long clients may wait or make wait.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From the first byte of a request head, or the start of the connection, to the end of the head.
    pub header: Duration,
    /// From the end of a request to the start of the next.
    pub idle: Duration,
    /// Without taking a byte of a response.
    pub write: Duration,
}

/// What a connection is doing, told by its stream and its requests, asked by its task.
pub struct Activity {
    /// The gateway that it is a connection of.
    shared: Arc<Shared>,
    /// Since when the client is waited for.
    since: CoarseTime,
    requests: AtomicUsize,
    /// Whether a request head has begun and not ended. HTTP/2 has other frames between requests, so it
    /// counts for HTTP/1 and the first request only.
    head_begun: AtomicBool,
    http2: AtomicBool,
    /// Whether the client still sends the body of its request.
    uploads: AtomicBool,
    /// Whether HTTP has ended and another protocol goes on.
    switched: AtomicBool,
    /// What goes on over the connection when HTTP has ended.
    tunnel: Mutex<Option<Tunnel>>,
}

impl Activity {
    /// A connection that has just been opened and owes its first request.
    pub fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            shared,
            since: CoarseTime::now(),
            requests: AtomicUsize::new(0),
            head_begun: AtomicBool::new(true),
            http2: AtomicBool::new(false),
            uploads: AtomicBool::new(false),
            switched: AtomicBool::new(false),
            tunnel: Mutex::default(),
        })
    }

    /// When the connection is to be closed if nothing happens; never while requests are in flight, which have
    /// their own limits.
    pub fn deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        if self.is_busy() {
            return None;
        }
        let wait = if self.head_begun.load(Ordering::Acquire) { timeouts.header } else { timeouts.idle };
        Some(self.since.instant() + wait)
    }

    /// Whether a request head has begun and not ended.
    pub fn owes_head(&self) -> bool {
        self.head_begun.load(Ordering::Acquire)
    }

    /// Whether a request is in flight.
    pub fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Acquire) > 0
    }

    /// Whether the client of HTTP/1 has said all that it asks, and its answer is due or on its way: who leaves before it
    /// has said all gets an answer about that.
    pub fn awaits_answer(&self) -> bool {
        let has_asked = self.is_busy() && !self.uploads.load(Ordering::Acquire);
        has_asked && !self.http2.load(Ordering::Acquire) && !self.has_switched()
    }

    /// Whether HTTP has ended and another protocol goes on, whose bytes follow other rules.
    pub fn has_switched(&self) -> bool {
        self.switched.load(Ordering::Acquire)
    }

    /// What goes on over the connection when HTTP has ended, to be run by its task.
    pub fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn wait_from_now(&self, head_begun: bool) {
        self.since.touch();
        self.head_begun.store(head_begun, Ordering::Release);
    }

    fn bytes_came(&self) {
        if !self.is_busy() && !self.owes_head() && !self.http2.load(Ordering::Acquire) {
            self.wait_from_now(true);
        }
    }
}

/// The body of a request, on its way.
pub struct Upload(Arc<Activity>);

impl Upload {
    /// All of it has come.
    pub fn end(&self) {
        self.0.uploads.store(false, Ordering::Release);
    }
}

/// A request in flight; dropping it ends it for its connection and for the gateway.
pub struct Busy {
    activity: Arc<Activity>,
    /// None in HTTP/1.1, where the connection itself shows it.
    untaken: Option<Arc<Untaken>>,
}

impl Busy {
    /// A request has begun, whose body the client still sends or not.
    pub fn begin(activity: &Arc<Activity>, version: http::Version, uploads: bool) -> Self {
        activity.requests.fetch_add(1, Ordering::AcqRel);
        activity.head_begun.store(false, Ordering::Release);
        activity.http2.store(version == http::Version::HTTP_2, Ordering::Release);
        activity.uploads.store(uploads, Ordering::Release);
        activity.shared.in_flight.fetch_add(1, Ordering::AcqRel);
        Self { activity: activity.clone(), untaken: None }
    }

    /// From within the task of its stream, which the library starts after the request has begun.
    pub fn in_its_task(mut self) -> Self {
        self.untaken = Untaken::of_this_stream();
        self
    }

    /// A part of the response was handed over; it waits for the client until more is asked for.
    pub fn handed_over(&self) {
        self.untaken.as_ref().inspect(|untaken| untaken.handed_over());
    }

    /// More of the response is asked for, so the client has taken what was handed over.
    pub fn asked(&self) {
        self.untaken.as_ref().inspect(|untaken| untaken.taken());
    }

    /// The body of the request.
    pub fn upload(&self) -> Upload {
        Upload(self.activity.clone())
    }

    /// The response to this request is the last of HTTP on its connection: the tunnel goes on.
    pub fn switch_protocols(&self, tunnel: Tunnel) {
        self.activity.switched.store(true, Ordering::Release);
        *self.activity.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }

    /// Requests in flight in the whole gateway, with this one.
    pub fn in_flight(&self) -> usize {
        self.shared().in_flight.load(Ordering::Acquire)
    }

    /// The gateway.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.activity.shared
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // The wait begins before the count falls, or the old one would be seen to have run out.
        self.activity.wait_from_now(false);
        self.activity.requests.fetch_sub(1, Ordering::AcqRel);
        self.activity.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A stream, encrypted or not, that tells its activity, gives up on clients that take nothing, and closes
/// gently.
pub struct Connection<S> {
    stream: S,
    activity: Arc<Activity>,
    write_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    answer: Answer,
    read_ended: bool,
    lingering: Option<Lingering>,
}

struct Lingering {
    timer: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Wraps an accepted stream.
    pub fn new(stream: S, activity: Arc<Activity>, write_timeout: Duration) -> Self {
        Self {
            stream,
            activity,
            write_timeout,
            stalled: None,
            answer: Answer::default(),
            read_ended: false,
            lingering: None,
        }
    }

    /// Passes the outcome of a write on, or the end of patience.
    fn patience<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = self.write_timeout;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no byte")))
    }

    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let lingering =
            self.lingering.get_or_insert_with(|| Lingering { timer: Box::pin(sleep(LINGER)), bytes: 0 });
        let mut bytes = [0; 4096];
        while lingering.bytes < LINGER_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    lingering.bytes += buffer.filled().len()
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return lingering.timer.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            this.activity.bytes_came();
            this.answer.owe();
        } else if buffer.remaining() > 0 {
            if !this.answer.meet_end() {
                return Poll::Pending;
            }
            this.read_ended = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.answer.poll_send(context));
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.patience(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.answer.poll_send(context));
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.patience(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // TLS takes bytes into a buffer of its own; only here it shows that the client takes none of them.
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.patience(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        if !this.read_ended {
            ready!(this.poll_linger(context));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::config;
    use crate::gateway::access_log::AccessLog;
    use crate::gateway::listener::answer::be_at_work;
    use crate::gateway::listener::entry::Entry;

    fn activity() -> Arc<Activity> {
        let listeners = "[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
        let text = format!("{listeners}[services.legacy]\nupstreams = [\"http://127.0.0.1:1\"]\n");
        let config = config::parse(&text, Path::new("gateway.toml")).unwrap();
        Activity::new(Arc::new(Shared {
            pipeline: Default::default(),
            entry: Arc::new(Entry::new(&config.gateway).unwrap()).into(),
            admission: Arc::default(),
            in_flight: AtomicUsize::default(),
            access_log: AccessLog::Log,
            metrics: Arc::default(),
        }))
    }

    #[test]
    fn a_client_waits_for_its_answer_once_it_has_said_all() {
        let activity = activity();
        assert!(!activity.awaits_answer());
        let busy = Busy::begin(&activity, http::Version::HTTP_11, true);
        assert!(!activity.awaits_answer());
        busy.upload().end();
        assert!(activity.awaits_answer());
        drop(busy);
        assert!(!activity.awaits_answer());
        let _busy = Busy::begin(&activity, http::Version::HTTP_2, false);
        assert!(!activity.awaits_answer(), "it may say more at any time");
    }

    #[tokio::test]
    async fn only_the_begin_of_an_answer_waits_for_a_turn() {
        let (mut client, stream) = duplex(64);
        let mut connection = Connection::new(stream, activity(), Duration::from_secs(60));
        let mut context = Context::from_waker(Waker::noop());
        let mut is_written = |connection: &mut Connection<_>| {
            Pin::new(connection).poll_write(&mut context, b"bytes").is_ready()
        };
        assert!(is_written(&mut connection), "nothing was asked");
        client.write_all(b"asked").await.unwrap();
        connection.read_exact(&mut [0; 5]).await.unwrap();
        be_at_work();
        assert!(!is_written(&mut connection));
        assert!(is_written(&mut connection) && is_written(&mut connection));
    }

    #[tokio::test]
    async fn the_end_of_a_client_is_seen_behind_the_answer() {
        let (mut client, stream) = duplex(64);
        let mut connection = Connection::new(stream, activity(), Duration::from_secs(60));
        client.write_all(b"asked").await.unwrap();
        connection.read_exact(&mut [0; 5]).await.unwrap();
        client.shutdown().await.unwrap();
        be_at_work();
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut connection).poll_write(&mut context, b"bytes").is_pending());
        let mut place = [0; 5];
        let end = Pin::new(&mut connection).poll_read(&mut context, &mut ReadBuf::new(&mut place));
        assert!(end.is_pending());
        connection.write_all(b"bytes").await.unwrap();
        assert_eq!(connection.read(&mut place).await.unwrap(), 0);
    }
}
