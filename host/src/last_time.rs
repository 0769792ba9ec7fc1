//! When something last happened, noted with every request and asked for seldom.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// The longest that the coarse clock stands still, where the system ticks a hundred times a second.
const TICK_MAX: Duration = Duration::from_millis(10);

/// The last time that something happened, by the coarse clock of the system: to read it costs a fifth of what the exact
/// one does, and a request notes half a dozen of such times.
#[derive(Debug)]
pub struct LastTime(AtomicU64);

impl LastTime {
    /// It happens now.
    pub fn now() -> Self {
        Self(AtomicU64::new(now_ms()))
    }

    /// It happens again now.
    pub fn touch(&self) {
        self.0.store(now_ms(), Ordering::Release);
    }

    /// When it last happened; a tick too late rather than too early, so that nobody's time is over before it is.
    pub fn instant(&self) -> Instant {
        let ago = self.elapsed().saturating_sub(TICK_MAX);
        // Read behind the other: whatever comes between them makes it later.
        let now = Instant::now();
        now.checked_sub(ago).unwrap_or(now)
    }

    /// How long ago that is, give or take a tick.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.0.load(Ordering::Acquire)))
    }
}

fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_is_told_a_tick_too_late_and_never_too_early() {
        let last = LastTime::now();
        for _ in 0..3 {
            let before = Instant::now();
            last.touch();
            let touched = before.elapsed();
            while before.elapsed() < 3 * TICK_MAX {
                let asked = Instant::now();
                let told = last.instant();
                assert!(told >= before);
                assert!(told <= before + touched + 2 * TICK_MAX + asked.elapsed());
            }
        }
    }
}
