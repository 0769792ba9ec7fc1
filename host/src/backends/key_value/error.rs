//! What can go wrong with buckets.

use crate::backends::sqlite::{OpenError, PoolError, Stopping, SyncFailed};

/// Why an operation on a bucket failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyValueError {
    /// A limit was reached; named.
    #[error("a limit was reached: {0}")]
    Limit(String),
    /// The value is not of the kind that the operation needs.
    #[error("{0}")]
    Invalid(String),
    /// The store cannot be reached or its disk is full.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

impl From<rusqlite::Error> for KeyValueError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<OpenError> for KeyValueError {
    fn from(error: OpenError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<PoolError> for KeyValueError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy(_) => Self::Limit(error.to_string()),
            PoolError::Open(error) => error.into(),
        }
    }
}

impl From<SyncFailed> for KeyValueError {
    fn from(error: SyncFailed) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Stopping> for KeyValueError {
    fn from(error: Stopping) -> Self {
        Self::Unavailable(error.to_string())
    }
}
