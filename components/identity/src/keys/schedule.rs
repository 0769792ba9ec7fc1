//! When which key signs. Keys stand in the order of the times from which they sign.

use crate::config::lifetimes::{KEY_KEPT_MS, KEY_LEAD_MS};

/// The place of the key that signs now: the last one whose time has come. The first one, when the clock was set back.
pub fn signer(signs_from_ms: &[i64], now_ms: i64) -> usize {
    signs_from_ms.iter().rposition(|from_ms| *from_ms <= now_ms).unwrap_or(0)
}

/// From when on a new key should sign, when it is time to make one; never two wait at a time.
pub fn next(signs_from_ms: &[i64], now_ms: i64, period_ms: i64) -> Option<i64> {
    let Some(last_ms) = signs_from_ms.last() else {
        // Nobody has seen any key yet, so the first one may sign at once.
        return Some(now_ms);
    };
    let due_ms = last_ms + period_ms;
    (now_ms >= due_ms - KEY_LEAD_MS).then(|| due_ms.max(now_ms + KEY_LEAD_MS))
}

/// How many of the first keys nobody needs any more: every token that they signed has expired.
pub fn spent(signs_from_ms: &[i64], now_ms: i64) -> usize {
    let successors = signs_from_ms.iter().skip(1);
    successors.take_while(|from_ms| *from_ms + KEY_KEPT_MS <= now_ms).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;
    const PERIOD: i64 = 30 * DAY;

    #[test]
    fn a_new_key_is_shown_before_it_signs() {
        let check = |times: &[i64], now: i64, expected: Option<i64>| {
            assert_eq!(next(times, now, PERIOD), expected, "{times:?} at {now}");
        };
        check(&[], 5, Some(5));
        check(&[0], DAY, None);
        check(&[0], PERIOD - 2 * HOUR - 1, None);
        check(&[0], PERIOD - 2 * HOUR, Some(PERIOD));
        // Nobody asked for a long time: the old key signs on until the new one has been shown long enough.
        check(&[0], 2 * PERIOD, Some(2 * PERIOD + 2 * HOUR));
        check(&[0, PERIOD], PERIOD - HOUR, None);
        check(&[0, PERIOD], PERIOD + DAY, None);
    }

    #[test]
    fn the_last_key_whose_time_has_come_signs() {
        let check = |times: &[i64], now: i64, expected: usize| {
            assert_eq!(signer(times, now), expected, "{times:?} at {now}");
        };
        check(&[10], 10, 0);
        check(&[10, 20], 19, 0);
        check(&[10, 20], 20, 1);
        check(&[10, 20], 5, 0);
    }

    #[test]
    fn a_key_stays_until_its_tokens_have_expired() {
        let check = |times: &[i64], now: i64, expected: usize| {
            assert_eq!(spent(times, now), expected, "{times:?} at {now}");
        };
        check(&[0], 99 * PERIOD, 0);
        check(&[0, PERIOD], PERIOD + DAY - 1, 0);
        check(&[0, PERIOD], PERIOD + DAY, 1);
        check(&[0, PERIOD, 2 * PERIOD], 3 * PERIOD, 2);
    }
}
