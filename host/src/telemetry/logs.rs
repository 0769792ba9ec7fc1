//! Log lines of the host: human or JSON, to standard error.

use std::io::IsTerminal;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use crate::telemetry::standard_error;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts logging for the whole process.
///
/// `level` is a level or directives as the crate `tracing-subscriber` reads them; one that cannot be read
/// counts as `info`.
pub fn start(format: Format, level: &str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    // Nothing can be told where there is no standard error.
    let Ok(lines) = standard_error::open().map(Mutex::new) else { return };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    // A logger that is already there (a second host in one process) stays.
    let _ = match format {
        Format::Human => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}
