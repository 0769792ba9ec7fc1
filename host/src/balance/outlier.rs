//! Passive ejection: an address that keeps failing requests is passed over for a while, pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::balance::verdict::Verdict;
use crate::config::Outlier;

/// The longest that an address is passed over, so that one that was mended is seen again soon.
const EJECTION_MAX: Duration = Duration::from_secs(300);

/// What is known of every address of a service.
#[derive(Debug)]
pub struct Outliers {
    settings: Outlier,
    records: Vec<Record>,
}

/// What is known of one address.
#[derive(Debug, Default, Clone)]
struct Record {
    failures: u32,
    /// Ejections that followed each other right away.
    times: u32,
    /// The last ejection: how long, and until when.
    last: Option<(Duration, Instant)>,
}

impl Outliers {
    /// So many addresses without a fault.
    pub fn new(settings: Outlier, count: usize) -> Self {
        Self { settings, records: vec![Record::default(); count] }
    }

    /// Notes what a request says about an address; answers until when it is to be passed over, if that is now to
    /// begin.
    pub fn note(&mut self, index: usize, verdict: Verdict, now: Instant) -> Option<Instant> {
        match verdict {
            Verdict::Answered => {
                self.records.get_mut(index)?.failures = 0;
                None
            }
            Verdict::Declined | Verdict::Failed => self.fail(index, now),
            Verdict::Nothing => None,
        }
    }

    fn fail(&mut self, index: usize, now: Instant) -> Option<Instant> {
        let room = self.has_room(now);
        let record = self.records.get_mut(index).filter(|record| !record.is_out(now))?;
        record.failures = record.failures.saturating_add(1);
        if record.failures < self.settings.failures || !room {
            return None;
        }
        Some(record.eject(self.settings.ejection, now))
    }

    /// Whether one more may be out.
    fn has_room(&self, now: Instant) -> bool {
        let out = self.records.iter().filter(|record| record.is_out(now)).count();
        (out + 1) * 100 <= self.records.len() * self.settings.ejected_percent_max
    }
}

impl Record {
    fn is_out(&self, now: Instant) -> bool {
        self.last.is_some_and(|(_, until)| now < until)
    }

    fn eject(&mut self, shortest: Duration, now: Instant) -> Instant {
        // One that has worked as long as it was out begins anew.
        if self.last.is_none_or(|(length, until)| now - until > length) {
            self.times = 0;
        }
        let length = shortest.saturating_mul(1 << self.times.min(16)).min(EJECTION_MAX.max(shortest));
        let until = now + length;
        *self = Self { failures: 0, times: self.times + 1, last: Some((length, until)) };
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EJECTION: Duration = Duration::from_secs(10);

    fn outliers(count: usize, percent: usize) -> Outliers {
        Outliers::new(Outlier { failures: 3, ejection: EJECTION, ejected_percent_max: percent }, count)
    }

    fn fail_thrice(outliers: &mut Outliers, index: usize, now: Instant) -> Option<Instant> {
        let results: Vec<_> = (0..3).map(|_| outliers.fail(index, now)).collect();
        assert_eq!(results[..2], [None, None]);
        results[2]
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
        let (mut outliers, now) = (outliers(2, 50), Instant::now());
        for _ in 0..5 {
            assert_eq!((outliers.fail(0, now), outliers.fail(0, now)), (None, None));
            assert_eq!(outliers.note(0, Verdict::Nothing, now), None);
            assert_eq!(outliers.note(0, Verdict::Answered, now), None);
        }
        let verdicts = [Verdict::Failed, Verdict::Nothing, Verdict::Declined, Verdict::Failed];
        let ejected = verdicts.map(|verdict| outliers.note(0, verdict, now));
        assert_eq!(ejected, [None, None, None, Some(now + EJECTION)]);
    }

    #[test]
    fn it_is_out_for_twice_as_long_each_time_until_it_has_worked_for_as_long() {
        let (mut outliers, mut now) = (outliers(2, 50), Instant::now());
        for factor in [1, 2, 4] {
            let until = fail_thrice(&mut outliers, 0, now).unwrap();
            assert_eq!(until, now + factor * EJECTION);
            assert_eq!(outliers.fail(0, now), None, "it is out already");
            now = until;
        }
        now += 5 * EJECTION;
        assert_eq!(fail_thrice(&mut outliers, 0, now), Some(now + EJECTION));
    }

    #[test]
    fn it_is_never_out_for_longer_than_the_longest() {
        let (mut outliers, mut now) = (outliers(2, 50), Instant::now());
        for _ in 0..40 {
            let until = fail_thrice(&mut outliers, 0, now).unwrap();
            assert!(until - now <= EJECTION_MAX);
            now = until;
        }
    }

    #[test]
    fn no_more_are_out_than_allowed() {
        let (mut outliers, now) = (outliers(4, 50), Instant::now());
        assert!(fail_thrice(&mut outliers, 0, now).is_some());
        assert!(fail_thrice(&mut outliers, 1, now).is_some());
        assert!(fail_thrice(&mut outliers, 2, now).is_none());
        // When the first come back, the next failure counts.
        assert!(outliers.fail(2, now + EJECTION).is_some());
        let mut lonely = self::outliers(1, 50);
        assert!(fail_thrice(&mut lonely, 0, now).is_none(), "there is nobody else to ask");
    }
}
