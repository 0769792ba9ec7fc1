//! Counts the processor time of a guest call.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

/// The processor time of the running call, read while it runs by whoever may stop it.
#[derive(Debug)]
pub struct CpuMeter {
    base: Instant,
    used_ns: AtomicU64,
    /// When the present poll began, in nanoseconds since `base`.
    poll_ns: AtomicU64,
    limit: Duration,
}

impl CpuMeter {
    /// A meter at zero.
    pub fn new(limit: Duration) -> Self {
        Self { base: Instant::now(), used_ns: AtomicU64::new(0), poll_ns: AtomicU64::new(0), limit }
    }

    /// Back to zero, for the next call.
    pub fn reset(&self) {
        self.used_ns.store(0, Ordering::Relaxed);
    }

    /// Whether the call has used more than its limit; asked from within the call.
    pub fn is_over(&self) -> bool {
        let running = self.now_ns().saturating_sub(self.poll_ns.load(Ordering::Relaxed));
        Duration::from_nanos(self.used_ns.load(Ordering::Relaxed).saturating_add(running)) > self.limit
    }

    fn now_ns(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }
}

/// A future whose time on a processor is counted.
pub struct CpuTimed<F> {
    future: Pin<Box<F>>,
    meter: Arc<CpuMeter>,
}

impl<F: Future> CpuTimed<F> {
    /// Counts the time of `future` on `meter`.
    pub fn new(future: F, meter: Arc<CpuMeter>) -> Self {
        Self { future: Box::pin(future), meter }
    }
}

impl<F: Future> Future for CpuTimed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let start = self.meter.now_ns();
        self.meter.poll_ns.store(start, Ordering::Relaxed);
        let poll = self.future.as_mut().poll(context);
        let spent = self.meter.now_ns().saturating_sub(start);
        self.meter.used_ns.fetch_add(spent, Ordering::Relaxed);
        poll
    }
}
