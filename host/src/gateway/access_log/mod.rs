//! One `line` for each request, written last, whatever happened to it: by `writer`, where it goes to a file.

pub mod line;
mod writer;

use std::fs::OpenOptions;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use self::line::Line;
use self::writer::Writer;
use super::Shared;
use super::reply::Refusal;
use crate::names::RequestId;
use crate::telemetry::requests::{Kind, known_method};
use crate::telemetry::trace::TraceContext;

/// Most lines are shorter, so that their text is made in one piece of memory.
const LINE_BYTES: usize = 512;

/// Where the lines go.
#[derive(Debug)]
pub enum AccessLog {
    /// To the host's log, with target `access`.
    Log,
    /// To a file.
    File(Writer),
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
                line.write_to(&mut text);
                writer.write(&text);
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
            client: line::client_text(self.client),
            certificate: None,
            method: "-",
            path: "-".into(),
            protocol: "-",
            status,
            bytes: 0,
            duration: Duration::ZERO,
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
        duration_ms = line.duration.as_secs_f64() * 1000.0,
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
