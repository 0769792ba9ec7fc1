//! The service's own database: statements, transactions, rows as types.
//!
//! One SQL statement a call; parameters are `$1` to `$n`, bound by number. Write what SQLite and
//! PostgreSQL both understand and the service runs on either.
//!
//! ```no_run
//! use hostel_sdk::{database, params};
//!
//! #[derive(serde::Deserialize)]
//! struct Customer {
//!     id: String,
//!     name: String,
//! }
//!
//! # fn main() -> hostel_sdk::Result<()> {
//! let all: Vec<Customer> = database::query("SELECT id, name FROM customers", params![])?;
//! let one: Option<Customer> =
//!     database::query_first("SELECT id, name FROM customers WHERE id = $1", params!["7"])?;
//! let count: Option<i64> = database::query_first("SELECT count(*) FROM customers", params![])?;
//! # Ok(())
//! # }
//! ```

mod value;
mod error;
mod row;
mod transaction;
mod cursor;

use serde::de::DeserializeOwned;

use crate::bindings::imports::hostel::service::database as host;

pub use cursor::{Cursor, cursor};
pub use error::{ConstraintKind, Error};
pub use host::Value;
pub use transaction::{OnceKey, Transaction, begin, begin_once, begin_read_only};

/// Parameters of a statement: `params![id, name, 7, None::<String>]`.
#[macro_export]
macro_rules! params {
    () => {
        &[] as &[$crate::database::Value]
    };
    ($($value:expr),+ $(,)?) => {
        &[$($crate::database::Value::from($value)),+] as &[$crate::database::Value]
    };
}

/// Runs a query on its own and answers all rows, each as a `T`: a struct by the names of the columns, a
/// tuple by their order, or a plain value when there is one column.
///
/// # Errors
/// [`Error::Limit`] for more than 10,000 rows or 16 MiB, which a [`cursor`] can read.
pub fn query<T: DeserializeOwned>(sql: &str, parameters: &[Value]) -> Result<Vec<T>, Error> {
    row::all(host::query(sql, parameters)?)
}

/// The first row of a query, if there is one.
///
/// # Errors
/// As [`query`].
pub fn query_first<T: DeserializeOwned>(sql: &str, parameters: &[Value]) -> Result<Option<T>, Error> {
    row::first(host::query(sql, parameters)?)
}

/// Runs one changing statement as a transaction of its own; answers how many rows it changed when the
/// change is durable.
///
/// # Errors
/// [`Error::Constraint`] when it would break one; then nothing was changed.
pub fn execute(sql: &str, parameters: &[Value]) -> Result<u64, Error> {
    Ok(host::execute(sql, parameters)?)
}
