//! `log::info!` and its siblings, written to the host's log.

use crate::bindings::imports::wasi::logging::logging::{Level, log};

static LOGGER: HostLogger = HostLogger;

struct HostLogger;

impl log::Log for HostLogger {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let level = match record.level() {
            log::Level::Error => Level::Error,
            log::Level::Warn => Level::Warn,
            log::Level::Info => Level::Info,
            log::Level::Debug => Level::Debug,
            log::Level::Trace => Level::Trace,
        };
        log(level, record.target(), &record.args().to_string());
    }

    fn flush(&self) {}
}

/// Sends what the `log` macros say to the host. The exports of [`service!`](crate::service) do it by
/// themselves; a second time changes nothing.
pub fn install() {
    if log::set_logger(&LOGGER).is_ok() {
        // The host decides what is kept; below debug a guest would mostly pay for the crossing.
        log::set_max_level(log::LevelFilter::Debug);
    }
}
