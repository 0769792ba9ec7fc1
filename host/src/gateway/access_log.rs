//! One line for each request, written last, whatever happened to it.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use http::{Method, Uri, Version};
use serde::Serialize;
use tokio::sync::oneshot;

use super::auth::Identity;
use super::listener::client_certificate::ClientCertificate;
use super::reply::Refusal;
use super::routing::Route;
use crate::names::{RequestId, ServiceName, VersionNumber};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::TraceContext;

/// Lines that wait for the disk; beyond them lines are dropped and counted, so that a slow disk delays no
/// request. At 1 KiB a line this is 16 MiB at most.
const QUEUE_LINES: usize = 16 * 1024;

/// How long lines gather before they are written together: to wake the writer for each costs as much as a request
/// to a file.
const GATHER: Duration = Duration::from_millis(5);

/// The longest path in a line.
const PATH_BYTES_MAX: usize = 512;

/// The longest method in a line.
const METHOD_BYTES_MAX: usize = 32;

/// Where the lines go.
#[derive(Debug)]
pub enum AccessLog {
    /// To the host's log, with target `access`.
    Log,
    /// To a file, through a queue and a thread of its own.
    File {
        /// The queue to the writer.
        queue: mpsc::SyncSender<Message>,
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

/// What a line tells of one request; its text is made by who writes it.
#[derive(Debug)]
pub struct Line {
    /// When the response had ended.
    pub time: jiff::Timestamp,
    /// The client.
    pub client: std::net::IpAddr,
    /// Its certificate.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The head of the request; none when nothing of it could be read.
    pub head: Option<Head>,
    /// The status sent.
    pub status: u16,
    /// Bytes of the response body.
    pub bytes: u64,
    /// From the end of the request head to the end of the response.
    pub duration: Duration,
    /// The route.
    pub route: Option<Arc<Route>>,
    /// The service behind it.
    pub service: Option<ServiceName>,
    /// The version that answered.
    pub version: Option<VersionNumber>,
    /// The id of the request.
    pub request: Arc<str>,
    /// Its trace.
    pub trace: TraceContext,
    /// Who asked, as far as the route wanted to know.
    pub identity: Option<Arc<Identity>>,
    /// The name of the refusal, when there was one.
    pub refusal: Option<&'static str>,
    /// Whether the whole response was handed over.
    pub complete: bool,
}

/// What was asked.
#[derive(Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The target as sent.
    pub target: Uri,
    /// The version of HTTP.
    pub version: Version,
}

/// A line as it stands in the file. Times are UTC and milliseconds, sizes bytes.
#[derive(Serialize)]
struct Text<'l> {
    time: jiff::Timestamp,
    client: std::net::IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'l str>,
    method: &'l str,
    path: Cow<'l, str>,
    protocol: &'static str,
    status: u16,
    bytes: u64,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<VersionNumber>,
    request: &'l str,
    trace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'l, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'static str>,
    complete: bool,
}

impl AccessLog {
    /// Opens the file for appending and starts its writer; without a file the lines go to the log.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Log);
        };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (queue, messages) = mpsc::sync_channel(QUEUE_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = dropped.clone();
        let write = move || write_all(file, &messages, &counted);
        std::thread::Builder::new().name("access-log".into()).spawn(write)?;
        Ok(Self::File { queue, dropped })
    }

    /// Whether anybody wants a line.
    pub fn is_wanted(&self) -> bool {
        // A level that nobody listens to costs nothing.
        matches!(self, Self::File { .. }) || tracing::enabled!(target: "access", tracing::Level::INFO)
    }

    /// Writes a line, sooner or later.
    pub fn write(&self, line: Line) {
        match self {
            Self::Log => emit(&line.text()),
            Self::File { queue, dropped } => {
                if queue.try_send(Message::Line(Box::new(line))).is_err() {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Waits until every line so far is in the file.
    pub async fn flush(&self) {
        let Self::File { queue, .. } = self else {
            return;
        };
        let (done, wait) = oneshot::channel();
        let queue = queue.clone();
        // Only here somebody waits for room in the queue, once, when the host stops.
        let sent = tokio::task::spawn_blocking(move || queue.send(Message::Flush(done))).await;
        if matches!(sent, Ok(Ok(()))) {
            // A writer that is gone has nothing left to write.
            let _ = wait.await;
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
        self.metrics.request(None, None, None, &Method::default(), status, Duration::ZERO);
        self.log.write(Line {
            time: jiff::Timestamp::now(),
            client: self.client.to_canonical(),
            certificate: None,
            head: None,
            status,
            bytes: 0,
            duration: Duration::ZERO,
            route: None,
            service: None,
            version: None,
            request: id.as_str().into(),
            trace: TraceContext::new(),
            identity: None,
            refusal: Some(refusal.name()),
            complete: true,
        });
        id
    }
}

impl Line {
    fn text(&self) -> Text<'_> {
        let method = self.head.as_ref().map_or("-", |head| head.method.as_str());
        Text {
            time: self.time,
            client: self.client,
            certificate: self.certificate.as_ref().map(|certificate| certificate.subject.as_str()),
            // A method is a token: one byte a character.
            method: &method[..method.len().min(METHOD_BYTES_MAX)],
            path: self.head.as_ref().map_or_else(|| "-".into(), |head| cut(head.target.path())),
            protocol: self.head.as_ref().map_or("-", |head| protocol(head.version)),
            status: self.status,
            bytes: self.bytes,
            duration_ms: self.duration.as_secs_f64() * 1000.0,
            route: self.route.as_ref().map(|route| &*route.pattern),
            service: self.service.as_ref().map(ServiceName::as_str),
            version: self.version,
            request: &self.request,
            trace: self.trace.trace_text(),
            subject: self.identity.as_ref().map(|identity| cut(&identity.subject)),
            refusal: self.refusal,
            complete: self.complete,
        }
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        _ => "HTTP/2.0",
    }
}

/// The thread that owns the file; ends when the last sender is gone.
fn write_all(mut file: File, messages: &mpsc::Receiver<Message>, dropped: &AtomicU64) {
    let mut text = Vec::new();
    let mut told = Vec::new();
    while let Ok(first) = messages.recv() {
        for message in std::iter::once(first).chain(messages.try_iter().take(QUEUE_LINES)) {
            match message {
                Message::Line(line) => add_line(&mut text, &line),
                Message::Flush(done) => told.push(done),
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            text.extend_from_slice(format!("{{\"dropped\":{lost}}}\n").as_bytes());
        }
        if let Err(error) = file.write_all(&text) {
            tracing::warn!(%error, "lines of the access log are lost; check the disk");
        }
        text.clear();
        let is_awaited = !told.is_empty();
        for done in told.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
        if !is_awaited {
            std::thread::sleep(GATHER);
        }
    }
}

fn add_line(text: &mut Vec<u8>, line: &Line) {
    // Writing to memory fails only for values that are no JSON, which none of these is.
    if serde_json::to_writer(&mut *text, &line.text()).is_ok() {
        text.push(b'\n');
    }
}

fn emit(line: &Text<'_>) {
    tracing::info!(
        target: "access",
        client = %line.client,
        certificate = line.certificate,
        method = line.method,
        path = &*line.path,
        protocol = line.protocol,
        status = line.status,
        bytes = line.bytes,
        duration_ms = line.duration_ms,
        route = line.route,
        service = line.service,
        version = line.version.map(|version| version.0),
        request = line.request,
        trace = line.trace,
        subject = line.subject.as_deref(),
        refusal = line.refusal,
        complete = line.complete,
        "request"
    );
}

/// What a client sent, escaped and bounded. Of its target only the path, since a query may hold secrets.
fn cut(text: &str) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(PATH_BYTES_MAX)];
    // As most are: to escape one character by one takes longer than to write the rest of the line.
    let is_plain =
        text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\'));
    if is_plain { text.into() } else { text.escape_default().to_string().into() }
}
