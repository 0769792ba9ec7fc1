//! Applies the schema of a service, script by script, each exactly once.

use std::collections::BTreeMap;
use std::fmt::Write;

use rusqlite::Batch;
use rusqlite::fallible_iterator::FallibleIterator;
use sha2::{Digest, Sha256};

use super::connection::GuestConnection;
use super::statement::translate;
use super::text::{self, HOST_TABLE_RULE};
use super::{DatabaseError, Transaction};
use crate::backends::sqlite::{classify, now_ms};

/// Applies what was not applied yet, and hands the transaction back uncommitted.
pub async fn apply(mut transaction: Transaction, scripts: Vec<String>) -> Result<Transaction, DatabaseError> {
    transaction
        .run(move |open| {
            let guest = open.guest()?;
            let applied = read_applied(guest)?;
            // Tables are rebuilt by copy and rename; references may dangle until the end of it.
            guest.host("PRAGMA defer_foreign_keys = ON")?;
            for (position, script) in (0..).zip(&scripts) {
                apply_one(guest, &applied, position, script).map_err(|error| at(position, error))?;
            }
            Ok(())
        })
        .await?;
    Ok(transaction)
}

fn apply_one(
    guest: &GuestConnection,
    applied: &BTreeMap<i64, String>,
    position: i64,
    script: &str,
) -> Result<(), DatabaseError> {
    let digest = hex_digest(script);
    match applied.get(&position) {
        Some(known) if *known == digest => return Ok(()),
        Some(_) => {
            return Err(DatabaseError::statement(
                "it was applied before and has been changed since: leave it as it was and add a new one",
            ));
        }
        None => {}
    }
    run_script(guest, script)?;
    let insert = "INSERT INTO hostel_migrations VALUES (?1, ?2, ?3)";
    let inserted = guest.connection.execute(insert, rusqlite::params![position, digest, now_ms()]);
    inserted.map_err(|error| DatabaseError::from(classify(&error)))?;
    Ok(())
}

fn run_script(guest: &GuestConnection, script: &str) -> Result<(), DatabaseError> {
    if script.contains('\0') {
        return Err(DatabaseError::statement("it contains a NUL character"));
    }
    let mut batch = Batch::new(&guest.connection, script);
    loop {
        let guarded = guest.guard.enter();
        let Some(mut statement) = batch.next().map_err(|error| translate(&guarded, &error, 0))? else {
            return Ok(());
        };
        let sql = statement.expanded_sql().unwrap_or_default();
        text::check(&sql)?;
        if guarded.changes_schema() && text::mentions_host_name(&sql) {
            return Err(text::denied(HOST_TABLE_RULE));
        }
        let mut rows = statement.raw_query();
        while rows.next().map_err(|error| translate(&guarded, &error, 0))?.is_some() {}
    }
}

fn read_applied(guest: &GuestConnection) -> Result<BTreeMap<i64, String>, DatabaseError> {
    let wrong = |error: rusqlite::Error| DatabaseError::from(classify(&error));
    let mut statement =
        guest.connection.prepare("SELECT position, digest FROM hostel_migrations").map_err(wrong)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(wrong)?;
    rows.collect::<Result<_, _>>().map_err(wrong)
}

/// Says which script an error came from.
fn at(index: i64, error: DatabaseError) -> DatabaseError {
    let place = |message: String| format!("migration {index}: {message}");
    match error {
        DatabaseError::Constraint { .. } => DatabaseError::statement(place(error.to_string())),
        DatabaseError::Statement { message, position } => {
            DatabaseError::Statement { message: place(message), position }
        }
        DatabaseError::Conflict(message) => DatabaseError::Conflict(place(message)),
        DatabaseError::Limit(message) => DatabaseError::Limit(place(message)),
        DatabaseError::Denied(message) => DatabaseError::Denied(place(message)),
        DatabaseError::Unavailable(message) => DatabaseError::Unavailable(place(message)),
    }
}

fn hex_digest(script: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(script.as_bytes()) {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
