//! Guest log records -> the journal, with the request and trace they belong to.

use crate::interfaces::bindings::wasi::logging::logging::{self, Level as GuestLevel};
use crate::interfaces::call::HostCall;
use crate::interfaces::guest::GuestState;
use crate::telemetry::journal::{Level, Stream};

impl logging::Host for GuestState {
    async fn log(&mut self, level: GuestLevel, context: String, message: String) -> wasmtime::Result<()> {
        self.this.note(HostCall::Log);
        let level = match level {
            GuestLevel::Trace | GuestLevel::Debug => Level::Debug,
            GuestLevel::Info => Level::Info,
            GuestLevel::Warn => Level::Warn,
            GuestLevel::Error | GuestLevel::Critical => Level::Error,
        };
        let text = if context.is_empty() { message } else { format!("{context}: {message}") };
        self.service().say(level, Stream::Log, self.this.speaker(), &text);
        Ok(())
    }
}
