//! One call into a guest: who asks, until when, and what was opened for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::backends::database::{Mode, OnceKey};
use crate::interfaces::transaction::TransactionSlot;
use crate::names::is_of_host;
use crate::telemetry::trace::TraceContext;

/// Read-only transactions that one call may hold: each holds a reader of the service.
const READ_TRANSACTIONS_MAX: usize = 4;

/// Cursors that one call may hold: each holds a reader of the service.
const CURSORS_MAX: usize = 4;

/// The longest chain of calls from service to service: a cycle ends here instead of in a full queue.
pub const CALL_DEPTH_MAX: u8 = 16;

/// What the host knows about one call into a guest.
pub struct Call {
    /// The request or delivery, as found in logs.
    pub request: Arc<str>,
    /// Its trace.
    pub trace: TraceContext,
    /// When the caller stops waiting for the response head.
    pub deadline: Instant,
    /// How many services called each other to get here; 0 for a client.
    pub depth: u8,
    /// The `hostel-*` headers of the original caller, which internal calls carry on.
    pub identity: Vec<(HeaderName, HeaderValue)>,
    /// The key of the message being handled, for `begin-once(this-delivery)`.
    pub delivery: Option<OnceKey>,
    /// Whether a deploy tries the version out: then it may change nothing but what its trial transaction holds.
    pub rehearsal: bool,
    /// The transaction of migrations in which `health` is asked: all its statements run there.
    pub trial: Option<Arc<TransactionSlot>>,
    open: Mutex<Open>,
    cursors: Arc<AtomicUsize>,
}

/// The transactions that the call has open.
#[derive(Default)]
struct Open {
    writer: Option<Arc<TransactionSlot>>,
    readers: Vec<Arc<TransactionSlot>>,
}

/// Counts one open cursor while it lives.
#[derive(Debug)]
pub struct CursorPermit(Arc<AtomicUsize>);

impl Drop for CursorPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Call {
    /// A call that starts now, with nothing open.
    pub fn new(request: Arc<str>, trace: TraceContext, deadline: Instant) -> Self {
        Self {
            request,
            trace,
            deadline,
            depth: 0,
            identity: Vec::new(),
            delivery: None,
            rehearsal: false,
            trial: None,
            open: Mutex::default(),
            cursors: Arc::default(),
        }
    }

    /// Remembers the identity headers of a request, to be carried on by internal calls.
    pub fn keep_identity(&mut self, headers: &HeaderMap) {
        let carried = headers.iter().filter(|(name, _)| is_of_host(name));
        self.identity = carried.map(|(name, value)| (name.clone(), value.clone())).collect();
    }

    /// Whether a read-write transaction is open.
    pub fn is_writing(&self) -> bool {
        self.open().writer.as_ref().is_some_and(|slot| slot.is_open())
    }

    /// Whether another transaction of this mode may be opened.
    pub fn may_open(&self, mode: Mode) -> bool {
        match mode {
            Mode::ReadWrite => !self.is_writing(),
            Mode::ReadOnly => {
                let mut open = self.open();
                open.readers.retain(|slot| slot.is_open());
                open.readers.len() < READ_TRANSACTIONS_MAX
            }
        }
    }

    /// Remembers an open transaction, so that it ends with the call.
    pub fn keep(&self, mode: Mode, slot: Arc<TransactionSlot>) {
        match mode {
            Mode::ReadWrite => self.open().writer = Some(slot),
            Mode::ReadOnly => self.open().readers.push(slot),
        }
    }

    /// A place for one more cursor, or none when the call has its most.
    pub fn cursor(&self) -> Option<CursorPermit> {
        if self.cursors.fetch_add(1, Ordering::Relaxed) >= CURSORS_MAX {
            self.cursors.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(CursorPermit(self.cursors.clone()))
    }

    /// Ends the call: what was not committed is rolled back. Answers whether there was any.
    pub fn end(&self) -> bool {
        let mut open = self.open();
        let writer = open.writer.take();
        let readers = std::mem::take(&mut open.readers);
        drop(open);
        let mut was_open = false;
        for slot in writer.into_iter().chain(readers) {
            was_open |= slot.roll_back();
        }
        was_open
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
