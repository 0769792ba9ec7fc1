//! The contract of a service's database: what guest SQL may do, when something is durable, who waits for whom.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use hostel::backends::database::{
    ConstraintKind, Database, DatabaseError, FILE_NAME, Mode, OnceKey, OutboxEntry, RowSet, Transaction,
    Value,
};
use hostel::backends::messaging::Message;
use tokio::time::Instant;

mod statements;
mod guest_sql;
mod transactions;
mod lasting;

/// Longer than anything here takes, so that a test that waits in vain fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs until it is stopped.
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("hostel-database-{}", uuid::Uuid::now_v7().simple())))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self) -> PathBuf {
        self.0.join(FILE_NAME)
    }

    async fn open(&self) -> Database {
        Database::open(self.path()).await.unwrap()
    }

    /// The error of opening it.
    async fn refusal(&self) -> String {
        match Database::open(self.path()).await {
            Ok(_) => panic!("the file was taken"),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn patience() -> Instant {
    Instant::now() + PATIENCE
}

async fn run(database: &Database, sql: &str, parameters: &[Value]) -> Result<u64, DatabaseError> {
    database.execute(sql.into(), parameters.to_vec(), patience()).await
}

async fn read(database: &Database, sql: &str, parameters: &[Value]) -> Result<RowSet, DatabaseError> {
    database.query(sql.into(), parameters.to_vec(), patience()).await
}

async fn integer(database: &Database, sql: &str) -> i64 {
    let rows = read(database, sql, &[]).await.unwrap().rows;
    let Value::Integer(integer) = rows[0][0] else { panic!("{:?}", rows[0]) };
    integer
}

async fn begin(database: &Database) -> Transaction {
    database.begin(Mode::ReadWrite, patience()).await.unwrap()
}

async fn with_table() -> (Folder, Database) {
    let folder = Folder::new();
    let database = folder.open().await;
    run(
        &database,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, n INTEGER CHECK (n >= 0))",
        &[],
    )
    .await
    .unwrap();
    (folder, database)
}

fn named(key: &str) -> OnceKey {
    OnceKey { scope: "test".into(), key: key.into() }
}

fn message(text: &str) -> Message {
    Message { key: Some("k".into()), body: text.to_owned().into(), ..Message::default() }
}
