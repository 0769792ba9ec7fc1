//! An external service of the test's own: it tells what it was sent, and behaves as it is told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Where it answers health checks, which are not counted.
pub const HEALTH: &str = "/healthz";

/// Requests that it takes on one connection of HTTP/2: no server should take fewer (RFC 9113, 6.5.2).
pub const STREAMS_MAX: u32 = 100;

/// The parts of a long body, and the bytes of each: more than all buffers on the way.
const PARTS: usize = 1024;
static PART: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It tells what it was sent.
    Well,
    /// It answers with a status.
    Status(u16),
    /// It answers nothing until its mood changes.
    Silent,
    /// It closes the connection without an answer.
    Breaking,
    /// The same, but that it answers health checks.
    Hollow,
}

/// A server that tells, as JSON, what it was sent.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    mood: watch::Sender<Mood>,
    asked: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
    tls: Option<TlsAcceptor>,
    server: Option<JoinHandle<()>>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl Upstream {
    /// One that is well and listens on any port, in clear text.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same through TLS, when there is an acceptor.
    pub async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, _) = watch::channel(Mood::Well);
        let mut upstream =
            Self { address, mood, asked: Arc::default(), taken: Arc::default(), tls, server: None };
        upstream.serve(listener);
        upstream
    }

    /// Its URL in clear text.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes how it behaves.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How many requests have come.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// How many parts of long bodies were taken from it.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Stops it; all its connections are dropped.
    pub async fn kill(&mut self) {
        let server = self.server.take().unwrap();
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
    }

    /// Lets it listen again where it did.
    pub async fn revive(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let tls = self.tls.clone();
        let (asked, taken) = (self.asked.clone(), self.taken.clone());
        let served = Served { address: self.address, mood: self.mood.subscribe(), asked, taken };
        self.server = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (served, tls) = (served.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => converse(stream, served).await,
                        // A client that does not trust the certificate hangs up.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, served).await;
                            }
                        }
                    }
                });
            }
        }));
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

/// What its requests need to know.
#[derive(Clone)]
struct Served {
    address: SocketAddr,
    mood: watch::Receiver<Mood>,
    asked: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, served: Served) {
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let served = served.clone();
        async move {
            if request.uri().path() != HEALTH {
                served.asked.fetch_add(1, Ordering::Relaxed);
            }
            answer(request, served).await
        }
    });
    // The gateway may close a connection at any time.
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http2().max_concurrent_streams(STREAMS_MAX);
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: http::Request<Incoming>,
    Served { address, mut mood, taken, .. }: Served,
) -> Result<http::Response<Body>, std::io::Error> {
    let now = *mood.borrow();
    match now {
        Mood::Well => {}
        Mood::Status(status) => {
            let mut response = http::Response::new(full(String::new()));
            *response.status_mut() = status.try_into().unwrap();
            return Ok(response);
        }
        Mood::Hollow if request.uri().path() == HEALTH => {}
        Mood::Breaking | Mood::Hollow => return Err(std::io::Error::other("as it was told to")),
        Mood::Silent => drop(mood.wait_for(|mood| *mood != Mood::Silent).await),
    }
    if request.uri().path().ends_with("/events") {
        return Ok(events(mood));
    }
    if request.uri().path().ends_with("/long") {
        return Ok(long(taken));
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let headers: BTreeMap<&str, &str> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let told = json!({
        "address": address.to_string(),
        "version": format!("{:?}", head.version),
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    Ok(http::Response::new(full(told.to_string())))
}

/// One event at once, and another one when the mood has changed.
fn events(mut mood: watch::Receiver<Mood>) -> http::Response<Body> {
    mood.mark_unchanged();
    let events = futures::stream::unfold((0, mood), |(count, mut mood)| async move {
        match count {
            0 => {}
            1 => drop(mood.changed().await),
            _ => return None,
        }
        let event = Bytes::from(format!("data: {count}\n\n"));
        Some((Ok::<_, Infallible>(Frame::data(event)), (count + 1, mood)))
    });
    let response = http::Response::builder().header("content-type", "text/event-stream");
    response.body(StreamBody::new(events).boxed_unsync()).unwrap()
}

/// A body of many megabytes, whose parts are counted as they are taken.
fn long(taken: Arc<AtomicUsize>) -> http::Response<Body> {
    let parts = futures::stream::iter(0..PARTS).map(move |_| {
        taken.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(&PART)))
    });
    http::Response::new(StreamBody::new(parts).boxed_unsync())
}

fn full(text: String) -> Body {
    Full::new(Bytes::from(text)).boxed_unsync()
}
