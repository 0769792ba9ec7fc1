//! Buckets of keys and values in one SQLite file, durable when a call returns.

mod error;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::sqlite::{GroupSync, Kind, Pool, SqliteFile, blocking};

pub use error::KeyValueError;

/// Bytes of a key.
const KEY_BYTES_MAX: usize = 1_024;

/// Bytes of a value.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Keys of one call that reads or writes many.
const KEYS_MAX: usize = 1_000;

/// Connections for reading.
const READERS_MAX: usize = 4;

/// How long a call waits for a reader.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// The file of buckets. Versions rise over the whole file, so that a key that was deleted and set again never has a
/// version that it had before.
const KIND: Kind = Kind {
    name: "bucket store",
    id: 0x0048_6f6b,
    version: 1,
    layout: "
        CREATE TABLE pairs (
            bucket TEXT, key TEXT, value BLOB NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (bucket, key)
        ) WITHOUT ROWID;
        CREATE TABLE versions (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL);
        INSERT INTO versions VALUES (1, 0);
    ",
};

/// A store of buckets; cheap to clone.
#[derive(Clone)]
pub struct KeyValue {
    shared: Arc<Shared>,
}

struct Shared {
    writer: Arc<Mutex<Connection>>,
    readers: Arc<Pool<Connection>>,
    sync: GroupSync,
}

type Result<T> = std::result::Result<T, KeyValueError>;

impl KeyValue {
    /// Opens the store in this file, or makes it.
    ///
    /// # Errors
    ///
    /// When the file cannot be had, is damaged, or is of another kind.
    pub async fn open(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        let open = move || {
            let (file, connection) = SqliteFile::open(&path, KIND)?;
            let log = file.log()?;
            Ok::<_, super::sqlite::OpenError>((file, connection, log))
        };
        let (file, connection, log) = blocking(open).await??;
        let readers = Arc::new(Pool::new(READERS_MAX, move || file.reader()));
        let writer = Arc::new(Mutex::new(connection));
        Ok(Self { shared: Arc::new(Shared { writer, readers, sync: GroupSync::new(log) }) })
    }

    /// The value under a key.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get_versioned(bucket, key).await?.map(|(value, _)| value))
    }

    /// The value under a key, with its version.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn get_versioned(&self, bucket: &str, key: &str) -> Result<Option<(Vec<u8>, u64)>> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.read(move |connection| find(connection, &bucket, &key)).await
    }

    /// Whether there is a value under a key.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn exists(&self, bucket: &str, key: &str) -> Result<bool> {
        Ok(self.get_versioned(bucket, key).await?.is_some())
    }

    /// The values under these keys, in their order.
    ///
    /// # Errors
    ///
    /// When there are too many keys, or the store cannot be read.
    pub async fn get_many(&self, bucket: &str, keys: Vec<String>) -> Result<Vec<(String, Option<Vec<u8>>)>> {
        check_count(keys.len())?;
        let bucket = bucket.to_owned();
        self.read(move |connection| {
            let value = |key: String| {
                let found = find(connection, &bucket, &key)?;
                Ok((key, found.map(|(value, _)| value)))
            };
            keys.into_iter().map(value).collect()
        })
        .await
    }

    /// Keys in order, those after `after`, at most so many; and where the next page begins.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn list_keys(
        &self,
        bucket: &str,
        after: Option<String>,
        most: usize,
    ) -> Result<(Vec<String>, Option<String>)> {
        let bucket = bucket.to_owned();
        self.read(move |connection| {
            let sql =
                "SELECT key FROM pairs WHERE bucket = ?1 AND (?2 IS NULL OR key > ?2) ORDER BY key LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_map((bucket, after, most as i64 + 1), |row| row.get(0))?;
            let mut keys = found.collect::<rusqlite::Result<Vec<String>>>()?;
            if keys.len() <= most {
                return Ok((keys, None));
            }
            keys.truncate(most);
            let next = keys.last().cloned();
            Ok((keys, next))
        })
        .await
    }

    /// Sets the value under a key.
    ///
    /// # Errors
    ///
    /// When key or value is too long, or the store cannot be written.
    pub async fn set(&self, bucket: &str, key: &str, value: Vec<u8>) -> Result<()> {
        self.set_many(bucket, vec![(key.to_owned(), value)]).await
    }

    /// Sets many values, all or none.
    ///
    /// # Errors
    ///
    /// When there are too many, one is too long, or the store cannot be written.
    pub async fn set_many(&self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<()> {
        check_count(pairs.len())?;
        pairs.iter().try_for_each(|(key, value)| check_pair(key, value))?;
        let bucket = bucket.to_owned();
        self.write(move |transaction| {
            pairs.iter().try_for_each(|(key, value)| put(transaction, &bucket, key, value))
        })
        .await
    }

    /// Deletes a key.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<()> {
        self.delete_many(bucket, vec![key.to_owned()]).await
    }

    /// Deletes many keys, all or none.
    ///
    /// # Errors
    ///
    /// When there are too many, or the store cannot be written.
    pub async fn delete_many(&self, bucket: &str, keys: Vec<String>) -> Result<()> {
        check_count(keys.len())?;
        let bucket = bucket.to_owned();
        self.write(move |transaction| {
            let mut delete =
                transaction.prepare_cached("DELETE FROM pairs WHERE bucket = ?1 AND key = ?2")?;
            keys.iter().try_for_each(|key| Ok(delete.execute((&bucket, key)).map(drop)?))
        })
        .await
    }

    /// Adds to the number under a key, where none counts as 0; answers the sum.
    ///
    /// # Errors
    ///
    /// When the value is no number, the sum is too large, or the store cannot be written.
    pub async fn increment(&self, bucket: &str, key: &str, delta: i64) -> Result<i64> {
        check_pair(key, &[])?;
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.write(move |transaction| {
            let number = match find(transaction, &bucket, &key)? {
                Some((value, _)) => number(&key, &value)?,
                None => 0,
            };
            let too_large =
                || KeyValueError::Invalid(format!("the sum under {key:?} is larger than a number can be"));
            let sum = number.checked_add(delta).ok_or_else(too_large)?;
            put(transaction, &bucket, &key, sum.to_string().as_bytes())?;
            Ok(sum)
        })
        .await
    }

    /// Sets the value if the key still has this version (none: is not there); answers whether it was set.
    ///
    /// # Errors
    ///
    /// When key or value is too long, or the store cannot be written.
    pub async fn compare_and_set(
        &self,
        bucket: &str,
        key: &str,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> Result<bool> {
        check_pair(key, &value)?;
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.write(move |transaction| {
            let version = find(transaction, &bucket, &key)?.map(|(_, version)| version);
            if version != expected {
                return Ok(false);
            }
            put(transaction, &bucket, &key, &value)?;
            Ok(true)
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut reader = self.shared.readers.lend(Instant::now() + READ_TIME_MAX).await?;
        blocking(move || work(reader.connection()?)).await?
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.shared.sync.check()?;
        let shared = self.shared.clone();
        let mut writer = shared.writer.clone().lock_owned().await;
        let write = move || {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok::<_, KeyValueError>((value, shared.sync.ticket()))
        };
        let (value, ticket) = blocking(write).await??;
        self.shared.sync.reach(ticket).await?;
        Ok(value)
    }
}

impl std::fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyValue").finish_non_exhaustive()
    }
}

fn find(connection: &Connection, bucket: &str, key: &str) -> Result<Option<(Vec<u8>, u64)>> {
    let sql = "SELECT value, version FROM pairs WHERE bucket = ?1 AND key = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
    Ok(statement.query_row((bucket, key), read).optional()?)
}

fn put(connection: &Connection, bucket: &str, key: &str, value: &[u8]) -> Result<()> {
    connection.prepare_cached("UPDATE versions SET last = last + 1")?.execute([])?;
    let sql =
        "INSERT INTO pairs (bucket, key, value, version) VALUES (?1, ?2, ?3, (SELECT last FROM versions))
               ON CONFLICT (bucket, key) DO UPDATE SET value = excluded.value, version = excluded.version";
    connection.prepare_cached(sql)?.execute((bucket, key, value))?;
    Ok(())
}

fn number(key: &str, value: &[u8]) -> Result<i64> {
    let parsed = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| KeyValueError::Invalid(format!("the value under {key:?} is no number")))
}

fn check_pair(key: &str, value: &[u8]) -> Result<()> {
    if key.len() > KEY_BYTES_MAX {
        return Err(KeyValueError::Limit(format!("a key has at most {KEY_BYTES_MAX} bytes")));
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(KeyValueError::Limit(format!("a value has at most {VALUE_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn check_count(count: usize) -> Result<()> {
    match count > KEYS_MAX {
        true => Err(KeyValueError::Limit(format!("one call has at most {KEYS_MAX} keys"))),
        false => Ok(()),
    }
}
