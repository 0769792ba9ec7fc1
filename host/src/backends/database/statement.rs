//! Runs one guest statement: checked, compiled or taken from the cache, parameters bound by number.

use std::ops::{Deref, DerefMut};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Rows, Statement};

use super::authorizer::Guarded;
use super::connection::GuestConnection;
use super::text::{self, HOST_TABLE_RULE};
use super::{DatabaseError, RowSet, Value};
use crate::backends::sqlite::classify;

/// The most rows a query answers; more are read by a cursor.
pub const ROWS_MAX: usize = 10_000;

/// The most bytes a query answers, since all of them are in memory at once.
pub const ROWS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longer statements are compiled each time: they are seldom repeated, and the cache would grow with them.
const CACHED_SQL_BYTES_MAX: usize = 16 * 1024;

enum Prepared<'c> {
    Cached(CachedStatement<'c>),
    Once(Statement<'c>),
}

/// Runs a statement and answers its rows.
pub fn query(guest: &GuestConnection, sql: &str, parameters: &[Value]) -> Result<RowSet, DatabaseError> {
    with_rows(guest, sql, parameters, |columns, next| {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while let Some(row) = next()? {
            bytes += row.iter().map(Value::bytes).sum::<usize>();
            if rows.len() >= ROWS_MAX || bytes > ROWS_BYTES_MAX {
                return Err(DatabaseError::Limit(format!(
                    "rows: a query answers at most {ROWS_MAX} rows and {ROWS_BYTES_MAX} bytes; use a cursor"
                )));
            }
            rows.push(row);
        }
        Ok(RowSet { columns, rows })
    })
}

/// Runs a statement and answers how many rows it changed.
pub fn execute(guest: &GuestConnection, sql: &str, parameters: &[Value]) -> Result<u64, DatabaseError> {
    let guarded = guest.guard.enter();
    let mut statement = prepare(guest, &guarded, sql)?;
    if statement.readonly() && statement.column_count() > 0 {
        return Err(DatabaseError::statement(
            "`execute` is for statements that change something: use `query`",
        ));
    }
    bind(&mut statement, parameters)?;
    let before = guest.connection.total_changes();
    let mut rows = statement.raw_query();
    // What RETURNING answers is not asked for here, but the statement has to run to its end.
    while rows.next().map_err(|error| translate(&guarded, &error, 0))?.is_some() {}
    // The counter of SQLite keeps the number of an earlier statement when this one is no INSERT, UPDATE
    // or DELETE.
    let changed = guest.connection.total_changes() != before;
    Ok(if changed { guest.connection.changes() } else { 0 })
}

/// Runs a statement and hands its columns, and a function that answers its next row, to the reader.
pub fn with_rows<T>(
    guest: &GuestConnection,
    sql: &str,
    parameters: &[Value],
    read: impl FnOnce(
        Vec<String>,
        &mut dyn FnMut() -> Result<Option<Vec<Value>>, DatabaseError>,
    ) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let guarded = guest.guard.enter();
    let mut statement = prepare(guest, &guarded, sql)?;
    bind(&mut statement, parameters)?;
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let width = columns.len();
    let mut rows = statement.raw_query();
    read(columns, &mut || next_row(&guarded, &mut rows, width))
}

/// Translates an error of a guest's statement: a broken rule is `Denied` whatever SQLite makes of it.
pub fn translate(guarded: &Guarded<'_>, error: &rusqlite::Error, offset: usize) -> DatabaseError {
    if let Some(rule) = guarded.refusal() {
        return text::denied(&rule);
    }
    match DatabaseError::from(classify(error)) {
        DatabaseError::Statement { message, position } => DatabaseError::Statement {
            message,
            position: position.map(|position| position.saturating_add(u32::try_from(offset).unwrap_or(0))),
        },
        other => other,
    }
}

fn prepare<'c>(
    guest: &'c GuestConnection,
    guarded: &Guarded<'_>,
    sql: &str,
) -> Result<Prepared<'c>, DatabaseError> {
    text::check(sql)?;
    // White space around it makes no other statement; positions are counted in the text as it came.
    let offset = sql.len() - sql.trim_start().len();
    let trimmed = sql.trim();
    let prepared = if trimmed.len() > CACHED_SQL_BYTES_MAX {
        guest.connection.prepare(trimmed).map(Prepared::Once)
    } else {
        guest.connection.prepare_cached(trimmed).map(Prepared::Cached)
    };
    let statement = prepared.map_err(|error| translate(guarded, &error, offset))?;
    // SQLite does not ask about the new name in ALTER TABLE … RENAME nor about the parents of foreign
    // keys, which would run the guest's triggers inside the host's own statements.
    if guarded.changes_schema() && text::mentions_host_name(sql) {
        if let Prepared::Cached(statement) = statement {
            statement.discard();
        }
        return Err(text::denied(HOST_TABLE_RULE));
    }
    Ok(statement)
}

/// Binds `$1` to `$n` by their numbers; to SQLite they are only names.
fn bind(statement: &mut Statement<'_>, parameters: &[Value]) -> Result<(), DatabaseError> {
    let mut used = vec![false; parameters.len()];
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index);
        let number =
            name.and_then(|name| name.strip_prefix('$')).and_then(|digits| digits.parse::<usize>().ok());
        let Some(number) = number.filter(|number| *number > 0) else {
            let name = name.unwrap_or("?");
            return Err(DatabaseError::statement(format!(
                "parameters are written `$1` to `$n`, not `{name}`"
            )));
        };
        let Some(value) = parameters.get(number - 1) else {
            return Err(DatabaseError::statement(format!(
                "the statement uses `${number}`, but {} parameters were given",
                parameters.len()
            )));
        };
        used[number - 1] = true;
        let bound = statement.raw_bind_parameter(index, to_sql(value));
        bound.map_err(|error| DatabaseError::from(classify(&error)))?;
    }
    match used.iter().position(|used| !used) {
        Some(unused) => Err(DatabaseError::statement(format!(
            "{} parameters were given, but the statement does not use `${}`",
            parameters.len(),
            unused + 1
        ))),
        None => Ok(()),
    }
}

fn next_row(
    guarded: &Guarded<'_>,
    rows: &mut Rows<'_>,
    width: usize,
) -> Result<Option<Vec<Value>>, DatabaseError> {
    let Some(row) = rows.next().map_err(|error| translate(guarded, &error, 0))? else {
        return Ok(None);
    };
    let mut values = Vec::with_capacity(width);
    for column in 0..width {
        let value = row.get_ref(column).map_err(|error| translate(guarded, &error, 0))?;
        values.push(read_value(value, column)?);
    }
    Ok(Some(values))
}

fn read_value(value: ValueRef<'_>, column: usize) -> Result<Value, DatabaseError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => {
                let message =
                    format!("column {} holds text that is not UTF-8: read it as a blob", column + 1);
                return Err(DatabaseError::statement(message));
            }
        },
    })
}

fn to_sql(value: &Value) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Boolean(boolean) => ValueRef::Integer(i64::from(*boolean)),
        Value::Integer(integer) => ValueRef::Integer(*integer),
        Value::Real(real) => ValueRef::Real(*real),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(blob) => ValueRef::Blob(blob),
    })
}

impl<'c> Deref for Prepared<'c> {
    type Target = Statement<'c>;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Cached(statement) => statement,
            Self::Once(statement) => statement,
        }
    }
}

impl DerefMut for Prepared<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Cached(statement) => statement,
            Self::Once(statement) => statement,
        }
    }
}
