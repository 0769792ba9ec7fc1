//! Why the broker did not do what it was asked for.

use crate::backends::sqlite::{OpenError, PoolError, Stopping, SyncFailed};

/// A call that the broker did not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MessagingError {
    /// What was asked for is not possible here; asking again does not help.
    #[error("{0}")]
    Denied(String),
    /// A limit stands against it; it is named.
    #[error("{0}")]
    Limit(String),
    /// Nobody answers requests of this topic.
    #[error("{0}")]
    NoResponder(String),
    /// No answer came in time.
    #[error("{0}")]
    Timeout(String),
    /// The broker's file can not be used, or the host is stopping.
    #[error("{0}")]
    Unavailable(String),
}

impl From<OpenError> for MessagingError {
    fn from(error: OpenError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<PoolError> for MessagingError {
    fn from(error: PoolError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<SyncFailed> for MessagingError {
    fn from(error: SyncFailed) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Stopping> for MessagingError {
    fn from(error: Stopping) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<rusqlite::Error> for MessagingError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(format!("the message broker's file: {error}"))
    }
}
