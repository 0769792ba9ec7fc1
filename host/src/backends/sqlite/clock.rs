//! Deadlines of what runs on a connection, looked at by SQLite's progress handler.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// What runs on one connection at the moment; none: the host itself, which is not interrupted.
#[derive(Default)]
pub struct Clock(Mutex<Option<Arc<Running>>>);

/// Work under way.
pub struct Running {
    deadline: Instant,
    abandoned: AtomicBool,
}

/// The side that waits for the work; dropping it interrupts the work.
pub struct Caller(Arc<Running>);

impl Clock {
    /// Says what runs from now on.
    pub fn set(&self, running: Option<Arc<Running>>) {
        *lock(&self.0) = running;
    }

    /// Whether what runs must stop.
    pub fn is_over(&self) -> bool {
        lock(&self.0).as_ref().is_some_and(|running| {
            running.abandoned.load(Ordering::Relaxed) || Instant::now() >= running.deadline
        })
    }
}

impl Caller {
    /// Work that must be done at the deadline.
    pub fn new(deadline: Instant) -> Self {
        Self(Arc::new(Running { deadline, abandoned: AtomicBool::new(false) }))
    }

    /// What the connection's clock is to look at.
    pub fn running(&self) -> Arc<Running> {
        self.0.clone()
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::Relaxed);
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Takes a lock, also one whose holder panicked: what stands behind these locks is whole at any moment.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
