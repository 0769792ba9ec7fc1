//! When a service that keeps failing is left alone for a while.

use std::time::Duration;

use super::key::Key;
use super::report::Report;
use super::service_file::Circuit as Written;
use super::units;

/// More than a fault of chance, before many callers have met it.
const FAILURES: u32 = 5;
/// Failures further apart than this are not one fault.
const WITHIN: Duration = Duration::from_secs(10);
/// As long as a restart of what the service depends on may take.
const OPEN_MIN: Duration = Duration::from_secs(1);
/// Nobody waits longer for a service that is well again.
const OPEN_MAX: Duration = Duration::from_secs(30);

/// When the circuit of a service opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuit {
    /// Failures in a row that open it; at least 1.
    pub failures: u32,
    /// How long these may take.
    pub within: Duration,
    /// How long it stays open first; each time it opens again right away, twice as long.
    pub open_min: Duration,
    /// How long it stays open at most.
    pub open_max: Duration,
}

impl Default for Circuit {
    fn default() -> Self {
        Self { failures: FAILURES, within: WITHIN, open_min: OPEN_MIN, open_max: OPEN_MAX }
    }
}

/// Checks `circuit`.
pub fn check(written: Option<&Written>, key: &Key, report: &mut Report<'_>) -> Circuit {
    let absent = Written::default();
    let written = written.unwrap_or(&absent);
    let open_min = units::time(written.open_min.as_ref(), OPEN_MIN, &key.field("open-min"), report);
    let open_max = units::time(written.open_max.as_ref(), OPEN_MAX, &key.field("open-max"), report);
    if open_min > open_max && !report.refused_within(key) {
        let wrong = if written.open_max.is_some() { "open-max" } else { "open-min" };
        report.refuse(&key.field(wrong), "let `open-min` be at most `open-max` (30s when absent)");
    }
    Circuit {
        failures: written.failures.and_then(|failures| failures.try_into().ok()).unwrap_or(FAILURES),
        within: units::time(written.within.as_ref(), WITHIN, &key.field("within"), report),
        open_min,
        open_max,
    }
}
