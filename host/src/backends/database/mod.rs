//! A service's own relational database: one file, one writer, many readers, durable commits.
//!
//! The files in reading order: `value` and `error` are what callers see; `text`, `authorizer` and
//! `connection` keep guest SQL inside; `statement` runs it; `transaction`, `cursor`, `once`, `migrations`
//! and `outbox` are built on that; `layout` holds the host's own tables; `writer` is the one connection
//! that writes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::{Instant, timeout_at};

use crate::backends::sqlite::{Caller, GroupSync, Lease, Pool, SqliteFile, blocking};
use connection::GuestConnection;
use outbox::Written;
use transaction::Held;
use writer::Writer;

mod value;
mod error;
mod text;
mod authorizer;
mod connection;
mod statement;
mod transaction;
mod cursor;
mod once;
mod migrations;
mod outbox;
mod layout;
mod writer;

pub use cursor::Cursor;
pub use error::{ConstraintKind, DatabaseError};
pub use once::{ONCE_KEYS_KEPT, OnceKey};
pub use outbox::{Outbox, OutboxEntry};
pub use statement::{ROWS_BYTES_MAX, ROWS_MAX};
pub use transaction::{Mode, Transaction};
pub use value::{RowSet, Value};

/// The name of the file in a service's folder.
pub const FILE_NAME: &str = "database.sqlite";

/// Reading connections of one database: each takes up to 2 MB of cache, and cursors and read-only
/// transactions hold one.
const READERS_MAX: usize = 16;

/// A service's database. Clones share one writer and its readers.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

/// How much a database has been used since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Commits that were written.
    pub commits: u64,
    /// How often the disk was asked to make commits durable.
    pub syncs: u64,
}

/// What the parts of a database share.
struct Shared {
    writer: Arc<tokio::sync::Mutex<Writer>>,
    readers: Arc<Pool<GuestConnection>>,
    sync: GroupSync,
    /// The latest outbox entry that was committed, durable or not.
    written: watch::Sender<Written>,
    /// The latest outbox entry that was removed.
    removed: AtomicI64,
}

impl Database {
    /// Opens or creates the database in a service's folder, and checks the file.
    ///
    /// # Errors
    /// `Unavailable`, naming the file, when it is damaged, of another version, or not to be opened.
    pub async fn open(folder: &Path) -> Result<Self, DatabaseError> {
        let path = folder.join(FILE_NAME);
        let shared = blocking(move || Shared::open(&path)).await??;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs a query on a reader and answers all rows.
    ///
    /// # Errors
    /// `Limit` beyond [`ROWS_MAX`] rows or [`ROWS_BYTES_MAX`] bytes, or at the deadline; `Denied` when the
    /// statement writes.
    pub async fn query(
        &self,
        sql: String,
        parameters: Vec<Value>,
        deadline: Instant,
    ) -> Result<RowSet, DatabaseError> {
        let mut reader = self.shared.reader(deadline).await?;
        let caller = Caller::new(deadline);
        let running = caller.running();
        let work =
            move || reader.connection()?.during(running, |guest| statement::query(guest, &sql, &parameters));
        blocking(work).await?
    }

    /// Runs one changing statement as a transaction of its own; answers how many rows it changed, when the
    /// change is durable.
    pub async fn execute(
        &self,
        sql: String,
        parameters: Vec<Value>,
        deadline: Instant,
    ) -> Result<u64, DatabaseError> {
        let mut writer = self.shared.writer(deadline).await?;
        let caller = Caller::new(deadline);
        let running = caller.running();
        let shared = self.shared.clone();
        let work = move || {
            let guest = &mut writer.connection;
            let changed = guest.during(running, |guest| statement::execute(guest, &sql, &parameters));
            if guest.in_transaction() {
                guest.host("ROLLBACK")?;
            }
            changed.map(|changed| (changed, shared.sync.ticket()))
        };
        let (changed, ticket) = blocking(work).await??;
        self.shared.sync.reach(ticket).await?;
        Ok(changed)
    }

    /// Begins a transaction, which lives until it is committed, rolled back, dropped or past the deadline.
    pub async fn begin(&self, mode: Mode, deadline: Instant) -> Result<Transaction, DatabaseError> {
        let held = match mode {
            Mode::ReadWrite => Held::Writer(self.shared.writer(deadline).await?),
            Mode::ReadOnly => Held::Reader(Box::new(self.shared.reader(deadline).await?)),
        };
        Transaction::begin(self.shared.clone(), held, mode, deadline).await
    }

    /// Begins a read-write transaction that is committed at most once under this key: none when it was. A
    /// second caller waits for the first.
    pub async fn begin_once(
        &self,
        key: OnceKey,
        deadline: Instant,
    ) -> Result<Option<Transaction>, DatabaseError> {
        once::begin(self.begin(Mode::ReadWrite, deadline).await?, key).await
    }

    /// Opens a cursor, which holds a reader until it is dropped or past the deadline.
    pub async fn open_cursor(
        &self,
        sql: String,
        parameters: Vec<Value>,
        deadline: Instant,
    ) -> Result<Cursor, DatabaseError> {
        let reader = self.shared.reader(deadline).await?;
        Cursor::open(reader, sql, parameters, deadline).await
    }

    /// Applies the scripts that were not applied yet, in one transaction, which is handed back uncommitted.
    ///
    /// # Errors
    /// `Statement`, with the index of the script from 0, when one fails or when one that has been applied
    /// was changed.
    pub async fn migrate(
        &self,
        scripts: Vec<String>,
        deadline: Instant,
    ) -> Result<Transaction, DatabaseError> {
        migrations::apply(self.begin(Mode::ReadWrite, deadline).await?, scripts).await
    }

    /// The messages that committed transactions published.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.shared.clone())
    }

    /// Removes the keys of `begin_once` that are older than [`ONCE_KEYS_KEPT`]; answers how many.
    pub async fn sweep(&self) -> Result<u64, DatabaseError> {
        once::sweep(&self.shared).await
    }

    /// How much it has been used.
    pub fn counters(&self) -> Counters {
        Counters { commits: self.shared.sync.latest(), syncs: self.shared.sync.syncs() }
    }
}

impl Shared {
    fn open(path: &Path) -> Result<Self, DatabaseError> {
        let (file, connection) = SqliteFile::open(path, layout::KIND)?;
        let (writer, last, removed) = Writer::new(connection, file.path())?;
        let sync = GroupSync::new(file.log()?);
        let written = Written { sequence: last, ticket: sync.ticket() };
        let readers = Pool::new(READERS_MAX, move || {
            file.reader()
                .and_then(|connection| GuestConnection::new(connection).map_err(|error| file.error(error)))
        });
        Ok(Self {
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            readers: Arc::new(readers),
            sync,
            written: watch::Sender::new(written),
            removed: AtomicI64::new(removed),
        })
    }

    async fn writer(&self, deadline: Instant) -> Result<OwnedMutexGuard<Writer>, DatabaseError> {
        self.sync.check()?;
        check_time(deadline)?;
        let waited = timeout_at(deadline, self.writer.clone().lock_owned()).await;
        waited.map_err(|_| {
            DatabaseError::Limit("time: other transactions held the writer until the deadline".into())
        })
    }

    async fn reader(&self, deadline: Instant) -> Result<Lease<GuestConnection>, DatabaseError> {
        check_time(deadline)?;
        Ok(self.readers.lend(deadline).await?)
    }
}

/// A free connection is not taken either when the time is over.
fn check_time(deadline: Instant) -> Result<(), DatabaseError> {
    if Instant::now() >= deadline { Err(DatabaseError::too_late()) } else { Ok(()) }
}
