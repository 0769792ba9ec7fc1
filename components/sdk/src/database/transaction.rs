//! Transactions, the inbox and the outbox.

use serde::de::DeserializeOwned;

use super::{Error, Value, host, row};
use crate::messaging::Message;

/// Under which key a transaction happens at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnceKey {
    /// The message being handled; no guest can forge it.
    ThisDelivery,
    /// A key of the service's own choice in a scope of its own choice.
    Named {
        /// What the key belongs to: `orders`.
        scope: String,
        /// The key.
        key: String,
    },
}

/// A transaction. Dropping it rolls it back, and so does the end of the call that began it.
///
/// While a read-write transaction is open, `execute`, another `begin`, calls to other services and
/// `request` fail at once: ask others first, then begin.
#[derive(Debug)]
pub struct Transaction(host::Transaction);

/// Begins a read-write transaction. There is one at a time; the others wait.
///
/// # Errors
/// [`Error::Conflict`] when the wait took too long.
pub fn begin() -> Result<Transaction, Error> {
    Ok(Transaction(host::Transaction::begin(host::Mode::ReadWrite)?))
}

/// Begins a read-only transaction: one snapshot for several queries. It keeps nobody waiting.
///
/// # Errors
/// [`Error::Unavailable`] when the database can not be reached.
pub fn begin_read_only() -> Result<Transaction, Error> {
    Ok(Transaction(host::Transaction::begin(host::Mode::ReadOnly)?))
}

/// Begins a read-write transaction that happens at most once: none when one under this key has been
/// committed. A second caller waits for the first. Keys are kept for 90 days.
///
/// A message handler that begins with [`OnceKey::ThisDelivery`] has its effect once, however often the
/// message is delivered.
///
/// # Errors
/// [`Error::Conflict`] when the wait took too long; [`Error::Denied`] for `ThisDelivery` outside of a
/// message handler.
pub fn begin_once(key: &OnceKey) -> Result<Option<Transaction>, Error> {
    let key = match key {
        OnceKey::ThisDelivery => host::OnceKey::ThisDelivery,
        OnceKey::Named { scope, key } => host::OnceKey::Named((scope.clone(), key.clone())),
    };
    Ok(host::Transaction::begin_once(&key)?.map(Transaction))
}

impl Transaction {
    /// All rows of a query; see [`query`](super::query).
    ///
    /// # Errors
    /// As [`query`](super::query).
    pub fn query<T: DeserializeOwned>(&self, sql: &str, parameters: &[Value]) -> Result<Vec<T>, Error> {
        row::all(self.0.query(sql, parameters)?)
    }

    /// The first row of a query, if there is one.
    ///
    /// # Errors
    /// As [`query`](super::query).
    pub fn query_first<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[Value],
    ) -> Result<Option<T>, Error> {
        row::first(self.0.query(sql, parameters)?)
    }

    /// Runs one changing statement; answers how many rows it changed.
    ///
    /// # Errors
    /// [`Error::Constraint`] when it would break one; the transaction can go on without it.
    pub fn execute(&self, sql: &str, parameters: &[Value]) -> Result<u64, Error> {
        Ok(self.0.execute(sql, parameters)?)
    }

    /// Publishes the message if and only if this transaction commits; answers its id.
    ///
    /// # Errors
    /// [`Error::Denied`] for a topic that `publishes` of `gateway.toml` does not grant.
    pub fn publish(&self, topic: &str, message: &Message) -> Result<String, Error> {
        Ok(self.0.publish(topic, &message.to_host())?)
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// Then nothing of it has happened.
    pub fn commit(self) -> Result<(), Error> {
        Ok(self.0.commit()?)
    }

    /// Undoes everything, as dropping does.
    ///
    /// # Errors
    /// When the host can not be reached; nothing of it will happen nonetheless.
    pub fn rollback(self) -> Result<(), Error> {
        Ok(self.0.rollback()?)
    }
}
