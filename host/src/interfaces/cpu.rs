//! Counts the processor time of a guest call.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::interfaces::turns::Share;

/// A guest runs at most this long before others get a turn: with 2 ms slices four endless guests on two cores
/// leave a bystander a p99 of 10 ms, with 10 ms slices 510 ms.
pub const SLICE: Duration = Duration::from_millis(2);

/// How often the clock that interrupts guests has ticked; cheap to clone.
#[derive(Debug, Default, Clone)]
pub struct Ticks(Arc<AtomicU64>);

impl Ticks {
    /// Counts one more.
    pub fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

thread_local! {
    /// Nanoseconds that calls within the present one have used: a guest that calls another drives it.
    static NESTED_NS: Cell<u64> = const { Cell::new(0) };
}

/// The processor time of the running call, read while it runs by whoever may stop it.
#[derive(Debug)]
pub struct CpuMeter {
    base: Instant,
    used_ns: AtomicU64,
    /// When the present poll began, or the last one ended, by the clock that counts it.
    poll_ns: AtomicU64,
    ticks: Ticks,
    /// How many ticks there had been when the present poll began.
    poll_tick: AtomicU64,
    /// Whether the call has used up a slice before.
    is_long: AtomicBool,
    /// Whether the present poll is counted by the clock of its thread. That costs a system call, so only those of long
    /// calls are: a thread that the system lets wait for long must not use up their time.
    is_precise: AtomicBool,
    limit: Duration,
    share: Arc<Share>,
    has_turn: AtomicBool,
}

impl CpuMeter {
    /// A meter at zero, which counts in the share of its service, of a guest that this clock interrupts.
    pub fn new(limit: Duration, share: Arc<Share>, ticks: Ticks) -> Self {
        Self {
            base: Instant::now(),
            used_ns: AtomicU64::new(0),
            poll_ns: AtomicU64::new(0),
            ticks,
            poll_tick: AtomicU64::new(0),
            is_long: AtomicBool::new(false),
            is_precise: AtomicBool::new(false),
            limit,
            share,
            has_turn: AtomicBool::new(false),
        }
    }

    /// What the service of the call has.
    pub fn share(&self) -> &Arc<Share> {
        &self.share
    }

    /// How much the call has used so far.
    pub fn used(&self) -> Duration {
        Duration::from_nanos(self.used_ns.load(Ordering::Relaxed))
    }

    /// Whether the clock has ticked since the call went on: not where it has slept through the tick that it meets.
    pub fn ran_at_tick(&self) -> bool {
        self.poll_tick.load(Ordering::Relaxed) != self.ticks.count()
    }

    /// The call has used up a slice.
    pub fn used_up_slice(&self) {
        self.is_long.store(true, Ordering::Relaxed);
    }

    /// Whether the call has used up a slice.
    pub fn is_long(&self) -> bool {
        self.is_long.load(Ordering::Relaxed)
    }

    /// The call holds a turn until it pauses.
    pub fn hold_turn(&self) {
        self.has_turn.store(true, Ordering::Relaxed);
    }

    /// Gives the turn back, if the call holds one.
    pub fn end_turn(&self) {
        if self.has_turn.swap(false, Ordering::Relaxed) {
            self.share.end_turn();
        }
    }

    /// When the call ended.
    pub fn ended(&self) -> Instant {
        if self.is_precise.load(Ordering::Relaxed) {
            return Instant::now();
        }
        // Without another look at the clock.
        self.base + Duration::from_nanos(self.poll_ns.load(Ordering::Relaxed))
    }

    /// Back to zero, for the next call.
    pub fn reset(&self) {
        self.used_ns.store(0, Ordering::Relaxed);
        self.is_long.store(false, Ordering::Relaxed);
    }

    /// Whether the call has used more than its limit; asked from within the call.
    pub fn is_over(&self) -> bool {
        let began = self.poll_ns.load(Ordering::Relaxed);
        let running = self.now_ns().saturating_sub(began).saturating_sub(nested_ns());
        Duration::from_nanos(self.used_ns.load(Ordering::Relaxed).saturating_add(running)) > self.limit
    }

    /// Now, by the clock that counts the present poll.
    fn now_ns(&self) -> u64 {
        if self.is_precise.load(Ordering::Relaxed) {
            return thread_time().as_nanos() as u64;
        }
        self.base.elapsed().as_nanos() as u64
    }
}

/// What the present thread has computed in its life.
pub fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// A future whose time on a processor is counted.
pub struct CpuTimed<'m, F> {
    future: F,
    meter: &'m CpuMeter,
}

impl<'m, F: Future + Unpin> CpuTimed<'m, F> {
    /// Counts the time of `future` on `meter`.
    pub fn new(future: F, meter: &'m CpuMeter) -> Self {
        Self { future, meter }
    }
}

impl<F: Future + Unpin> Future for CpuTimed<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let is_long = self.meter.is_long.load(Ordering::Relaxed);
        self.meter.is_precise.store(is_long, Ordering::Relaxed);
        let start = self.meter.now_ns();
        self.meter.poll_ns.store(start, Ordering::Relaxed);
        self.meter.poll_tick.store(self.meter.ticks.count(), Ordering::Relaxed);
        let before = replace_nested_ns(0);
        let poll = Pin::new(&mut self.future).poll(context);
        let end = self.meter.now_ns();
        self.meter.poll_ns.store(end, Ordering::Relaxed);
        let spent = end.saturating_sub(start);
        let nested = replace_nested_ns(before.saturating_add(spent));
        let own = spent.saturating_sub(nested);
        self.meter.used_ns.fetch_add(own, Ordering::Relaxed);
        self.meter.share.use_up(own);
        self.meter.end_turn();
        poll
    }
}

// Neither is inlined: a guest's stack can go on in another thread, where a remembered address would be wrong.

#[inline(never)]
fn nested_ns() -> u64 {
    NESTED_NS.get()
}

#[inline(never)]
fn replace_nested_ns(value: u64) -> u64 {
    NESTED_NS.replace(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::turns::Turns;

    /// Keeps the processor busy.
    fn spin(time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {}
    }

    #[tokio::test]
    async fn a_call_does_not_pay_for_those_that_it_makes() {
        let share = Share::new(Turns::new(1));
        let meter = || Arc::new(CpuMeter::new(Duration::from_millis(20), share.clone(), Ticks::default()));
        let (caller, callee) = (meter(), meter());
        let inner = CpuTimed::new(Box::pin(async { spin(Duration::from_millis(30)) }), &callee);
        let work = async {
            spin(Duration::from_millis(10));
            inner.await;
            caller.is_over()
        };
        let outer = CpuTimed::new(Box::pin(work), &caller);
        assert!(!outer.await, "the caller has used 10 of its 20 ms");
        assert!(caller.used() < Duration::from_millis(20), "{:?}", caller.used());
        assert!(callee.used() >= Duration::from_millis(30) && callee.is_over());
    }
    #[tokio::test]
    async fn who_has_slept_through_a_tick_did_not_run_at_it() {
        let ticks = Ticks::default();
        let limit = Duration::from_secs(1);
        let meter = CpuMeter::new(limit, Share::new(Turns::new(1)), ticks.clone());
        let work = async {
            tokio::task::yield_now().await;
            let has_slept = !meter.ran_at_tick();
            ticks.advance();
            has_slept && meter.ran_at_tick()
        };
        let mut call = CpuTimed::new(Box::pin(work), &meter);
        assert!(futures::poll!(&mut call).is_pending());
        ticks.advance();
        assert!(call.await);
    }
}
