//! Another protocol in place of HTTP, such as WebSocket (RFC 9110, 7.8; RFC 6455): a tunnel between a client and an
//! external service.
//!
//! Components have no streams beside a request, so they cannot switch: a WebSocket is refused there, since its client
//! cannot go on without; any other wish is passed over, as HTTP allows. `h2c`, other versions of HTTP and TLS are
//! never passed on: they belong to the connection, and what follows would reach a service unchecked.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use http::{HeaderMap, HeaderValue, Version, header};
use http_body::Body as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::{Instant, sleep_until, timeout};

use crate::balance::stream::Upgraded;
use crate::body::{Request, Response};
use crate::gateway::reply::Refusal;

/// What goes on over a connection when HTTP has ended; to be run by the task of the connection.
pub type Tunnel = BoxFuture<'static, ()>;

/// Protocols that a gateway must not pass on.
const OWN_PROTOCOLS: [&str; 3] = ["h2", "http", "tls"];

/// What a client asks for.
pub struct Asked {
    protocol: HeaderValue,
    client: OnUpgrade,
}

/// The protocol that a request asks for, if it is one that can be passed on. Only HTTP/1.1 can switch, and only behind
/// a request without a body can it be told where the other protocol begins.
pub fn asked(request: &mut Request) -> Option<Asked> {
    let headers = request.headers();
    let protocol = headers.get(header::UPGRADE)?.clone();
    let is_one = headers.get_all(header::UPGRADE).iter().count() == 1;
    let name = protocol.to_str().ok()?.to_ascii_lowercase();
    let is_own = name.split(',').any(|name| OWN_PROTOCOLS.iter().any(|own| name.trim().starts_with(own)));
    let is_possible = request.version() == Version::HTTP_11 && request.body().is_end_stream();
    if !is_one || is_own || !is_possible || !names_upgrade(headers) {
        return None;
    }
    let client = hyper::upgrade::on(request);
    Some(Asked { protocol, client })
}

/// Adds what tells the next hop of the switch.
pub fn announce(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

impl Asked {
    /// Passes the wish on to a service that can switch; none when it is passed over.
    pub fn pass_on(self, is_taken: bool, headers: &mut HeaderMap) -> Result<Option<Self>, Refusal> {
        if is_taken {
            announce(headers, self.protocol.clone());
            return Ok(Some(self));
        }
        match self.protocol.as_bytes().eq_ignore_ascii_case(b"websocket") {
            true => Err(Refusal::NoUpgrade),
            false => Ok(None),
        }
    }

    /// The protocol that the service has chosen.
    pub fn agreed(&self, response: &Response) -> HeaderValue {
        response.headers().get(header::UPGRADE).unwrap_or(&self.protocol).clone()
    }

    /// The tunnel between the client and the service.
    pub fn tunnel(self, upgraded: Upgraded) -> Tunnel {
        async move {
            let Upgraded { connection, idle, held } = upgraded;
            let switched = futures::future::try_join(self.client, connection);
            match timeout(idle, switched).await {
                Ok(Ok((client, service))) => join(TokioIo::new(client), TokioIo::new(service), idle).await,
                Ok(Err(error)) => tracing::debug!(%error, "a connection did not switch protocols"),
                Err(_) => tracing::debug!(?idle, "a connection did not switch protocols in time"),
            }
            drop(held);
        }
        .boxed()
    }
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case("upgrade"))
}

/// Copies bytes both ways until both sides have ended, one breaks off, or none comes for `idle`.
async fn join(
    client: impl AsyncRead + AsyncWrite + Unpin,
    service: impl AsyncRead + AsyncWrite + Unpin,
    idle: Duration,
) {
    let moved = Arc::new(Moved { opened: Instant::now(), last_ms: AtomicU64::new(0) });
    let mut client = Watched { stream: client, moved: moved.clone() };
    let mut service = Watched { stream: service, moved: moved.clone() };
    tokio::select! {
        ended = copy_bidirectional(&mut client, &mut service) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a tunnel broke off");
            }
        }
        () = moved.rest(idle) => tracing::debug!(?idle, "a tunnel without a byte was closed"),
    }
}

/// When a byte last came from one of the sides.
struct Moved {
    opened: Instant,
    last_ms: AtomicU64,
}

impl Moved {
    fn note(&self) {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now, Ordering::Relaxed);
    }

    /// Waits until no byte has come for so long.
    async fn rest(&self, idle: Duration) {
        loop {
            let until = self.opened + Duration::from_millis(self.last_ms.load(Ordering::Relaxed)) + idle;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// A side of a tunnel, whose bytes are noted as they come.
struct Watched<S> {
    stream: S,
    moved: Arc<Moved>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() {
            self.moved.note();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::balance::address::Address;
    use crate::balance::queue::Queue;
    use crate::balance::stream::Held;
    use crate::body::{empty, full};
    use crate::config;

    fn asks(fields: &[(&str, &str)], version: Version, body: crate::body::Body) -> bool {
        let mut request = http::Request::builder().uri("/").version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        asked(&mut request.body(body).unwrap()).is_some()
    }

    #[test]
    fn only_another_protocol_behind_a_whole_request_is_passed_on() {
        let http1 = Version::HTTP_11;
        let websocket = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        assert!(asks(&websocket, http1, empty()));
        assert!(!asks(&websocket, Version::HTTP_10, empty()));
        assert!(!asks(&websocket, Version::HTTP_2, empty()));
        assert!(!asks(&websocket, http1, full("a body")));
        assert!(!asks(&[("upgrade", "websocket")], http1, empty()));
        for own in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.0"] {
            assert!(!asks(&[("connection", "upgrade"), ("upgrade", own)], http1, empty()), "{own}");
        }
        let two = [("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "h2c")];
        assert!(!asks(&two, http1, empty()));
    }

    /// A switch that a connection may still make, as long as the second is kept.
    async fn promised() -> (OnUpgrade, impl Sized) {
        let (mut client, server) = tokio::io::duplex(1024);
        let (promise, mut promises) = tokio::sync::mpsc::channel(1);
        let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            promise.try_send(hyper::upgrade::on(&mut request)).unwrap();
            std::future::pending::<io::Result<Response>>()
        });
        let server =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
        let mut server = Box::pin(server.with_upgrades());
        let head = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        client.write_all(head).await.unwrap();
        tokio::select! {
            _ = server.as_mut() => panic!("it waits for its service"),
            promise = promises.recv() => (promise.unwrap(), (client, server)),
        }
    }

    #[tokio::test]
    async fn a_switch_that_does_not_come_gives_its_place_back() {
        for (idle, is_kept) in [(Duration::from_millis(10), true), (Duration::from_secs(3600), false)] {
            let queue = Queue::new(1, 1);
            let place = queue.enter(Instant::now()).await.unwrap();
            let uri = http::Uri::from_static("http://127.0.0.1:1");
            let address = Address::new(&config::Address { uri, weight: 1 }, 1);
            let ((client, _client), (connection, service)) = (promised().await, promised().await);
            let held = Held::new(place, address.begin());
            let asked = Asked { protocol: HeaderValue::from_static("websocket"), client };
            let tunnel = asked.tunnel(Upgraded { connection, idle, held });
            let _kept = Some(service).filter(|_| is_kept);
            tokio::time::timeout(Duration::from_secs(20), tunnel).await.unwrap();
            assert!(queue.enter(Instant::now()).await.is_some(), "kept: {is_kept}");
        }
    }

    #[tokio::test]
    async fn a_tunnel_without_a_byte_ends() {
        let ((client, _client), (service, _service)) = (tokio::io::duplex(64), tokio::io::duplex(64));
        let ended = join(client, service, Duration::from_millis(10));
        tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    }
}
