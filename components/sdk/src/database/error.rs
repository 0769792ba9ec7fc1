//! Why the database refused.

use super::host;

pub use host::ConstraintKind;

/// An error of the database that code can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A constraint would have been broken; nothing was changed.
    #[error("the constraint {kind:?} {name} would be broken")]
    Constraint {
        /// Its kind.
        kind: ConstraintKind,
        /// What was broken, as the database names it: `customers.email`.
        name: String,
    },
    /// Another transaction was in the way: roll back and try again.
    #[error("conflict, try again: {0}")]
    Conflict(String),
    /// The SQL or its parameters are wrong.
    #[error("wrong statement: {message}")]
    Statement {
        /// What the database says.
        message: String,
        /// Byte offset in the SQL text, where the database knows it.
        position: Option<u32>,
    },
    /// A limit of the host, which is named.
    #[error("limit: {0}")]
    Limit(String),
    /// Not allowed; the rule is named.
    #[error("denied: {0}")]
    Denied(String),
    /// The database can not be reached or its disk is full; what was not committed is not there.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A row does not fit the type that it was read as.
    #[error("a row does not fit its type: {0}")]
    Row(String),
}

impl Error {
    /// Whether the same call may succeed in a moment.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Conflict(_) | Self::Unavailable(_))
    }

    /// Whether there is already a row of this kind: a unique or primary key would have been broken.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Constraint { kind: ConstraintKind::Unique | ConstraintKind::PrimaryKey, .. })
    }
}

impl From<host::Error> for Error {
    fn from(error: host::Error) -> Self {
        match error {
            host::Error::Constraint(broken) => Self::Constraint { kind: broken.kind, name: broken.name },
            host::Error::Conflict(cause) => Self::Conflict(cause),
            host::Error::Statement(fault) => {
                Self::Statement { message: fault.message, position: fault.position }
            }
            host::Error::Limit(which) => Self::Limit(which),
            host::Error::Denied(rule) => Self::Denied(rule),
            host::Error::Unavailable(cause) => Self::Unavailable(cause),
        }
    }
}

impl serde::de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Row(message.to_string())
    }
}
