//! One line for each request, written last, whatever happened to it: by `writer`, where it goes to a file.

mod writer;

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Uri, Version};
use serde::Serialize;

use self::writer::Writer;
use super::Shared;
use super::auth::Identity;
use super::reply::Refusal;
use crate::names::{RequestId, VersionNumber};
use crate::telemetry::requests::{Kind, known_method};
use crate::telemetry::trace::{TraceContext, TraceText};

/// Most lines are shorter, so that their text is made in one piece of memory.
const LINE_BYTES: usize = 512;

/// The longest path in a line.
const PATH_BYTES_MAX: usize = 512;

/// The longest method in a line.
const METHOD_BYTES_MAX: usize = 32;

/// Where the lines go.
#[derive(Debug)]
pub enum AccessLog {
    /// To the host's log, with target `access`.
    Log,
    /// To a file.
    File(Writer),
}

/// A line as it stands in the file. Times are UTC and milliseconds, sizes bytes.
#[derive(Debug, Serialize)]
pub struct Line<'l> {
    /// When the response had ended.
    pub time: jiff::Timestamp,
    /// The client.
    pub client: IpAddr,
    /// The subject of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<&'l str>,
    /// The method; `-` where nothing of the head could be read, as for the next two.
    pub method: &'l str,
    /// The path, without the query, which may hold secrets.
    pub path: Cow<'l, str>,
    /// The version of HTTP.
    pub protocol: &'static str,
    /// The status sent.
    pub status: u16,
    /// Of the response body.
    pub bytes: u64,
    /// From the end of the request head to the end of the response.
    pub duration_ms: f64,
    /// The pattern of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'l str>,
    /// The service behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<&'l str>,
    /// The version that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionNumber>,
    /// The id of the request.
    pub request: &'l str,
    /// Its trace.
    pub trace: TraceText,
    /// Who asked, as far as the route wanted to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Cow<'l, str>>,
    /// The name of the refusal, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<&'static str>,
    /// Whether the whole response was handed over.
    pub complete: bool,
}

impl AccessLog {
    /// Opens the file for appending and starts its writer; without a file the lines go to the log.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Log);
        };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::File(Writer::start(file)?))
    }

    /// Whether anybody wants a line.
    pub fn is_wanted(&self) -> bool {
        // A level that nobody listens to costs nothing.
        matches!(self, Self::File(_)) || tracing::enabled!(target: "access", tracing::Level::INFO)
    }

    /// Writes a line, sooner or later. Its text is made here: another thread would have to free all that it is made of.
    pub fn write(&self, line: &Line<'_>) {
        match self {
            Self::Log => emit(line),
            Self::File(writer) => {
                let mut text = Vec::with_capacity(LINE_BYTES);
                // Writing to memory fails only for values that are no JSON, which none of these is.
                if serde_json::to_writer(&mut text, line).is_ok() {
                    text.push(b'\n');
                    writer.write(&text);
                }
            }
        }
    }

    /// Waits until every line so far is in the file.
    pub async fn flush(&self) {
        if let Self::File(writer) = self {
            writer.flush().await;
        }
    }
}

/// Writes down request heads that were refused before anything could be read of them.
pub struct RefusedHeads {
    client: IpAddr,
    shared: Arc<Shared>,
}

impl RefusedHeads {
    /// Those of one connection.
    pub fn new(client: IpAddr, shared: &Arc<Shared>) -> Self {
        Self { client, shared: shared.clone() }
    }

    /// Writes one down; answers the id under which its client can ask.
    pub fn note(&self, refusal: &Refusal) -> RequestId {
        let (id, status) = (RequestId::new(), refusal.status().as_u16());
        let kind = Kind { service: None, version: None, method: known_method(&Method::default()), status };
        self.shared.metrics.requests(kind, None).count(Duration::ZERO);
        self.shared.access_log.write(&Line {
            time: jiff::Timestamp::now(),
            client: self.client.to_canonical(),
            certificate: None,
            method: "-",
            path: "-".into(),
            protocol: "-",
            status,
            bytes: 0,
            duration_ms: 0.0,
            route: None,
            service: None,
            version: None,
            request: id.as_str(),
            trace: TraceContext::new().trace_text(),
            subject: None,
            refusal: Some(refusal.name()),
            complete: true,
        });
        id
    }
}

/// A method as a line has it.
pub fn method_text(method: &Method) -> &str {
    // A method is a token: one byte a character.
    &method.as_str()[..method.as_str().len().min(METHOD_BYTES_MAX)]
}

/// The path of a target as a line has it.
pub fn path_text(target: &Uri) -> Cow<'_, str> {
    cut(target.path())
}

/// A version of HTTP as a line has it.
pub fn protocol_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        _ => "HTTP/2.0",
    }
}

/// Who asks as a line has it.
pub fn subject_text(identity: &Identity) -> Cow<'_, str> {
    cut(&identity.subject)
}

fn emit(line: &Line<'_>) {
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
        trace = line.trace.as_str(),
        subject = line.subject.as_deref(),
        refusal = line.refusal,
        complete = line.complete,
        "request"
    );
}

/// What a client sent, escaped and bounded.
fn cut(text: &str) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(PATH_BYTES_MAX)];
    // As most are: to escape one character by one takes longer than to write the rest of the line.
    let is_plain =
        text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\'));
    if is_plain { text.into() } else { text.escape_default().to_string().into() }
}
