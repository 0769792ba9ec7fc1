//! Times that are noted with every request and asked for seldom.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// How far the coarse clock is taken to lag: some ticks, of which there are a hundred a second on the slowest systems.
const LAG: Duration = Duration::from_millis(50);

/// A time by the coarse clock of the system: to read it costs a fifth of what the exact one does, and a request notes
/// half a dozen of such times. To be compared with limits of seconds.
#[derive(Debug)]
pub struct CoarseTime(AtomicU64);

impl CoarseTime {
    /// Now.
    pub fn now() -> Self {
        Self(AtomicU64::new(now_ns()))
    }

    /// Changes to now.
    pub fn touch(&self) {
        self.0.store(now_ns(), Ordering::Release);
    }

    /// The same by the exact clock; some ticks too late rather than too early, so that nobody's time is over before it
    /// is.
    pub fn instant(&self) -> Instant {
        let ago = self.elapsed().saturating_sub(LAG);
        // Read behind the other: whatever comes between them makes it later.
        let now = Instant::now();
        now.checked_sub(ago).unwrap_or(now)
    }

    /// How long ago that is, give or take some ticks.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(now_ns().saturating_sub(self.0.load(Ordering::Acquire)))
    }
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_time_is_told_too_late_rather_than_too_early() {
        let time = CoarseTime::now();
        for _ in 0..3 {
            let before = Instant::now();
            time.touch();
            let touched = before.elapsed();
            while before.elapsed() < 3 * LAG {
                let asked = Instant::now();
                let told = time.instant();
                assert!(told >= before);
                assert!(told <= before + touched + 2 * LAG + asked.elapsed());
            }
        }
    }
}
