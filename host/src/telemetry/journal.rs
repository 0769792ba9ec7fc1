//! The journal: what services and the host say about services, kept briefly for `hostel logs`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::names::{ServiceName, VersionNumber};

/// Lines kept for each service: enough to see how a failure came about, a few hundred KiB at most.
const LINES_KEPT: usize = 1_000;

/// The longest message of one line; the rest is cut, so that a guest cannot fill memory or disk.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// Lines that a slow follower may lag behind before it loses some.
const FOLLOW_BACKLOG: usize = 1_024;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Of use while looking for a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Something may be wrong.
    Warn,
    /// Something is wrong.
    Error,
}

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The host, about the service.
    Host,
    /// The service, through `wasi:logging`.
    Log,
    /// The service's standard output.
    Stdout,
    /// The service's standard error.
    Stderr,
}

/// Who speaks: a service, and as far as known its version, instance, request and trace.
#[derive(Debug, Clone, Serialize)]
pub struct Speaker {
    /// The service.
    pub service: ServiceName,
    /// The version, when one was running.
    pub version: Option<VersionNumber>,
    /// The instance, when one was running.
    pub instance: Option<Arc<str>>,
    /// The request or delivery that was being handled.
    pub request: Option<Arc<str>>,
    /// Its trace (W3C trace context).
    pub trace: Option<Arc<str>>,
}

impl Speaker {
    /// The service as a whole.
    pub fn service(service: &ServiceName) -> Self {
        Self { service: service.clone(), version: None, instance: None, request: None, trace: None }
    }

    /// One version of a service.
    pub fn version(service: &ServiceName, version: VersionNumber) -> Self {
        Self { version: Some(version), ..Self::service(service) }
    }
}

/// One line of a service's log.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// When it was written.
    pub at: jiff::Timestamp,
    /// How much it matters.
    pub level: Level,
    /// Where it comes from.
    pub stream: Stream,
    /// Who speaks.
    #[serde(flatten)]
    pub speaker: Speaker,
    /// What is said, on one line, without control characters.
    pub message: String,
}

/// Keeps the last lines of each service and hands new ones to followers.
#[derive(Debug, Default)]
pub struct Journal {
    services: Mutex<HashMap<ServiceName, Arc<Shelf>>>,
}

/// The lines of one service.
#[derive(Debug)]
struct Shelf {
    lines: Mutex<VecDeque<Arc<Line>>>,
    followers: broadcast::Sender<Arc<Line>>,
}

impl Journal {
    /// Writes one line: to the host's log, to the kept lines and to followers.
    pub fn write(&self, level: Level, stream: Stream, speaker: Speaker, message: &str) {
        self.write_neutral(level, stream, speaker, neutralise(message));
    }

    /// The same of a message that was neutralised.
    pub fn write_neutral(&self, level: Level, stream: Stream, speaker: Speaker, message: String) {
        let shelf = self.shelf(&speaker.service);
        let at = jiff::Timestamp::now();
        let line = Arc::new(Line { at, level, stream, speaker, message });
        emit(&line);
        let mut lines = shelf.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_KEPT {
            lines.pop_front();
        }
        lines.push_back(line.clone());
        drop(lines);
        // No follower is no fault.
        let _ = shelf.followers.send(line);
    }

    /// The last lines of a service, oldest first, and a subscription to those that follow.
    pub fn follow(&self, service: &ServiceName) -> (Vec<Arc<Line>>, broadcast::Receiver<Arc<Line>>) {
        let shelf = self.shelf(service);
        let lines = shelf.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // Subscribed under the lock, so that no line is lost or seen twice.
        let follower = shelf.followers.subscribe();
        (lines.iter().cloned().collect(), follower)
    }

    fn shelf(&self, service: &ServiceName) -> Arc<Shelf> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shelf) = services.get(service) {
            return shelf.clone();
        }
        let shelf = Arc::new(Shelf::new());
        services.insert(service.clone(), shelf.clone());
        shelf
    }
}

impl Shelf {
    fn new() -> Self {
        Self { lines: Mutex::default(), followers: broadcast::Sender::new(FOLLOW_BACKLOG) }
    }
}

fn emit(line: &Line) {
    let speaker = &line.speaker;
    let version = speaker.version.map(|version| version.0);
    let (instance, request, trace) =
        (speaker.instance.as_deref(), speaker.request.as_deref(), speaker.trace.as_deref());
    macro_rules! event {
        ($macro:ident) => {
            tracing::$macro!(
                target: "service", service = speaker.service.as_str(), version, instance, request, trace,
                "{}", line.message
            )
        };
    }
    match line.level {
        Level::Debug => event!(debug),
        Level::Info => event!(info),
        Level::Warn => event!(warn),
        Level::Error => event!(error),
    }
}

/// Cuts long messages and replaces control characters, so that no line can imitate another or drive a terminal.
/// Line breaks and tabs stay readable as `\n` and `\t`.
pub fn neutralise(message: &str) -> String {
    let message = message.trim_end();
    let mut text = String::with_capacity(message.len().min(MESSAGE_BYTES_MAX));
    for character in message.chars() {
        let before = text.len();
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
        if text.len() > MESSAGE_BYTES_MAX {
            text.truncate(before);
            text.push('…');
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_cannot_imitate_a_line() {
        assert_eq!(neutralise("a\nb\u{1b}[31m\n"), "a\\nb\\u{1b}[31m");
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let text = neutralise(&"é".repeat(MESSAGE_BYTES_MAX));
        assert!(text.ends_with('…') && text.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
    }

    #[test]
    fn a_follower_sees_each_line_once() {
        let journal = Journal::default();
        let service: ServiceName = "order".parse().unwrap();
        journal.write(Level::Info, Stream::Host, Speaker::service(&service), "one");
        let (lines, mut follower) = journal.follow(&service);
        journal.write(Level::Info, Stream::Host, Speaker::service(&service), "two");
        assert_eq!(lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["one"]);
        assert_eq!(follower.try_recv().unwrap().message, "two");
    }
}
