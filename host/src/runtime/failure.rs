//! Why a guest call did not end as it should.

use std::sync::Arc;

use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::interfaces::call::Call;
use crate::interfaces::service::ServiceContext;
use crate::telemetry::journal::{Level, Stream};

/// Raised inside a guest that has used its processor time.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the processor time of the call is used up")]
pub struct CpuLimitReached;

/// The start of an instance took longer than a call may.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("its start took too long")]
pub struct TimeLimitReached;

/// Why a guest call ended without success. The instance is not used again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GuestFailure {
    /// It trapped; the message is one line, the frames are the guest's call stack.
    #[error("trap: {message}")]
    Trap {
        /// What the guest did.
        message: String,
        /// The functions of the guest, innermost first.
        frames: Vec<String>,
    },
    /// It returned without setting a response.
    #[error("the service returned no response")]
    NoResponse,
    /// It set an error instead of a response.
    #[error("the service answered with an error instead of a response: {0}")]
    ErrorResponse(String),
    /// It took too long; the limit is named.
    #[error("the limit `{0}` was reached")]
    Timeout(&'static str),
    /// It reached another limit; named.
    #[error("the limit `{0}` was reached")]
    Limit(&'static str),
    /// The host has no room for another instance.
    #[error("the host has no room for another instance: {0}")]
    NoRoom(String),
    /// The component has no such export.
    #[error("the component does not export {0}")]
    NoExport(&'static str),
}

impl GuestFailure {
    /// The failure behind an error of the engine; `limit` is the memory limit that was hit meanwhile, if any.
    pub fn of(error: &wasmtime::Error, limit: Option<&'static str>) -> Self {
        if error.is::<CpuLimitReached>() {
            return Self::Timeout("cpu");
        }
        if error.is::<TimeLimitReached>() {
            return Self::Timeout("time");
        }
        // A guest that gets no memory usually traps a moment later; the limit is the cause that helps.
        if let Some(limit) = limit {
            return Self::Limit(limit);
        }
        if error
            .downcast_ref::<ResourceTableError>()
            .is_some_and(|error| matches!(error, ResourceTableError::Full))
        {
            return Self::Limit("resources");
        }
        if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            return Self::NoRoom(error.to_string());
        }
        if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
            return Self::trap("call stack exhausted", error);
        }
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Self::trap(&format!("the guest exited with code {}", exit.0), error);
        }
        Self::trap(&error.root_cause().to_string(), error)
    }

    /// The name under which it is counted.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "trap",
            Self::NoResponse => "no-response",
            Self::ErrorResponse(_) => "error-response",
            Self::Timeout(limit) | Self::Limit(limit) => limit,
            Self::NoRoom(_) => "no-room",
            Self::NoExport(_) => "no-export",
        }
    }

    /// The whole story on one line, for the log.
    pub fn story(&self) -> String {
        match self {
            Self::Trap { message, frames } if !frames.is_empty() => {
                format!("trap: {message}; at {}", frames.join(" < "))
            }
            other => other.to_string(),
        }
    }

    /// Logs and counts it, with what was going on in the call that failed.
    pub fn report(&self, service: &ServiceContext, instance: Option<&Arc<str>>, call: Option<&Call>) {
        service.host.metrics.failure(&service.config.name, service.version, self.reason());
        if let Self::Timeout(limit) | Self::Limit(limit) = self {
            service.limited(limit);
        }
        let story = match call {
            Some(call) => format!("{}; {}", self.story(), call.circumstances()),
            None => self.story(),
        };
        let speaker = service.speaker(instance.cloned(), call);
        service.host.journal.write(Level::Error, Stream::Host, speaker, &story);
    }

    fn trap(message: &str, error: &wasmtime::Error) -> Self {
        let frames = match error.downcast_ref::<WasmBacktrace>() {
            Some(backtrace) => backtrace.frames().iter().flat_map(describe).take(FRAMES_MAX).collect(),
            None => Vec::new(),
        };
        Self::Trap { message: message.replace('\n', " "), frames }
    }
}

/// Frames shown of a trap: enough to find it, few enough for a line.
const FRAMES_MAX: usize = 16;

/// The functions of one frame: those that the compiler put into each other, where the component tells.
fn describe(frame: &wasmtime::FrameInfo) -> Vec<String> {
    let function = || match frame.func_name() {
        Some(name) => demangle(name),
        None => format!("function {}", frame.func_index()),
    };
    let told = |symbol: &wasmtime::FrameSymbol| {
        let name = symbol.name().map_or_else(function, demangle);
        match (symbol.file(), symbol.line()) {
            (Some(file), Some(line)) => format!("{name} ({file}:{line})"),
            _ => name,
        }
    };
    match frame.symbols() {
        [] => vec![function()],
        symbols => symbols.iter().map(told).collect(),
    }
}

/// Takes the hash off a legacy Rust symbol; other names stay.
fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
