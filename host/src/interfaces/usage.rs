//! What all instances of one service use together, over all its versions, and the limits that it met.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::interfaces::output::Output;
use crate::interfaces::turns::{Share, Turns};

/// How long a limit that was told of is not told of again: under overload it is met thousands of times a second.
const QUIET: Duration = Duration::from_secs(1);

/// The use of one service.
#[derive(Debug)]
pub struct Usage {
    /// Memory of its instances with all that the host holds for them.
    pub memory: MemoryBudget,
    /// What it has of the processors.
    pub share: Arc<Share>,
    /// What it says.
    pub output: Output,
    outgoing: Arc<AtomicUsize>,
    hits: Mutex<BTreeMap<&'static str, Hits>>,
}

/// The memory of all instances of one service.
#[derive(Debug, Default)]
pub struct MemoryBudget {
    used: AtomicU64,
}

/// Counts one outgoing request while it lives.
#[derive(Debug)]
pub struct Outgoing(Arc<AtomicUsize>);

#[derive(Debug)]
struct Hits {
    count: u64,
    told: Instant,
}

impl Usage {
    /// Of a service that has used nothing.
    pub fn new(turns: &Arc<Turns>) -> Self {
        Self {
            memory: MemoryBudget::default(),
            share: Share::new(turns.clone()),
            output: Output::default(),
            outgoing: Arc::default(),
            hits: Mutex::default(),
        }
    }

    /// Counts an outgoing request, unless `most` are under way.
    pub fn begin_outgoing(&self, most: usize) -> Option<Outgoing> {
        let counted = Outgoing(self.outgoing.clone());
        let before = self.outgoing.fetch_add(1, Ordering::Relaxed);
        (before < most).then_some(counted)
    }

    /// Counts that a limit was met; answers how often in all, when that should be told again.
    pub fn hit(&self, limit: &'static str, now: Instant) -> Option<u64> {
        let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(hit) = hits.get_mut(limit) else {
            hits.insert(limit, Hits { count: 1, told: now });
            return Some(1);
        };
        hit.count += 1;
        let is_due = now - hit.told >= QUIET;
        if is_due {
            hit.told = now;
        }
        is_due.then_some(hit.count)
    }

    /// The limits that were met, and how often.
    pub fn hits(&self) -> BTreeMap<String, u64> {
        let hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        hits.iter().map(|(limit, hits)| ((*limit).to_owned(), hits.count)).collect()
    }
}

impl MemoryBudget {
    /// Takes `bytes` unless that would exceed `limit`; answers whether they were taken.
    pub fn take(&self, bytes: u64, limit: u64) -> bool {
        let take = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Gives bytes back.
    pub fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How many bytes are taken.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_counted_always_and_told_now_and_then() {
        let usage = Usage::new(&Turns::new(1));
        let now = Instant::now();
        assert_eq!(usage.hit("time", now), Some(1));
        assert_eq!(usage.hit("time", now), None);
        assert_eq!(usage.hit("memory", now), Some(1));
        assert_eq!(usage.hit("time", now + QUIET), Some(3));
        assert_eq!(usage.hits(), BTreeMap::from([("memory".into(), 1), ("time".into(), 3)]));
    }

    #[test]
    fn outgoing_requests_have_a_most() {
        let usage = Usage::new(&Turns::new(1));
        let first = usage.begin_outgoing(1);
        assert!(first.is_some() && usage.begin_outgoing(1).is_none());
        drop(first);
        assert!(usage.begin_outgoing(1).is_some());
    }
}
