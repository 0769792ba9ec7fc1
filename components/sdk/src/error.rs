//! What a handler may fail with, and what its caller is told of it.

use crate::problem::Problem;
use crate::{client, config, database, key_value, messaging};

/// The result of nearly every call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a handler could not do its work. Only a [`Problem`] is meant for the client; everything else is
/// logged, and the client gets a problem document without internals.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request or the message is at fault; the document says how.
    #[error("{0}")]
    Problem(#[from] Problem),
    /// The service's own database failed.
    #[error("database: {0}")]
    Database(#[from] database::Error),
    /// A message could not be published or answered.
    #[error("messaging: {0}")]
    Messaging(#[from] messaging::Error),
    /// A call to another service or an outside host failed.
    #[error("call: {0}")]
    Call(#[from] client::Error),
    /// A bucket failed.
    #[error("key-value: {0}")]
    KeyValue(#[from] key_value::Error),
    /// A configuration value is missing or malformed.
    #[error("configuration: {0}")]
    Config(#[from] config::Error),
    /// Anything else, in words for the log.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// An error of the service itself, in words for the log.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }

    /// Whether the same call may succeed in a moment.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.status() == 503,
            Self::Database(error) => error.is_temporary(),
            Self::Messaging(error) => error.is_temporary(),
            Self::Call(error) => error.is_temporary(),
            Self::KeyValue(_) | Self::Config(_) | Self::Internal(_) => false,
        }
    }

    /// What the client is told: the problem itself, 503 for what is temporary, else 500.
    pub fn into_problem(self) -> Problem {
        if let Self::Problem(problem) = self {
            return problem;
        }
        if self.is_temporary() {
            return Problem::unavailable("The service can not answer right now; try again in a moment.");
        }
        Problem::internal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internals_stay_inside() {
        let fault = database::Error::Statement { message: "no such table: secret".into(), position: None };
        let problem = Error::from(fault).into_problem();
        assert_eq!(problem.status(), 500);
        assert!(!problem.to_json().to_string().contains("secret"));
    }

    #[test]
    fn what_is_temporary_becomes_503() {
        for error in [
            Error::from(database::Error::Conflict("busy".into())),
            Error::from(database::Error::Unavailable("disk full".into())),
            Error::from(client::Error::Unreachable("stock".into())),
        ] {
            assert_eq!(error.into_problem().status(), 503);
        }
    }
}
