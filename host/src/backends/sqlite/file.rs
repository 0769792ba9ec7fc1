//! A SQLite file of the host: opened in WAL mode, checked, its log ready to be made durable.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// How long SQLite itself waits for a lock. There is one writer in this process, so only recovery and
/// checkpoints can be in the way, and they are short.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Files up to this size are checked in full at start; larger ones by header and length only, so that a
/// start stays fast (a full check reads about 1 GB a second).
const FULL_CHECK_BYTES_MAX: i64 = 32 * 1024 * 1024;

/// The log is cut to this length after a checkpoint, so that one burst does not keep its disk space.
const LOG_BYTES_KEPT: i64 = 16 * 1024 * 1024;

/// What a file is for; stands in its header, so that files can not be mixed up.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// In words: `service database`.
    pub name: &'static str,
    /// SQLite's application id.
    pub id: i32,
    /// The version of the host's own tables in it.
    pub version: i32,
    /// Creates the host's own tables.
    pub layout: &'static str,
}

/// A file that was opened and checked.
#[derive(Debug, Clone)]
pub struct SqliteFile {
    path: PathBuf,
}

/// A file that can not be used: which and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct OpenError {
    path: PathBuf,
    reason: String,
}

impl SqliteFile {
    /// Opens or creates the file and its folder, and checks it. Answers the one writing connection.
    pub fn open(path: &Path, kind: Kind) -> Result<(Self, Connection), OpenError> {
        let file = Self { path: path.to_owned() };
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|error| file.error(error))?;
        if !path.exists() {
            file.create(kind)?;
        }
        let connection = file.connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        file.prepare(&connection, kind)?;
        sync_names(folder).map_err(|error| file.error(error))?;
        Ok((file, connection))
    }

    /// A connection that only reads.
    pub fn reader(&self) -> Result<Connection, OpenError> {
        self.connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// The write-ahead log, to be made durable. It is a file of its own that SQLite takes no lock on;
    /// opening and closing the database file beside SQLite would drop SQLite's locks.
    pub fn log(&self) -> Result<File, OpenError> {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        File::open(path).map_err(|error| self.error(error))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the file under another name first: a file under its own name is whole, or was damaged.
    fn create(&self, kind: Kind) -> Result<(), OpenError> {
        let draft = self.path.with_extension("new");
        if draft.exists() {
            fs::remove_file(&draft).map_err(|error| self.error(error))?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let connection = self.connect(&draft, flags)?;
        let create = format!(
            "BEGIN; PRAGMA application_id = {}; PRAGMA user_version = {}; {} COMMIT;",
            kind.id, kind.version, kind.layout
        );
        connection.execute_batch(&create).map_err(|error| self.error(error))?;
        connection.close().map_err(|(_, error)| self.error(error))?;
        fs::rename(&draft, &self.path).map_err(|error| self.error(error))
    }

    fn connect(&self, path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| self.error(error))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| self.error(error))?;
        Ok(connection)
    }

    fn prepare(&self, connection: &Connection, kind: Kind) -> Result<(), OpenError> {
        let wrong = |error: rusqlite::Error| self.error(error);
        self.check_kind(connection, kind)?;
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(wrong)?;
        if mode != "wal" {
            return Err(self.error(format!("its journal mode is {mode}, not WAL; is the file system local?")));
        }
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(wrong)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(wrong)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT).map_err(wrong)?;
        self.check_content(connection)
    }

    /// Refuses files of another kind or version before anything is written to them.
    fn check_kind(&self, connection: &Connection, kind: Kind) -> Result<(), OpenError> {
        let wrong = |error: rusqlite::Error| self.error(error);
        let id: i32 = pragma(connection, "application_id").map_err(wrong)?;
        let version: i32 = pragma(connection, "user_version").map_err(wrong)?;
        if id != kind.id {
            let name = kind.name;
            return Err(self.error(format!(
                "this is no {name} of Hostel, or it was cut off; restore it from a backup, or move it away to \
                 begin anew"
            )));
        }
        if version != kind.version {
            return Err(self.error(format!(
                "its layout has version {version} and this host knows version {}; run the host that wrote it, \
                 or move it away to begin anew",
                kind.version
            )));
        }
        Ok(())
    }

    fn check_content(&self, connection: &Connection) -> Result<(), OpenError> {
        let wrong = |error: rusqlite::Error| self.error(error);
        // SQLite compares length and header here: a truncated file answers that it is malformed.
        let pages: i64 = pragma(connection, "page_count").map_err(wrong)?;
        let page_bytes: i64 = pragma(connection, "page_size").map_err(wrong)?;
        if pages.saturating_mul(page_bytes) > FULL_CHECK_BYTES_MAX {
            return Ok(());
        }
        let verdict: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(wrong)?;
        if verdict != "ok" {
            return Err(self.error(format!("it is damaged ({verdict}); restore it from a backup")));
        }
        Ok(())
    }

    /// This file cannot be used.
    pub fn error(&self, reason: impl ToString) -> OpenError {
        OpenError { path: self.path.clone(), reason: reason.to_string() }
    }
}

/// Makes the names of new files durable: a log that is durable without its name would be lost.
fn sync_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<T> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}
