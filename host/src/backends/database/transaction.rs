//! A transaction: statements that happen together or not at all, and messages published with them.

use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::connection::GuestConnection;
use super::outbox::Written;
use super::writer::Writer;
use super::{DatabaseError, OutboxEntry, RowSet, Shared, Value, statement};
use crate::backends::messaging::{MESSAGE_BYTES_MAX, Message};
use crate::backends::sqlite::{Caller, Lease, blocking, lock};
use crate::names::Topic;

/// What a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One at a time; the others wait.
    ReadWrite,
    /// A snapshot; takes no writer.
    ReadOnly,
}

/// An open transaction. Dropping it rolls it back, also in the middle of a statement; at its deadline it is
/// rolled back wherever it is kept.
pub struct Transaction {
    shared: Arc<Shared>,
    mode: Mode,
    deadline: Instant,
    slot: Arc<Mutex<Slot>>,
    watchdog: JoinHandle<()>,
}

/// The connection that a transaction holds.
pub(super) enum Held {
    Writer(OwnedMutexGuard<Writer>),
    Reader(Box<Lease<GuestConnection>>),
}

/// A connection with an open transaction; dropped, it is rolled back and freed.
pub(super) struct Open {
    held: Held,
    /// What this transaction put into the outbox: how many, and the last sequence.
    published: i64,
    last: Option<i64>,
}

enum Slot {
    Idle(Box<Open>),
    Busy,
    Over(&'static str),
}

const TOO_LATE: &str = "time: the transaction reached its deadline and was rolled back";
const BROKEN_OFF: &str = "the transaction was rolled back by the database after an error";
const ABANDONED: &str = "a call on the transaction was broken off, so it was rolled back";

impl Transaction {
    /// Begins a transaction on a connection.
    pub(super) async fn begin(
        shared: Arc<Shared>,
        held: Held,
        mode: Mode,
        deadline: Instant,
    ) -> Result<Self, DatabaseError> {
        let open = blocking(move || Open::begin(held)).await??;
        let slot = Arc::new(Mutex::new(Slot::Idle(Box::new(open))));
        let watched = slot.clone();
        let watchdog = tokio::spawn(async move {
            sleep_until(deadline).await;
            if let Some(expired) = take_idle(&watched, TOO_LATE) {
                let _ = blocking(move || drop(expired)).await;
            }
        });
        Ok(Self { shared, mode, deadline, slot, watchdog })
    }

    /// What it may do.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Runs a query and answers all rows.
    ///
    /// # Errors
    /// As [`super::Database::query`]; a read-write transaction may also change something here (`RETURNING`).
    pub async fn query(&mut self, sql: String, parameters: Vec<Value>) -> Result<RowSet, DatabaseError> {
        self.run(move |open| statement::query(open.guest()?, &sql, &parameters)).await
    }

    /// Runs a changing statement and answers how many rows it changed.
    pub async fn execute(&mut self, sql: String, parameters: Vec<Value>) -> Result<u64, DatabaseError> {
        self.run(move |open| statement::execute(open.guest()?, &sql, &parameters)).await
    }

    /// Publishes a message if and only if this transaction commits; answers its id.
    pub async fn publish(&mut self, topic: &Topic, message: Message) -> Result<String, DatabaseError> {
        if self.mode == Mode::ReadOnly {
            return Err(DatabaseError::Denied(
                "a read-only transaction publishes nothing: begin a read-write one".into(),
            ));
        }
        message.check(MESSAGE_BYTES_MAX).map_err(DatabaseError::Limit)?;
        let id = message.id_or_new();
        let entry = OutboxEntry { sequence: 0, topic: topic.clone(), message };
        self.run(move |open| open.publish(&entry, &id).map(|()| id)).await
    }

    /// Commits; returns when the transaction is durable.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        let open = self.take()?;
        let shared = self.shared.clone();
        let write = self.mode == Mode::ReadWrite;
        let ticket = blocking(move || open.commit(&shared, write)).await??;
        self.shared.sync.reach(ticket).await?;
        Ok(())
    }

    /// Rolls back.
    pub async fn rollback(self) -> Result<(), DatabaseError> {
        let open = self.take()?;
        blocking(move || drop(open)).await?;
        Ok(())
    }

    /// Runs work on the connection, interrupted at the deadline or when this future is dropped.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Open) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let mut open = self.take()?;
        let caller = Caller::new(self.deadline);
        let running = caller.running();
        let job = move || {
            open.guest()?.set_running(Some(running));
            let answer = work(&mut open);
            open.guest()?.set_running(None);
            let over = !open.guest()?.in_transaction();
            Ok::<_, DatabaseError>((open, answer, over))
        };
        let (open, answer, over) = blocking(job).await??;
        if Instant::now() >= self.deadline {
            *lock(&self.slot) = Slot::Over(TOO_LATE);
            blocking(move || drop(open)).await?;
        } else if over {
            *lock(&self.slot) = Slot::Over(BROKEN_OFF);
        } else {
            *lock(&self.slot) = Slot::Idle(open);
        }
        answer
    }

    /// Everything that was committed before now is durable when this returns.
    pub(super) async fn settle_earlier(&self) -> Result<(), DatabaseError> {
        self.shared.sync.reach(self.shared.sync.latest()).await?;
        Ok(())
    }

    fn take(&self) -> Result<Box<Open>, DatabaseError> {
        let mut slot = lock(&self.slot);
        match std::mem::replace(&mut *slot, Slot::Busy) {
            Slot::Idle(open) => Ok(open),
            Slot::Busy => {
                *slot = Slot::Over(ABANDONED);
                Err(DatabaseError::Conflict(ABANDONED.into()))
            }
            Slot::Over(reason) => {
                *slot = Slot::Over(reason);
                let error = if reason == TOO_LATE { DatabaseError::Limit } else { DatabaseError::Conflict };
                Err(error(reason.into()))
            }
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.watchdog.abort();
        let Some(open) = take_idle(&self.slot, ABANDONED) else {
            return;
        };
        // Outside of the runtime there is no worker to keep free.
        match Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(move || drop(open))),
            Err(_) => drop(open),
        }
    }
}

impl Open {
    fn begin(held: Held) -> Result<Self, DatabaseError> {
        let mut open = Self { held, published: 0, last: None };
        // The snapshot is taken by the first read, so there is one at once.
        let begin = match &open.held {
            Held::Writer(_) => "BEGIN IMMEDIATE",
            Held::Reader(_) => "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1",
        };
        let guest = open.guest()?;
        // A transaction that the disk did not let roll back must not become part of this one.
        if guest.in_transaction() {
            guest.host("ROLLBACK")?;
        }
        guest.host(begin)?;
        Ok(open)
    }

    /// The connection.
    pub(super) fn guest(&mut self) -> Result<&mut GuestConnection, DatabaseError> {
        match &mut self.held {
            Held::Writer(writer) => Ok(&mut writer.connection),
            Held::Reader(lease) => Ok(lease.connection()?),
        }
    }

    fn publish(&mut self, entry: &OutboxEntry, id: &str) -> Result<(), DatabaseError> {
        if let Held::Writer(writer) = &mut self.held {
            self.last = Some(writer.append(entry, id)?);
            self.published += 1;
        }
        Ok(())
    }

    /// Commits and frees the connection; answers the ticket to wait for.
    fn commit(mut self, shared: &Shared, write: bool) -> Result<u64, DatabaseError> {
        let guest = self.guest()?;
        if !guest.in_transaction() {
            return Err(DatabaseError::Conflict(BROKEN_OFF.into()));
        }
        guest.host("COMMIT")?;
        self.published = 0;
        if !write {
            return Ok(0);
        }
        let ticket = shared.sync.ticket();
        if let Some(sequence) = self.last {
            shared.written.send_replace(Written { sequence, ticket });
        }
        Ok(ticket)
    }

    fn roll_back(&mut self) {
        let guest = match &mut self.held {
            Held::Writer(writer) => {
                writer.outbox_entries -= self.published;
                Some(&mut writer.connection)
            }
            Held::Reader(lease) => lease.opened(),
        };
        let Some(guest) = guest.filter(|guest| guest.in_transaction()) else {
            return;
        };
        guest.set_running(None);
        if let Err(error) = guest.host("ROLLBACK") {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.roll_back();
    }
}

fn take_idle(slot: &Mutex<Slot>, reason: &'static str) -> Option<Box<Open>> {
    let mut slot = lock(slot);
    match std::mem::replace(&mut *slot, Slot::Over(reason)) {
        Slot::Idle(open) => Some(open),
        // Whoever runs on it sees the deadline itself.
        Slot::Busy => {
            *slot = Slot::Busy;
            None
        }
        Slot::Over(earlier) => {
            *slot = Slot::Over(earlier);
            None
        }
    }
}
