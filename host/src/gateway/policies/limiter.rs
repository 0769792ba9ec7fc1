//! One rate limit with the state of its keys: GCRA by the crate `governor`, with a bounded number of keys.
//!
//! A limit is a bucket of so many requests that fills at an even pace. Its keys are hashes, so that a key costs
//! the same whatever the client sent, and no identity lies in memory.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::config::RateLimit;

/// Keys of one limit at most: a few megabytes. Beyond them new keys share one bucket, so that a flood of
/// keys costs its senders their requests, and nobody else anything.
const KEYS_MAX: usize = 100_000;

/// How often a full limit looks for keys to drop: each look goes over all of them, which takes a millisecond.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The bucket of the keys for which there is no room.
const OVERFLOW: u64 = 0;

/// One limit.
pub struct Limiter {
    interval: Duration,
    burst: u32,
    buckets: RateLimiter<u64, Buckets, DefaultClock, StateInformationMiddleware>,
    /// The same as in `buckets`, which does not tell whether it knows a key.
    known: Buckets,
    keys_max: usize,
    /// Keys hash differently in each process, so that nobody can aim at the bucket of another.
    hasher: RandomState,
    started: Instant,
    /// When stale keys were last dropped, in milliseconds from the start.
    swept_ms: AtomicU64,
}

/// What a limit says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How many more requests of the key would pass now.
    pub remaining: u32,
    /// The time until the whole burst is there again.
    pub full_in: Duration,
    /// The time until a request would pass; none when this one does.
    pub wait: Option<Duration>,
}

impl Limiter {
    /// A limit that nobody has asked yet.
    pub fn new(config: &RateLimit) -> Self {
        Self::with_keys_max(config, KEYS_MAX)
    }

    fn with_keys_max(config: &RateLimit, keys_max: usize) -> Self {
        let interval = config.interval();
        let burst = NonZeroU32::new(config.burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(interval).unwrap_or(Quota::per_second(burst)).allow_burst(burst);
        let known = Buckets::default();
        Self {
            interval,
            burst: burst.get(),
            buckets: RateLimiter::new(quota, known.clone(), DefaultClock::default()),
            known,
            keys_max,
            hasher: RandomState::new(),
            started: Instant::now(),
            swept_ms: AtomicU64::new(0),
        }
    }

    /// Counts a request under its key.
    pub fn admit(&self, key: impl Hash) -> Verdict {
        let key = self.hasher.hash_one(key);
        let key = if self.has_room_for(key) { key } else { OVERFLOW };
        match self.buckets.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity().min(self.burst);
                let full_in = self.interval.saturating_mul(self.burst - remaining);
                Verdict { remaining, full_in, wait: None }
            }
            Err(until) => {
                let wait = until.wait_time_from(self.buckets.clock().now());
                let full_in = self.interval.saturating_mul(self.burst - 1).saturating_add(wait);
                Verdict { remaining: 0, full_in, wait: Some(wait) }
            }
        }
    }

    /// Whether the key has a bucket or may get one.
    fn has_room_for(&self, key: u64) -> bool {
        if self.known.0.contains_key(&key) || self.known.len() < self.keys_max {
            return true;
        }
        if self.may_sweep() {
            self.buckets.retain_recent();
        }
        self.known.len() < self.keys_max
    }

    /// Whether it is time to drop stale keys; says so to one caller only.
    fn may_sweep(&self) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (last, now) = (self.swept_ms.load(Ordering::Relaxed), millis(self.started.elapsed()));
        let is_due = now.saturating_sub(last) >= millis(SWEEP_EVERY);
        is_due && self.swept_ms.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (burst, interval, keys) = (self.burst, self.interval, self.known.len());
        write!(f, "Limiter {{ {burst} at once, one each {interval:?}, {keys} keys }}")
    }
}

/// The buckets of all keys, 16 bytes each.
#[derive(Clone, Default)]
struct Buckets(Arc<DashMapStateStore<u64>>);

impl StateStore for Buckets {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, decide)
    }
}

impl ShrinkableKeyedStateStore<u64> for Buckets {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain_recent(drop_below);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::By;

    fn config(requests: u32, per: Duration, burst: u32) -> RateLimit {
        RateLimit { requests, per, burst, by: By::Address }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_burst_passes_and_what_follows_is_told_when_to_come() {
        let limiter = Limiter::new(&config(60, HOUR, 3));
        let verdicts: Vec<Verdict> = (0..4).map(|_| limiter.admit("a")).collect();
        let remaining: Vec<u32> = verdicts.iter().map(|verdict| verdict.remaining).collect();
        assert_eq!(remaining, [2, 1, 0, 0]);
        assert_eq!(verdicts[0].full_in, Duration::from_secs(60));
        assert_eq!(verdicts[2].wait, None);
        let wait = verdicts[3].wait.unwrap();
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(60), "{wait:?}");
        assert_eq!(limiter.admit("b").remaining, 2, "another key has a bucket of its own");
    }

    #[test]
    fn requests_come_back_at_an_even_pace() {
        let limiter = Limiter::new(&config(1000, Duration::from_secs(1), 1));
        assert_eq!(limiter.admit(1).wait, None);
        let passed = std::iter::from_fn(|| Some(limiter.admit(1))).find(|verdict| verdict.wait.is_none());
        assert!(passed.is_some());
    }

    #[test]
    fn never_more_than_the_limit_and_the_burst_pass_under_many_threads() {
        let (requests, per, burst) = (500, Duration::from_millis(100), 50);
        let limiter = Limiter::new(&config(requests, per, burst));
        let begin = std::time::Instant::now();
        let passed: u32 = std::thread::scope(|scope| {
            let ask = || (0..2_000).filter(|_| limiter.admit("same").wait.is_none()).count() as u32;
            let threads: Vec<_> = (0..64).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let earned = begin.elapsed().as_nanos() / limiter.interval.as_nanos();
        let allowed = u128::from(burst) + earned;
        assert!(passed >= burst && u128::from(passed) <= allowed, "{passed} passed of {allowed}");
    }

    #[test]
    fn a_hundred_thousand_keys_are_kept_and_a_flood_beyond_shares_one_bucket() {
        let limiter = Limiter::new(&config(1, HOUR, 1));
        assert!((0..KEYS_MAX).all(|key| limiter.admit(key).wait.is_none()));
        assert_eq!(limiter.known.len(), KEYS_MAX);
        let flood = (KEYS_MAX..2 * KEYS_MAX).filter(|key| limiter.admit(key).wait.is_none()).count();
        assert!(flood <= 1, "{flood} of the flood passed");
        assert!(limiter.known.len() <= KEYS_MAX + 1);
        assert!((0..KEYS_MAX).all(|key| limiter.admit(key).wait.is_some()), "who was known still is");
        let entry = size_of::<(u64, governor::state::InMemoryState)>();
        // A table is at most half empty after it has grown, and has one more byte for each place.
        assert!(entry * KEYS_MAX * 4 < 64 << 20, "{entry} bytes a key");
    }

    #[test]
    fn stale_keys_make_room() {
        let limiter = Limiter::with_keys_max(&config(1000, Duration::from_secs(1), 1), 2);
        assert!(limiter.admit(1).wait.is_none() && limiter.admit(2).wait.is_none());
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !limiter.known.0.contains_key(&limiter.hasher.hash_one(3)) {
            assert!(std::time::Instant::now() < deadline, "{limiter:?}");
            limiter.admit(3);
        }
        assert!(limiter.known.len() <= 3);
    }
}
