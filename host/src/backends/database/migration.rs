//! Applies a service's schema scripts in order, each once.

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection};
use sha2::{Digest as _, Sha256};

use super::connection::Guarded;
use super::error::DatabaseError;
use crate::backends::sqlite::now_ms;

/// Applies the scripts that have not been applied yet, in the running transaction.
pub fn apply(connection: &Guarded, scripts: &[String]) -> Result<(), DatabaseError> {
    let applied = connection.host(applied)?;
    if applied.len() > scripts.len() {
        // An older version of the code runs on a newer schema: that is how a rollback works.
        return check_unchanged(&applied[..scripts.len()], scripts);
    }
    check_unchanged(&applied, scripts)?;
    for (position, script) in scripts.iter().enumerate().skip(applied.len()) {
        connection
            .guest(|connection| run(connection, script))
            .map_err(|error| at(position, error))?;
        connection.host(|connection| note(connection, position, script))?;
    }
    Ok(())
}

fn check_unchanged(applied: &[String], scripts: &[String]) -> Result<(), DatabaseError> {
    let changed = applied.iter().zip(scripts).position(|(digest, script)| *digest != digest_of(script));
    match changed {
        Some(position) => Err(DatabaseError::statement(format!(
            "migration {} has been applied and has changed since: put the change in a new migration at the end",
            position + 1
        ))),
        None => Ok(()),
    }
}

fn applied(connection: &Connection) -> Result<Vec<String>, DatabaseError> {
    let mut statement = connection.prepare("SELECT digest FROM hostel_migrations ORDER BY position")?;
    let digests = statement.query_map([], |row| row.get(0))?;
    Ok(digests.collect::<Result<_, _>>()?)
}

fn run(connection: &Connection, script: &str) -> Result<(), DatabaseError> {
    let mut batch = Batch::new(connection, script);
    while let Some(mut statement) = batch.next()? {
        if let Some(rule) = statement.expanded_sql().as_deref().and_then(super::guard::refuse_text) {
            return Err(DatabaseError::Denied(rule));
        }
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
    }
    Ok(())
}

fn note(connection: &Connection, position: usize, script: &str) -> Result<usize, DatabaseError> {
    let sql = "INSERT INTO hostel_migrations (position, digest, at_ms) VALUES (?1, ?2, ?3)";
    Ok(connection.execute(sql, (position as i64, digest_of(script), now_ms() as i64))?)
}

fn at(position: usize, error: DatabaseError) -> DatabaseError {
    let number = position + 1;
    match error {
        DatabaseError::Statement { message, position } => {
            DatabaseError::Statement { message: format!("migration {number}: {message}"), position }
        }
        DatabaseError::Denied(rule) => DatabaseError::Denied(format!("migration {number}: {rule}")),
        DatabaseError::Constraint { kind, name } => {
            DatabaseError::Constraint { kind, name: format!("{name} (migration {number})") }
        }
        DatabaseError::Limit(limit) => DatabaseError::Limit(format!("migration {number}: {limit}")),
        other => other,
    }
}

fn digest_of(script: &str) -> String {
    Sha256::digest(script.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
