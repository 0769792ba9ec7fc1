//! One call into a guest: who asks, until when, and what was opened for it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tokio::time::Instant;

use crate::backends::database::{Mode, OnceKey};
use crate::interfaces::transaction::TransactionSlot;
use crate::names::{CALLER, REQUEST, is_of_host};
use crate::telemetry::trace::TraceContext;

/// Read-only transactions that one call may hold: each holds a reader of the service.
const READ_TRANSACTIONS_MAX: usize = 4;

/// Cursors that one call may hold: each holds a reader of the service.
const CURSORS_MAX: usize = 4;

/// The longest chain of calls from service to service: a cycle ends here instead of in a full queue.
pub const CALL_DEPTH_MAX: u8 = 16;

/// Host calls that a report of a failure tells: the last ones lead to it.
const HOST_CALLS_TOLD: usize = 8;

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
    /// The `hostel-*` headers of the original caller, which internal calls carry on; without what each sets anew.
    pub identity: Vec<(HeaderName, HeaderValue)>,
    /// The key of the message being handled, for `begin-once(this-delivery)`.
    pub delivery: Option<OnceKey>,
    /// Whether a deploy tries the version out: then it may change nothing but what its trial transaction holds.
    pub rehearsal: bool,
    /// The transaction of migrations in which `health` is asked: all its statements run there.
    pub trial: Option<Arc<TransactionSlot>>,
    /// The pattern of the route by which it came; none for messages and calls of services.
    pub route: Option<Arc<str>>,
    /// When it began.
    pub began: Instant,
    open: Mutex<Open>,
    cursors: AtomicUsize,
    host_calls: Mutex<VecDeque<HostCall>>,
    spent: OnceLock<Spent>,
}

/// What a guest asked of the host; its text is made only for a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostCall {
    /// An operation of its database.
    Database(&'static str),
    /// A message to a topic.
    Message(String),
    /// Something of a bucket.
    KeyValue,
    /// A setting or secret.
    Setting(String),
    /// A request to a service or an outside host.
    Http(Method, Uri),
    /// A line of its log.
    Log,
}

/// What a call had used when it failed.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// Computing time.
    pub cpu: Duration,
    /// Bytes of its instance with all that the host holds for it.
    pub memory: u64,
}

impl fmt::Display for HostCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(operation) => write!(f, "database.{operation}"),
            Self::Message(topic) => write!(f, "messaging to {topic}"),
            Self::KeyValue => f.write_str("keyvalue"),
            Self::Setting(key) => write!(f, "config.get {key:?}"),
            // Its query may hold secrets.
            Self::Http(method, target) => {
                let scheme = target.scheme_str().unwrap_or_default();
                let authority = target.authority().map_or("", Authority::as_str);
                write!(f, "http {method} {scheme}://{authority}{}", target.path())
            }
            Self::Log => f.write_str("logging.log"),
        }
    }
}

/// The transactions that the call has open.
#[derive(Default)]
struct Open {
    writer: Option<Arc<TransactionSlot>>,
    readers: Vec<Arc<TransactionSlot>>,
}

/// Counts one open cursor while it lives.
pub struct CursorPermit(Arc<Call>);

impl Drop for CursorPermit {
    fn drop(&mut self) {
        self.0.cursors.fetch_sub(1, Ordering::Relaxed);
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
            route: None,
            began: Instant::now(),
            open: Mutex::default(),
            cursors: AtomicUsize::new(0),
            host_calls: Mutex::default(),
            spent: OnceLock::new(),
        }
    }

    /// Remembers what the guest asked of the host, as one of the last things that it did.
    pub fn note(&self, host_call: HostCall) {
        let mut told = self.host_calls.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() == HOST_CALLS_TOLD {
            told.pop_front();
        }
        told.push_back(host_call);
    }

    /// Remembers what the call had used when it failed; the first word counts.
    pub fn note_spent(&self, spent: Spent) {
        self.spent.get_or_init(|| spent);
    }

    /// What was going on when the call failed, on one line: route, times, memory, and the last host calls.
    pub fn circumstances(&self) -> String {
        let mut told = String::new();
        if let Some(route) = &self.route {
            told.push_str(&format!("route {route}; "));
        }
        told.push_str(&format!("after {} ms", self.began.elapsed().as_millis()));
        if let Some(Spent { cpu, memory }) = self.spent.get() {
            let kib = memory.div_ceil(1024);
            told.push_str(&format!(
                ", {:.1} ms of them computing, with {kib} KiB of memory",
                cpu.as_secs_f64() * 1e3
            ));
        }
        let calls = self.host_calls.lock().unwrap_or_else(PoisonError::into_inner);
        if !calls.is_empty() {
            let calls: Vec<String> = calls.iter().map(HostCall::to_string).collect();
            told.push_str(&format!("; last host calls: {}", calls.join(", ")));
        }
        told
    }

    /// Remembers the identity headers of a request, to be carried on by internal calls.
    pub fn keep_identity(&mut self, headers: &HeaderMap) {
        let is_set_anew = |name: &HeaderName| *name == REQUEST || *name == CALLER;
        let carried = headers.iter().filter(|(name, _)| is_of_host(name) && !is_set_anew(name));
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
    pub fn cursor(self: &Arc<Self>) -> Option<CursorPermit> {
        if self.cursors.fetch_add(1, Ordering::Relaxed) >= CURSORS_MAX {
            self.cursors.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(CursorPermit(self.clone()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_what_was_going_on() {
        let mut call = Call::new("id".into(), TraceContext::new(), Instant::now());
        call.route = Some("/orders/{id}".into());
        let target = "http://stock.internal/goods?key=secret".parse().unwrap();
        call.note(HostCall::Setting("forgotten".into()));
        (0..7).for_each(|number| call.note(HostCall::Setting(format!("key {number}"))));
        call.note(HostCall::Http(Method::GET, target));
        call.note_spent(Spent { cpu: Duration::from_millis(3), memory: 2048 });
        let told = call.circumstances();
        for part in [
            "route /orders/{id}",
            "3.0 ms of them computing",
            "2 KiB",
            "config.get \"key 0\", config.get \"key 1\"",
            "\"key 6\", http GET http://stock.internal/goods",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("forgotten") && !told.contains("secret"), "{told}");
    }
}
