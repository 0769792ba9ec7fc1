//! The one connection that writes to a service's database, and what it knows about the outbox.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::connection::GuestConnection;
use super::layout::OUTBOX_REMOVED;
use super::{DatabaseError, OutboxEntry};
use crate::backends::sqlite::{classify, now_ms};

/// Outbox entries that may wait for the broker; a service whose broker takes nothing must not fill the disk.
const OUTBOX_ENTRIES_MAX: i64 = 100_000;

/// Sequences begin at the time in milliseconds times this, so that a database that is begun anew or restored
/// from a backup never uses a sequence again that the broker has already seen.
const SEQUENCES_PER_MS: i64 = 1_024;

/// The writing connection.
pub struct Writer {
    /// Runs guest SQL and the host's own.
    pub connection: GuestConnection,
    /// The last sequence that was used.
    pub outbox_last: i64,
    /// How many entries wait, with those of the open transaction.
    pub outbox_entries: i64,
}

impl Writer {
    /// Takes over a connection; answers also the sequences of the last entry that waits and of the last one
    /// that was removed.
    pub fn new(connection: Connection, path: &Path) -> Result<(Self, i64, i64), DatabaseError> {
        let wrong =
            |error: rusqlite::Error| DatabaseError::Unavailable(format!("{}: {error}", path.display()));
        let removed: Option<i64> = connection
            .query_row("SELECT value FROM hostel_state WHERE name = ?1", [OUTBOX_REMOVED], |row| row.get(0))
            .optional()
            .map_err(wrong)?;
        let (last, entries): (Option<i64>, i64) = connection
            .query_row("SELECT max(sequence), count(*) FROM hostel_outbox", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(wrong)?;
        let now = now_ms().saturating_mul(SEQUENCES_PER_MS);
        let removed = removed.unwrap_or(0);
        let writer = Self {
            connection: GuestConnection::new(connection).map_err(wrong)?,
            outbox_last: now.max(removed).max(last.unwrap_or(removed)),
            outbox_entries: entries,
        };
        Ok((writer, last.unwrap_or(removed), removed))
    }

    /// Puts a message into the outbox, within the open transaction; answers its sequence.
    pub fn append(&mut self, entry: &OutboxEntry, id: &str) -> Result<i64, DatabaseError> {
        if self.outbox_entries >= OUTBOX_ENTRIES_MAX {
            return Err(DatabaseError::Limit(format!(
                "outbox: {OUTBOX_ENTRIES_MAX} messages of this service wait for the broker"
            )));
        }
        let sequence = self.outbox_last + 1;
        let headers = serde_json::to_string(&entry.message.headers)
            .map_err(|error| DatabaseError::statement(error.to_string()))?;
        let insert = "INSERT INTO hostel_outbox VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let values = rusqlite::params![
            sequence,
            entry.topic.as_str(),
            id,
            entry.message.key,
            headers,
            entry.message.body.as_ref()
        ];
        let inserted = self.connection.connection.execute(insert, values);
        inserted.map_err(|error| DatabaseError::from(classify(&error)))?;
        self.outbox_last = sequence;
        self.outbox_entries += 1;
        Ok(sequence)
    }
}
