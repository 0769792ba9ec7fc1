//! One fdatasync for all commits that wait for it.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::blocking;

/// Makes commits durable together. A commit takes a ticket after it was written; the first that waits
/// syncs for all tickets taken until then, the others find their work done.
pub struct GroupSync {
    log: Arc<File>,
    taken: AtomicU64,
    durable: AtomicU64,
    syncs: AtomicU64,
    failed: AtomicBool,
    leader: tokio::sync::Mutex<()>,
}

/// The disk refused to make a commit durable. What it then holds is unknown, so nothing more is written
/// until the file was opened anew.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the disk did not make a commit durable; the host must be restarted to read what it holds")]
pub struct SyncFailed;

impl GroupSync {
    /// For a write-ahead log.
    pub fn new(log: File) -> Self {
        Self {
            log: Arc::new(log),
            taken: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            leader: tokio::sync::Mutex::new(()),
        }
    }

    /// The ticket of a commit that has just been written.
    pub fn ticket(&self) -> u64 {
        self.taken.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The ticket of the latest commit.
    pub fn latest(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// How often the disk was asked.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Answers whether writing still makes sense.
    pub fn check(&self) -> Result<(), SyncFailed> {
        if self.failed.load(Ordering::Acquire) { Err(SyncFailed) } else { Ok(()) }
    }

    /// Returns when the commit with this ticket is durable.
    pub async fn reach(&self, ticket: u64) -> Result<(), SyncFailed> {
        if self.durable.load(Ordering::Acquire) >= ticket {
            return Ok(());
        }
        let _leader = self.leader.lock().await;
        if self.durable.load(Ordering::Acquire) >= ticket {
            return Ok(());
        }
        self.check()?;
        let covered = self.latest();
        let log = self.log.clone();
        let synced = blocking(move || log.sync_data()).await;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        if let Ok(Ok(())) = synced {
            self.durable.fetch_max(covered, Ordering::AcqRel);
            return Ok(());
        }
        if let Ok(Err(error)) = synced {
            tracing::error!(%error, "fdatasync of a write-ahead log failed");
            self.failed.store(true, Ordering::Release);
        }
        Err(SyncFailed)
    }
}
