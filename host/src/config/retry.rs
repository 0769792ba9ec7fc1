//! How requests that fail are tried again, for a service or a route.

use std::sync::Arc;
use std::time::Duration;

use super::key::Key;
use super::report::Report;
use super::units;
use super::upstream_file::{Retry as Written, RetryRules};

/// A second try finds another address; a third one mostly finds the same fault.
const TRIES: u32 = 2;
/// A service that fails every request gets a fifth more of them, not twice as many.
const BUDGET_PERCENT: u32 = 20;
/// Longer than a connection that was just closed takes to be replaced.
const BACK_OFF_MIN: Duration = Duration::from_millis(25);
/// Nobody notices a pause as short as this.
const BACK_OFF_MAX: Duration = Duration::from_millis(250);

/// How requests that fail are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all; 1 for never again.
    pub tries: u32,
    /// Repeated requests for each hundred requests of the service.
    pub budget_percent: u32,
    /// How long a try may take that another one can follow.
    pub per_try: Option<Duration>,
    /// The pause before the second try; it doubles with each.
    pub back_off_min: Duration,
    /// The longest pause.
    pub back_off_max: Duration,
}

impl Retry {
    /// What `retry = {}` means.
    pub const DEFAULT: Self = Self {
        tries: TRIES,
        budget_percent: BUDGET_PERCENT,
        per_try: None,
        back_off_min: BACK_OFF_MIN,
        back_off_max: BACK_OFF_MAX,
    };
}

/// Checks `retry`; none when it is absent.
pub fn check(written: Option<&Written>, key: &Key, report: &mut Report<'_>) -> Option<Arc<Retry>> {
    let absent = RetryRules::default();
    let (rules, tries) = match written? {
        Written::Switch(false) => (&absent, 1),
        Written::Switch(true) => (&absent, TRIES),
        Written::Rules(rules) => {
            (rules, rules.attempts.and_then(|tries| tries.try_into().ok()).unwrap_or(TRIES))
        }
    };
    let pause_key = key.field("back-off");
    let pause = &rules.back_off;
    let back_off_min = units::time(pause.min.as_ref(), BACK_OFF_MIN, &pause_key.field("min"), report);
    let back_off_max = units::time(pause.max.as_ref(), BACK_OFF_MAX, &pause_key.field("max"), report);
    if back_off_min > back_off_max && !report.refused_within(&pause_key) {
        let wrong = if pause.max.is_some() { "max" } else { "min" };
        report.refuse(&pause_key.field(wrong), "let `min` be at most `max` (250ms when absent)");
    }
    Some(Arc::new(Retry {
        tries,
        budget_percent: rules.budget.and_then(|budget| budget.try_into().ok()).unwrap_or(BUDGET_PERCENT),
        per_try: units::time_or_none(rules.per_try.as_ref(), &key.field("per-try"), report),
        back_off_min,
        back_off_max,
    }))
}
