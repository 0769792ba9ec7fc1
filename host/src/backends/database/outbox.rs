//! The messages that committed transactions published, until the broker has them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, params};
use tokio::time::Instant;

use super::layout::OUTBOX_REMOVED;
use super::{DatabaseError, Shared};
use crate::backends::messaging::Message;
use crate::backends::sqlite::{blocking, classify};
use crate::names::Topic;

/// How long the relay waits for a connection; guests hold the writer at most for their own deadlines.
const WAIT: Duration = Duration::from_secs(30);

/// Entries read at once hold at most about so many bytes.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A message on its way from a committed transaction to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Grows with the order of the commits; never used twice.
    pub sequence: i64,
    /// What it is about.
    pub topic: Topic,
    /// The message; it has an id.
    pub message: Message,
}

/// The outbox of a database, as its relay sees it.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

/// The latest committed entry, and the ticket of the commit that made it.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// Its sequence.
    pub sequence: i64,
    /// The ticket of the commit.
    pub ticket: u64,
}

impl Outbox {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Returns when there may be entries that were not removed yet.
    pub async fn wait(&self) {
        let mut written = self.shared.written.subscribe();
        let is_waiting = |written: &Written| written.sequence > self.shared.removed.load(Ordering::Acquire);
        // The sender lives in `shared`, so this ends by an entry only.
        let _ = written.wait_for(is_waiting).await;
    }

    /// The entries after this sequence in order, at most so many. Only what is durable is answered.
    pub async fn read(&self, after: i64, most: usize) -> Result<Vec<OutboxEntry>, DatabaseError> {
        let written = *self.shared.written.borrow();
        self.shared.sync.reach(written.ticket).await?;
        let mut reader = self.shared.reader(Instant::now() + WAIT).await?;
        let through = written.sequence;
        blocking(move || {
            let guest = reader.connection()?;
            read(&guest.connection, after, through, most)
        })
        .await?
    }

    /// Removes the entries up to this sequence, which the broker has recorded.
    pub async fn remove_through(&self, sequence: i64) -> Result<(), DatabaseError> {
        let mut writer = self.shared.writer(Instant::now() + WAIT).await?;
        let removed = blocking(move || {
            let removed = remove(&mut writer.connection.connection, sequence)?;
            writer.outbox_entries -= removed;
            Ok::<_, rusqlite::Error>(())
        });
        removed.await?.map_err(|error| DatabaseError::from(classify(&error)))?;
        self.shared.removed.fetch_max(sequence, Ordering::AcqRel);
        Ok(())
    }
}

fn read(
    connection: &Connection,
    after: i64,
    through: i64,
    most: usize,
) -> Result<Vec<OutboxEntry>, DatabaseError> {
    let wrong = |error: rusqlite::Error| DatabaseError::from(classify(&error));
    let select = "SELECT sequence, topic, id, key, headers, body FROM hostel_outbox
        WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence";
    let mut statement = connection.prepare(select).map_err(wrong)?;
    let mut rows = statement.query(params![after, through]).map_err(wrong)?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    while entries.len() < most && bytes < READ_BYTES_MAX {
        let Some(row) = rows.next().map_err(wrong)? else {
            break;
        };
        let topic: String = row.get(1).map_err(wrong)?;
        let headers: String = row.get(4).map_err(wrong)?;
        let body: Vec<u8> = row.get(5).map_err(wrong)?;
        bytes += body.len() + headers.len();
        entries.push(OutboxEntry {
            sequence: row.get(0).map_err(wrong)?,
            topic: topic.parse().map_err(damaged)?,
            message: Message {
                id: row.get(2).map_err(wrong)?,
                key: row.get(3).map_err(wrong)?,
                headers: serde_json::from_str(&headers).map_err(damaged)?,
                body: Bytes::from(body),
            },
        });
    }
    Ok(entries)
}

fn remove(connection: &mut Connection, sequence: i64) -> rusqlite::Result<i64> {
    let transaction = connection.transaction()?;
    let removed = transaction.execute("DELETE FROM hostel_outbox WHERE sequence <= ?1", [sequence])?;
    transaction.execute(
        "INSERT INTO hostel_state VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = max(value, ?2)",
        params![OUTBOX_REMOVED, sequence],
    )?;
    transaction.commit()?;
    Ok(i64::try_from(removed).unwrap_or(i64::MAX))
}

fn damaged(error: impl std::fmt::Display) -> DatabaseError {
    DatabaseError::Unavailable(format!("an entry of the outbox is damaged: {error}"))
}
