//! The circuit of one service: a service that keeps trapping is left alone for a while, pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::balance::verdict::Verdict;
use crate::config::Circuit;

/// How long a probe that gets lost holds up the next.
const PROBE_TIME_MAX: Duration = Duration::from_secs(1);

/// Counts failures in a row. One success closes the circuit, so that one bad route cannot take a service away from
/// the callers of its good ones.
#[derive(Debug)]
pub struct Breaker {
    settings: Circuit,
    /// The last failures, oldest first; never more than would open it.
    failures: VecDeque<Instant>,
    /// When the next probe is let through, while it is open.
    open_until: Option<Instant>,
    times_opened: u32,
}

/// What a call was let through with: how often the circuit had opened by then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pass(u32);

impl Breaker {
    /// A closed circuit.
    pub fn new(settings: Circuit) -> Self {
        Self { settings, failures: VecDeque::new(), open_until: None, times_opened: 0 }
    }

    /// Whether a call may be made now; otherwise how long to wait. After that time one call is let through as a
    /// probe.
    ///
    /// # Errors
    ///
    /// The time until the next probe.
    pub fn admit(&mut self, now: Instant) -> Result<Pass, Duration> {
        match self.open_until {
            Some(until) if now < until => return Err(until - now),
            Some(_) => {
                // One probe at a time.
                self.open_until = Some(now + PROBE_TIME_MAX);
            }
            None => {}
        }
        Ok(Pass(self.times_opened))
    }

    /// Notes what a call says about the service; answers whether the circuit opened by it.
    pub fn note(&mut self, pass: Pass, verdict: Verdict, now: Instant) -> bool {
        match verdict {
            Verdict::Answered | Verdict::Declined => {
                self.close();
                false
            }
            Verdict::Failed => self.fail(pass, now),
            Verdict::Nothing => false,
        }
    }

    /// Lets calls through again, and forgets all failures.
    pub fn close(&mut self) {
        if self.remembers_failures() {
            *self = Self::new(self.settings);
        }
    }

    /// Whether there was any failure since it was closed.
    pub fn remembers_failures(&self) -> bool {
        !self.failures.is_empty() || self.open_until.is_some()
    }

    /// Whether the circuit is open.
    pub fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    fn fail(&mut self, pass: Pass, now: Instant) -> bool {
        // What was let through before the circuit opened last tells nothing new: many calls fail of one fault.
        if pass.0 != self.times_opened {
            return false;
        }
        let Circuit { failures: most, within, open_min, open_max } = self.settings;
        // Failures further apart than that are not one fault.
        while self.failures.front().is_some_and(|first| now - *first > within) {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        if self.open_until.is_none() && self.failures.len() < most as usize {
            return false;
        }
        self.failures.clear();
        let doubled = open_min.saturating_mul(1 << self.times_opened.min(10));
        self.times_opened += 1;
        self.open_until = Some(now + doubled.min(open_max));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn closed() -> Breaker {
        Breaker::new(Circuit::default())
    }

    /// A call that is let through now and ends so.
    fn call(breaker: &mut Breaker, verdict: Verdict, now: Instant) -> bool {
        let pass = breaker.admit(now).unwrap();
        breaker.note(pass, verdict, now)
    }

    fn open(breaker: &mut Breaker, now: Instant) {
        let opened: Vec<bool> = (0..5).map(|_| call(breaker, Verdict::Failed, now)).collect();
        assert_eq!(opened, [false, false, false, false, true]);
    }

    #[test]
    fn five_failures_in_a_row_open_the_circuit_and_a_good_probe_closes_it() {
        let (mut breaker, now) = (closed(), Instant::now());
        open(&mut breaker, now);
        assert!(breaker.admit(now).is_err());
        let later = now + SECOND;
        let probe = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_err(), "one probe only");
        breaker.note(probe, Verdict::Answered, later);
        assert!(breaker.admit(later).is_ok());
    }

    #[test]
    fn failures_count_that_lie_within_ten_seconds_of_each_other() {
        let (mut breaker, now) = (closed(), Instant::now());
        let mut fail = |seconds| call(&mut breaker, Verdict::Failed, now + SECOND * seconds);
        assert!([0, 3, 6, 9].iter().all(|second| !fail(*second)));
        assert!(!fail(11), "the first is too long ago");
        assert!(fail(13), "five from the third second on");
    }

    #[test]
    fn a_bad_probe_opens_it_for_longer() {
        let (mut breaker, mut now) = (closed(), Instant::now());
        open(&mut breaker, now);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(breaker.admit(now).unwrap_err(), wait);
            now += wait;
            assert!(call(&mut breaker, Verdict::Failed, now));
        }
    }

    #[test]
    fn a_burst_of_failures_is_one_fault() {
        let (mut breaker, now) = (closed(), Instant::now());
        let burst: Vec<Pass> = (0..100).map(|_| breaker.admit(now).unwrap()).collect();
        let opened = burst.iter().filter(|pass| breaker.note(**pass, Verdict::Failed, now)).count();
        assert_eq!(opened, 1);
        assert_eq!(breaker.admit(now).unwrap_err(), SECOND);
        // So are two probes of which the first was slow.
        let slow = breaker.admit(now + SECOND).unwrap();
        let later = now + 2 * SECOND;
        let other = breaker.admit(later).unwrap();
        assert!(breaker.note(slow, Verdict::Failed, later));
        assert!(!breaker.note(other, Verdict::Failed, later));
        assert_eq!(breaker.admit(later).unwrap_err(), 2 * SECOND);
        breaker.close();
        assert!(!breaker.note(other, Verdict::Failed, later), "it is of a fault that is over");
        open(&mut breaker, later);
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed_and_what_says_nothing_changes_nothing() {
        let (mut breaker, now) = (closed(), Instant::now());
        for verdict in [Verdict::Answered, Verdict::Declined].repeat(10) {
            assert!(!call(&mut breaker, Verdict::Failed, now));
            assert!(!call(&mut breaker, verdict, now));
        }
        for _ in 0..4 {
            assert!(!call(&mut breaker, Verdict::Failed, now));
            assert!(!call(&mut breaker, Verdict::Nothing, now));
        }
        assert!(call(&mut breaker, Verdict::Failed, now));
    }
}
