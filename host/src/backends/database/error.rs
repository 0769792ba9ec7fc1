//! What can go wrong with a database, by what a service can do about it.

use std::fmt;

use crate::backends::sqlite::{Constraint, Failure, OpenError, PoolError, Stopping, SyncFailed};

/// Why the database did not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DatabaseError {
    /// A constraint would have been broken; the statement changed nothing.
    #[error("a {kind} constraint would be broken: {name}")]
    Constraint {
        /// Of which kind.
        kind: ConstraintKind,
        /// What would be broken, as the database names it: `customers.email`.
        name: String,
    },
    /// Another transaction was in the way: roll back and try again.
    #[error("another transaction was in the way: {0}")]
    Conflict(String),
    /// The SQL or its parameters are wrong.
    #[error("{message}")]
    Statement {
        /// What is wrong.
        message: String,
        /// Byte offset in the SQL text.
        position: Option<u32>,
    },
    /// A limit of the host; it is named.
    #[error("{0}")]
    Limit(String),
    /// Not allowed; the rule is named.
    #[error("{0}")]
    Denied(String),
    /// The database can not be reached or its disk is full; what was not committed is not there.
    #[error("the database can not be used: {0}")]
    Unavailable(String),
}

/// The kind of a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    /// UNIQUE
    Unique,
    /// PRIMARY KEY
    PrimaryKey,
    /// FOREIGN KEY
    ForeignKey,
    /// NOT NULL
    NotNull,
    /// CHECK
    Check,
    /// A trigger, a type of a column, anything else.
    Other,
}

impl DatabaseError {
    /// A fault of a statement without a place in its text.
    pub(super) fn statement(message: impl Into<String>) -> Self {
        Self::Statement { message: message.into(), position: None }
    }

    /// The deadline has passed.
    pub(super) fn too_late() -> Self {
        Self::Limit("time: the statement ran into its deadline and was stopped".into())
    }
}

impl fmt::Display for ConstraintKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unique => "UNIQUE",
            Self::PrimaryKey => "PRIMARY KEY",
            Self::ForeignKey => "FOREIGN KEY",
            Self::NotNull => "NOT NULL",
            Self::Check => "CHECK",
            Self::Other => "database",
        })
    }
}

impl From<Constraint> for ConstraintKind {
    fn from(kind: Constraint) -> Self {
        match kind {
            Constraint::Unique => Self::Unique,
            Constraint::PrimaryKey => Self::PrimaryKey,
            Constraint::ForeignKey => Self::ForeignKey,
            Constraint::NotNull => Self::NotNull,
            Constraint::Check => Self::Check,
            Constraint::Other => Self::Other,
        }
    }
}

impl From<Failure> for DatabaseError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Constraint(kind, name) => Self::Constraint { kind: kind.into(), name },
            Failure::Conflict(message) => Self::Conflict(message),
            Failure::Statement(message, position) => Self::Statement { message, position },
            Failure::Interrupted => Self::too_late(),
            Failure::TooLong(message) => Self::Limit(format!("length of a value or statement: {message}")),
            Failure::ReadOnly => Self::Denied(
                "a query outside of a read-write transaction only reads: use `execute`, or begin one".into(),
            ),
            Failure::Unavailable(message) => Self::Unavailable(message),
        }
    }
}

impl From<OpenError> for DatabaseError {
    fn from(error: OpenError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<PoolError> for DatabaseError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy(_) => Self::Limit(error.to_string()),
            PoolError::Open(error) => error.into(),
        }
    }
}

impl From<Stopping> for DatabaseError {
    fn from(error: Stopping) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<SyncFailed> for DatabaseError {
    fn from(error: SyncFailed) -> Self {
        Self::Unavailable(error.to_string())
    }
}
