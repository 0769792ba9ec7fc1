//! One rate limit with the state of its keys: GCRA by the crate `governor`, with a bounded number of keys.
//!
//! A limit is a bucket of so many requests that fills at an even pace. Its keys are hashes, so that a key costs
//! the same whatever the client sent, and no identity lies in memory.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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

/// Keys of one limit at most: a few megabytes. Beyond them new keys share buckets.
const KEYS_MAX: usize = 100_000;

/// The buckets that new keys of one kind share when there is no room for more. Chance decides which: a flood of keys
/// must spend a thousand times what one of them may before it stands in everybody's way.
const SHARED_BUCKETS: u64 = 1024;

/// How often a full limit looks for keys to drop: each look goes over all of them, which takes a millisecond.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

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

/// Who is counted. Kinds never share a bucket, so that a flood of one costs the others nothing: whoever has a network
/// of IPv6 has more addresses than all of IPv4.
#[derive(Debug, Clone, Copy, Hash)]
pub enum Counted<'k> {
    /// A client by its address.
    Ipv4(Ipv4Addr),
    /// A client by its network.
    Ipv6(Ipv6Addr),
    /// A caller by what is known of it.
    Known(&'k [u8]),
}

/// What a limit says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Passes {
        /// How many more would pass now.
        remaining: u32,
        /// The time until the whole burst is there again.
        full_in: Duration,
    },
    /// It may not.
    Refused {
        /// The time until one would pass.
        wait: Duration,
    },
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

    /// Counts a request.
    pub fn admit(&self, counted: Counted<'_>) -> Verdict {
        let hash = self.hasher.hash_one(counted);
        let key = if self.has_room_for(hash) { hash } else { counted.shared_bucket(hash) };
        match self.buckets.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity().min(self.burst);
                Verdict::Passes { remaining, full_in: self.interval.saturating_mul(self.burst - remaining) }
            }
            Err(until) => Verdict::Refused { wait: until.wait_time_from(self.buckets.clock().now()) },
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

impl Counted<'_> {
    /// The key of a bucket that is shared with others of the same kind.
    fn shared_bucket(self, hash: u64) -> u64 {
        let kind = match self {
            Self::Ipv4(_) => 0,
            Self::Ipv6(_) => 1,
            Self::Known(_) => 2,
        };
        kind * SHARED_BUCKETS + hash % SHARED_BUCKETS
    }
}

impl From<IpAddr> for Counted<'_> {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4(address),
            IpAddr::V6(address) => Self::Ipv6(address),
        }
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

    fn known(key: &str) -> Counted<'_> {
        Counted::Known(key.as_bytes())
    }

    fn ipv4(number: usize) -> Counted<'static> {
        Counted::Ipv4(Ipv4Addr::from(number as u32))
    }

    fn passes(limiter: &Limiter, counted: Counted<'_>) -> bool {
        matches!(limiter.admit(counted), Verdict::Passes { .. })
    }

    #[test]
    fn a_burst_passes_and_what_follows_is_told_when_to_come() {
        let limiter = Limiter::new(&config(60, HOUR, 3));
        for left in [2, 1, 0] {
            let full_in = Duration::from_secs(60) * (3 - left);
            assert_eq!(limiter.admit(known("a")), Verdict::Passes { remaining: left, full_in });
        }
        let Verdict::Refused { wait } = limiter.admit(known("a")) else { panic!("a fourth passes") };
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(60), "{wait:?}");
        assert!(passes(&limiter, known("b")), "another key has a bucket of its own");
    }

    #[test]
    fn requests_come_back_at_an_even_pace() {
        let limiter = Limiter::new(&config(1000, Duration::from_secs(1), 1));
        assert!(passes(&limiter, known("a")));
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !passes(&limiter, known("a")) {
            assert!(std::time::Instant::now() < deadline, "{limiter:?}");
        }
    }

    #[test]
    fn never_more_than_the_limit_and_the_burst_pass_under_many_threads() {
        let (requests, per, burst) = (500, Duration::from_millis(100), 50);
        let limiter = Limiter::new(&config(requests, per, burst));
        let begin = std::time::Instant::now();
        let passed: u32 = std::thread::scope(|scope| {
            let ask = || (0..2_000).filter(|_| passes(&limiter, known("same"))).count() as u32;
            let threads: Vec<_> = (0..64).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let earned = begin.elapsed().as_nanos() / limiter.interval.as_nanos();
        let allowed = u128::from(burst) + earned;
        assert!(passed >= burst && u128::from(passed) <= allowed, "{passed} passed of {allowed}");
    }

    #[test]
    fn a_hundred_thousand_keys_are_kept_and_a_flood_beyond_shares_buckets_by_kind() {
        let limiter = Limiter::new(&config(1, HOUR, 1));
        assert!((0..KEYS_MAX).all(|number| passes(&limiter, ipv4(number))));
        assert_eq!(limiter.known.len(), KEYS_MAX);
        let shared = SHARED_BUCKETS as usize;
        // One who comes alone finds a bucket among those that few have used; a flood uses them all up.
        let few = (KEYS_MAX..KEYS_MAX + 100).filter(|number| passes(&limiter, ipv4(*number))).count();
        assert!(few > 75, "{few} of a hundred passed");
        let flood = (KEYS_MAX + 100..2 * KEYS_MAX).filter(|number| passes(&limiter, ipv4(*number))).count();
        assert_eq!(few + flood, shared);
        assert!(passes(&limiter, Counted::Ipv6(Ipv6Addr::LOCALHOST)), "its kind was not flooded");
        assert!(passes(&limiter, known("ada")), "nor was this");
        assert!(limiter.known.len() <= KEYS_MAX + 3 * shared);
        assert!((0..KEYS_MAX).all(|number| !passes(&limiter, ipv4(number))), "who was known still is");
        let entry = size_of::<(u64, governor::state::InMemoryState)>();
        // A table is at most half empty after it has grown, and has one more byte for each place.
        assert!(entry * KEYS_MAX * 4 < 64 << 20, "{entry} bytes a key");
    }

    #[test]
    fn stale_keys_make_room() {
        let limiter = Limiter::with_keys_max(&config(1000, Duration::from_secs(1), 1), 2);
        assert!(passes(&limiter, ipv4(1)) && passes(&limiter, ipv4(2)));
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !limiter.known.0.contains_key(&limiter.hasher.hash_one(ipv4(3))) {
            assert!(std::time::Instant::now() < deadline, "{limiter:?}");
            limiter.admit(ipv4(3));
        }
        assert!(limiter.known.len() <= 3);
    }
}
