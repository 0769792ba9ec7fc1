//! How fast the calls of a service end, as far as it has been seen.

use std::time::Duration;

use tokio::time::Instant;

/// How far back it is measured how fast calls end: every place serves a few calls in that time, and the machine may
/// have done something else for a moment of it.
const MEASURED_TIME: Duration = Duration::from_secs(1);

/// What was measured is believed after this time, once as many calls have ended as there are places: calls that began
/// together end together, and nothing is seen of them before.
const MEASURED_TIME_MIN: Duration = Duration::from_millis(200);

/// So many calls must have ended at least: the first one of an instance takes longer than those that follow.
const MEASURED_CALLS_MIN: usize = 32;

/// How many calls end a second.
#[derive(Clone, Copy)]
pub struct Rate {
    /// When it was begun to be measured.
    pub began: Instant,
    /// Until when it is measured.
    until: Instant,
    /// Calls that have ended since it began, and the seconds in which they did; less of both the longer ago.
    calls: f64,
    seconds: f64,
    /// All of those calls.
    calls_seen: usize,
}

impl Rate {
    /// Nothing has been seen yet.
    pub fn beginning(now: Instant) -> Self {
        Self { began: now, until: now, calls: 0.0, seconds: 0.0, calls_seen: 0 }
    }

    /// Calls a second, no fewer than can be: until enough has been seen of that many places, all that run might end now.
    pub fn per_second(self, places: usize) -> f64 {
        let (time, enough) = (self.until - self.began, places.max(MEASURED_CALLS_MIN));
        match time >= MEASURED_TIME_MIN && self.calls_seen >= enough {
            true => self.calls / self.seconds,
            false => (self.calls_seen + enough) as f64 / time.as_secs_f64(),
        }
    }

    /// The rate by `now`, when so many further calls have ended.
    pub fn followed_by(self, calls: usize, now: Instant) -> Self {
        let time = now - self.until;
        let kept = (-time.div_duration_f64(MEASURED_TIME)).exp();
        Self {
            until: now.max(self.until),
            calls: self.calls * kept + calls as f64,
            seconds: self.seconds * kept + time.as_secs_f64(),
            calls_seen: self.calls_seen + calls,
            ..self
        }
    }
}
