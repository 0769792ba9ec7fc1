//! Removes what has expired, a little with each write, so that no table grows for ever and no write takes long.

use hostel_sdk::database::Transaction;
use hostel_sdk::{Result, params};

/// Rows that one write removes from one table: more than it adds, so that it catches up.
const ROWS_AT_ONCE: i64 = 50;

/// The tables whose rows have an end.
#[derive(Debug, Clone, Copy)]
pub enum Table {
    Sessions,
    Grants,
    Throttles,
}

/// Removes expired rows within a write that happens anyway.
pub fn expired(transaction: &Transaction, table: Table, now_ms: i64) -> Result<()> {
    let (name, id) = match table {
        Table::Sessions => ("sessions", "digest"),
        Table::Grants => ("grants", "id"),
        Table::Throttles => ("throttles", "key"),
    };
    let sql = format!(
        "DELETE FROM {name} WHERE {id} IN
         (SELECT {id} FROM {name} WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2)"
    );
    transaction.execute(&sql, params![now_ms, ROWS_AT_ONCE])?;
    Ok(())
}
