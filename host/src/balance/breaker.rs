//! The circuit of one service: a service that keeps trapping is left alone for a while, pure.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row, within `WINDOW`, that open the circuit.
const FAILURES_MAX: u32 = 5;

/// Failures further apart than this are not one fault.
const WINDOW: Duration = Duration::from_secs(10);

/// How long the circuit stays open first; each time it opens again right away, twice as long.
const OPEN_MIN: Duration = Duration::from_secs(1);

/// How long it stays open at most.
const OPEN_MAX: Duration = Duration::from_secs(30);

/// Counts failures in a row. One success closes the circuit, so that one bad route cannot take a service away from
/// the callers of its good ones.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    first: Option<Instant>,
    /// When the next probe is let through, while it is open.
    open_until: Option<Instant>,
    times_opened: u32,
}

impl Breaker {
    /// Whether a call may be made now; otherwise how long to wait. After that time one call is let through as a
    /// probe.
    ///
    /// # Errors
    ///
    /// The time until the next probe.
    pub fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.open_until {
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                // One probe at a time; one that gets lost costs a second.
                self.open_until = Some(now + OPEN_MIN);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Notes a call that ended well.
    pub fn succeed(&mut self) {
        if self.failures > 0 || self.open_until.is_some() {
            *self = Self::default();
        }
    }

    /// Notes a call that failed by the service's own fault; answers whether the circuit opened by it.
    pub fn fail(&mut self, now: Instant) -> bool {
        if self.first.is_none_or(|first| now - first > WINDOW) {
            self.first = Some(now);
            self.failures = 0;
        }
        self.failures += 1;
        if self.open_until.is_none() && self.failures < FAILURES_MAX {
            return false;
        }
        let doubled = OPEN_MIN.saturating_mul(1 << self.times_opened.min(10));
        self.times_opened += 1;
        self.open_until = Some(now + doubled.min(OPEN_MAX));
        true
    }

    /// Whether the circuit is open.
    pub fn is_open(&self) -> bool {
        self.open_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_open_the_circuit_and_a_good_probe_closes_it() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        let opened = (0..FAILURES_MAX).map(|_| breaker.fail(now)).collect::<Vec<_>>();
        assert_eq!(opened, [false, false, false, false, true]);
        assert!(breaker.admit(now).is_err());
        let later = now + OPEN_MIN;
        assert!(breaker.admit(later).is_ok(), "one probe");
        assert!(breaker.admit(later).is_err(), "one probe only");
        breaker.succeed();
        assert!(breaker.admit(later).is_ok());
    }

    #[test]
    fn a_bad_probe_opens_it_for_longer() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES_MAX {
            breaker.fail(now);
        }
        let later = now + OPEN_MIN;
        breaker.admit(later).unwrap();
        assert!(breaker.fail(later));
        assert_eq!(breaker.admit(later), Err(2 * OPEN_MIN));
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..4 * FAILURES_MAX {
            assert!(!breaker.fail(now));
            breaker.succeed();
        }
    }
}
