//! Transactions that happen at most once under a key.

use std::time::Duration;

use rusqlite::params;
use tokio::time::Instant;

use super::{DatabaseError, Shared, Transaction};
use crate::backends::sqlite::{blocking, classify, now_ms};

/// How long keys are kept. Who repeats a request or a delivery later than that has it happen again.
pub const ONCE_KEYS_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Keys removed in one transaction, so that the writer is soon free again.
const SWEPT_AT_ONCE: u32 = 1_000;

/// How long a sweep waits for the writer.
const SWEEP_WAIT: Duration = Duration::from_secs(30);

/// Names a transaction that is committed at most once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OnceKey {
    /// Keeps keys of different uses apart.
    pub scope: String,
    /// The key in its scope.
    pub key: String,
}

/// Takes the key within the transaction; none, rolled back, when it was taken by one that committed.
pub async fn begin(mut transaction: Transaction, key: OnceKey) -> Result<Option<Transaction>, DatabaseError> {
    let taken = transaction
        .run(move |open| {
            let insert = "INSERT OR IGNORE INTO hostel_once VALUES (?1, ?2, ?3)";
            let values = params![key.scope, key.key, now_ms()];
            let inserted = open.guest()?.connection.execute(insert, values);
            inserted.map_err(|error| DatabaseError::from(classify(&error)))
        })
        .await?;
    if taken == 1 {
        return Ok(Some(transaction));
    }
    // The caller takes "none" for "done": so the commit that took the key must be durable first.
    transaction.settle_earlier().await?;
    transaction.rollback().await?;
    Ok(None)
}

/// Removes the keys that were kept long enough; answers how many.
pub async fn sweep(shared: &Shared) -> Result<u64, DatabaseError> {
    let kept_ms = i64::try_from(ONCE_KEYS_KEPT.as_millis()).unwrap_or(i64::MAX);
    let before = now_ms().saturating_sub(kept_ms);
    let mut removed = 0;
    loop {
        let writer = shared.writer(Instant::now() + SWEEP_WAIT).await?;
        let work = move || {
            let delete = "DELETE FROM hostel_once WHERE (scope, key) IN
                (SELECT scope, key FROM hostel_once WHERE committed_ms < ?1 LIMIT ?2)";
            writer.connection.connection.execute(delete, params![before, SWEPT_AT_ONCE])
        };
        let count = blocking(work).await?.map_err(|error| DatabaseError::from(classify(&error)))?;
        removed += count as u64;
        if count < SWEPT_AT_ONCE as usize {
            return Ok(removed);
        }
    }
}
