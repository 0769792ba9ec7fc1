//! One line for each request, written last, whatever happened to it.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Task, Poll};

use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use serde::Serialize;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::sync::{mpsc, oneshot};

use super::context::Context;
use super::forward;
use super::forward::upgrade::Tunnel;
use super::limits::BodyFate;
use super::listener::connection::Busy;
use super::reply::Refusal;
use crate::body::{Body, BodyError, Response};
use crate::names::{RequestId, ServiceName, VersionNumber};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::TraceContext;

/// Lines that wait for the disk; beyond them lines are dropped and counted, so that a slow disk delays no
/// request. At 1 KiB a line this is 4 MiB at most.
const QUEUE_LINES: usize = 4096;

/// The longest path in a line.
const PATH_BYTES_MAX: usize = 512;

/// The status of a request whose client left before the response began; no client sees it.
const CLIENT_LEFT: u16 = 499;

/// Where the lines go.
#[derive(Debug)]
pub enum AccessLog {
    /// To the host's log, with target `access`.
    Log,
    /// To a file, through a queue and a task of its own.
    File {
        /// The queue to the writer.
        queue: mpsc::Sender<Message>,
        /// Lines dropped since the last one that was written.
        dropped: Arc<AtomicU64>,
    },
}

/// What the writer is told.
#[derive(Debug)]
pub enum Message {
    /// Write a line.
    Line(Box<Line>),
    /// Tell when everything before is in the file.
    Flush(oneshot::Sender<()>),
}

/// One line. Times are UTC and milliseconds, sizes bytes.
#[derive(Debug, Serialize)]
pub struct Line {
    time: jiff::Timestamp,
    client: std::net::IpAddr,
    /// The subject of the client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    method: String,
    path: String,
    protocol: String,
    status: u16,
    bytes: u64,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<ServiceName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<VersionNumber>,
    request: Arc<str>,
    trace: String,
    /// Who asked, as far as the route wanted to know; bounded as a path is.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'static str>,
    /// Whether the whole response was handed over.
    complete: bool,
}

impl AccessLog {
    /// Opens the file for appending and starts its writer; without a file the lines go to the log.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub async fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Log);
        };
        let file = OpenOptions::new().create(true).append(true).open(path).await?;
        let (queue, messages) = mpsc::channel(QUEUE_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        tokio::spawn(write_all(file, messages, dropped.clone()));
        Ok(Self::File { queue, dropped })
    }

    /// Waits until every line so far is in the file.
    pub async fn flush(&self) {
        let Self::File { queue, .. } = self else {
            return;
        };
        let (done, wait) = oneshot::channel();
        if queue.send(Message::Flush(done)).await.is_ok() {
            // A writer that is gone has nothing left to write.
            let _ = wait.await;
        }
    }

    fn write(&self, line: Line) {
        match self {
            Self::Log => emit(&line),
            Self::File { queue, dropped } => {
                if queue.try_send(Message::Line(Box::new(line))).is_err() {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Writes down request heads that were refused before anything could be read of them.
#[derive(Debug)]
pub struct RefusedHeads {
    client: std::net::IpAddr,
    log: Arc<AccessLog>,
    metrics: Arc<Metrics>,
}

impl RefusedHeads {
    /// Those of one connection.
    pub fn new(client: std::net::IpAddr, log: &Arc<AccessLog>, metrics: &Arc<Metrics>) -> Self {
        Self { client, log: log.clone(), metrics: metrics.clone() }
    }

    /// Writes one down; answers the id under which its client can ask.
    pub fn note(&self, refusal: &Refusal) -> RequestId {
        let (id, status) = (RequestId::new(), refusal.status().as_u16());
        let unread = "-".to_owned();
        self.metrics.request(None, None, "", &Method::default(), status, std::time::Duration::ZERO);
        self.log.write(Line {
            time: jiff::Timestamp::now(),
            client: self.client.to_canonical(),
            certificate: None,
            method: unread.clone(),
            path: unread.clone(),
            protocol: unread,
            status,
            bytes: 0,
            duration_ms: 0.0,
            route: None,
            service: None,
            version: None,
            request: id.as_str().into(),
            trace: TraceContext::new().trace_text(),
            subject: None,
            refusal: Some(refusal.name()),
            complete: true,
        });
        id
    }
}

/// The account of one request. Dropping it writes the line and counts the request, so that none is missed,
/// also when the client leaves and everything else is dropped.
pub struct Account {
    /// What the phases learnt.
    pub context: Context,
    /// The status sent; none until the response begins.
    status: Option<StatusCode>,
    log: Arc<AccessLog>,
    metrics: Arc<Metrics>,
    bytes: u64,
    complete: bool,
    busy: Busy,
}

impl Account {
    /// Opens the account of a request.
    pub fn open(context: Context, log: Arc<AccessLog>, metrics: Arc<Metrics>, busy: Busy) -> Self {
        Self { context, status: None, log, metrics, bytes: 0, complete: false, busy }
    }

    /// The connection goes on as a tunnel when the response is out.
    pub fn switch_protocols(&self, tunnel: Tunnel) {
        self.busy.switch_protocols(tunnel);
    }

    /// Requests in flight in the whole gateway, with this one.
    pub fn in_flight(&self) -> usize {
        self.busy.in_flight()
    }

    fn line(&self, status: u16, duration: std::time::Duration) -> Line {
        let context = &self.context;
        let route = context.route.as_ref();
        Line {
            time: jiff::Timestamp::now(),
            client: context.client.to_canonical(),
            certificate: context.certificate.as_ref().map(|certificate| certificate.subject.clone()),
            method: context.method.as_str().chars().take(32).collect(),
            path: cut(context.target.path()),
            protocol: format!("{:?}", context.version),
            status,
            bytes: self.bytes,
            duration_ms: duration.as_secs_f64() * 1000.0,
            route: route.map(|route| route.pattern.clone()),
            service: forward::service_of(context).cloned(),
            version: context.service_version,
            request: context.request_id.clone(),
            trace: context.trace.trace_text(),
            subject: context.identity.as_ref().map(|identity| cut(&identity.subject)),
            refusal: context.refusal,
            complete: self.complete,
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let duration = self.context.started.elapsed();
        let status = self.status.map_or(CLIENT_LEFT, |status| status.as_u16());
        let route = self.context.route.as_ref();
        let pattern = route.map_or("", |route| route.pattern.as_str());
        let service = forward::service_of(&self.context);
        let version = self.context.service_version;
        self.metrics.request(service, version, pattern, &self.context.method, status, duration);
        // A level that nobody listens to costs nothing.
        if matches!(*self.log, AccessLog::File { .. })
            || tracing::enabled!(target: "access", tracing::Level::INFO)
        {
            self.log.write(self.line(status, duration));
        }
    }
}

/// A response body that keeps its request's account to the end.
pub struct AccountedBody {
    body: Body,
    account: Account,
    /// The length, where it is known: the last byte is then the end, and nobody asks for more.
    expected: Option<u64>,
    /// How the request body fares: a response to a broken request must not look whole.
    fate: Option<Arc<BodyFate>>,
}

impl AccountedBody {
    /// Follows the body of a response to its end.
    pub fn follow(
        response: Response,
        mut account: Account,
        fate: Option<Arc<BodyFate>>,
    ) -> http::Response<Self> {
        account.status = Some(response.status());
        // A client that never opens its window is not asked for: the head waits for it already.
        account.busy.handed_over();
        let announced = response.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let expected = response.body().size_hint().exact().or(announced);
        account.complete = response.body().is_end_stream();
        response.map(|body| Self { body, account, expected, fate })
    }
}

impl http_body::Body for AccountedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.account.busy.asked();
        let polled = Pin::new(&mut this.body).poll_frame(task);
        if polled.is_ready() && this.fate.as_ref().is_some_and(|fate| fate.refusal().is_some()) {
            let error = BodyError::Broken("the request body did not come whole".into());
            return Poll::Ready(Some(Err(error)));
        }
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.account.busy.handed_over();
                let length = frame.data_ref().map_or(0, Bytes::len);
                this.account.bytes += u64::try_from(length).unwrap_or(u64::MAX);
                let has_all = this.expected.is_some_and(|expected| this.account.bytes >= expected);
                this.account.complete = has_all || this.body.is_end_stream();
            }
            Poll::Ready(Some(Err(_))) => this.account.complete = false,
            Poll::Ready(None) => this.account.complete = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The task that owns the file; ends when the last sender is gone.
async fn write_all(file: File, mut messages: mpsc::Receiver<Message>, dropped: Arc<AtomicU64>) {
    let mut file = BufWriter::new(file);
    while let Some(message) = messages.recv().await {
        let result = match message {
            Message::Line(line) => write_line(&mut file, &line, dropped.swap(0, Ordering::Relaxed)).await,
            Message::Flush(done) => {
                let result = file.flush().await;
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
                result
            }
        };
        let result = if messages.is_empty() && result.is_ok() { file.flush().await } else { result };
        if let Err(error) = result {
            tracing::warn!(%error, "a line of the access log is lost; check the disk");
        }
    }
}

async fn write_line(file: &mut BufWriter<File>, line: &Line, dropped: u64) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    if dropped > 0 {
        text.extend_from_slice(format!("{{\"dropped\":{dropped}}}\n").as_bytes());
    }
    file.write_all(&text).await
}

fn emit(line: &Line) {
    tracing::info!(
        target: "access",
        client = %line.client,
        certificate = line.certificate,
        method = %line.method,
        path = %line.path,
        protocol = %line.protocol,
        status = line.status,
        bytes = line.bytes,
        duration_ms = line.duration_ms,
        route = line.route,
        service = line.service.as_ref().map(ServiceName::as_str),
        version = line.version.map(|version| version.0),
        request = %line.request,
        trace = %line.trace,
        subject = line.subject,
        refusal = line.refusal,
        complete = line.complete,
        "request"
    );
}

/// What a client sent, escaped and bounded. Of its target only the path, since a query may hold secrets.
fn cut(text: &str) -> String {
    let mut end = text.len().min(PATH_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].escape_default().to_string()
}
