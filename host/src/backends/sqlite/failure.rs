//! What a failed SQLite call means to its caller.

use rusqlite::{Error, ErrorCode, ffi};

/// A failed call, by what the caller can do about it.
#[derive(Debug, Clone)]
pub enum Failure {
    /// A constraint would have been broken.
    Constraint(Constraint, String),
    /// Another transaction was in the way.
    Conflict(String),
    /// The statement is wrong; with the byte offset of the fault where SQLite knows it.
    Statement(String, Option<u32>),
    /// The progress handler stopped it.
    Interrupted,
    /// A value or a row is too long.
    TooLong(String),
    /// A write on a connection that only reads.
    ReadOnly,
    /// Disk, file or memory.
    Unavailable(String),
}

/// The kind of a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
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
    /// A trigger, a type, anything else
    Other,
}

/// Sorts an error of SQLite.
pub fn classify(error: &Error) -> Failure {
    match error {
        Error::SqliteFailure(code, message) => {
            let message = message.clone().unwrap_or_else(|| code.to_string());
            by_code(code, message)
        }
        Error::SqlInputError { error, msg, offset, .. } => match by_code(error, msg.clone()) {
            Failure::Statement(message, _) => Failure::Statement(message, u32::try_from(*offset).ok()),
            other => other,
        },
        other => Failure::Statement(other.to_string(), None),
    }
}

fn by_code(error: &ffi::Error, message: String) -> Failure {
    match error.code {
        ErrorCode::ConstraintViolation => {
            let name = message.split_once(": ").map_or(String::new(), |(_, name)| name.to_owned());
            match constraint(error.extended_code) {
                Constraint::Other => Failure::Constraint(Constraint::Other, message),
                kind => Failure::Constraint(kind, name),
            }
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SchemaChanged => {
            Failure::Conflict(message)
        }
        ErrorCode::OperationInterrupted | ErrorCode::OperationAborted => Failure::Interrupted,
        ErrorCode::TooBig => Failure::TooLong(message),
        ErrorCode::ReadOnly => Failure::ReadOnly,
        ErrorCode::PermissionDenied
        | ErrorCode::OutOfMemory
        | ErrorCode::SystemIoFailure
        | ErrorCode::DatabaseCorrupt
        | ErrorCode::DiskFull
        | ErrorCode::CannotOpen
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::NoLargeFileSupport
        | ErrorCode::NotADatabase
        | ErrorCode::InternalMalfunction => Failure::Unavailable(message),
        _ => Failure::Statement(message, None),
    }
}

fn constraint(extended_code: i32) -> Constraint {
    match extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE => Constraint::Unique,
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => Constraint::PrimaryKey,
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Constraint::ForeignKey,
        ffi::SQLITE_CONSTRAINT_NOTNULL => Constraint::NotNull,
        ffi::SQLITE_CONSTRAINT_CHECK => Constraint::Check,
        _ => Constraint::Other,
    }
}
