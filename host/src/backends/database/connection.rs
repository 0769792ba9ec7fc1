//! A connection that runs guest SQL: guarded, limited, with a clock.

use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

use super::DatabaseError;
use super::authorizer::Guard;
use crate::backends::sqlite::{Clock, Running, classify};

/// The longest text or blob, and the longest row; a row is held in memory as a whole.
pub const VALUE_BYTES_MAX: i32 = 16 * 1024 * 1024;

/// The longest statement.
const SQL_BYTES_MAX: i32 = 1024 * 1024;

/// SQLite looks at the clock after so many of its instructions, about every 20 µs.
const CLOCK_INSTRUCTIONS: i32 = 1_000;

/// Compiled statements kept for each connection.
const STATEMENTS_CACHED: usize = 128;

/// The limits that keep one statement from using up stack, memory or, within one instruction, time.
const LIMITS: [(Limit, i32); 11] = [
    (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES_MAX),
    (Limit::SQLITE_LIMIT_COLUMN, 1_000),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 500),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 500),
    (Limit::SQLITE_LIMIT_VDBE_OP, 1_000_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    // LIKE compares in time that grows with pattern times text, and can not be interrupted meanwhile.
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 10_000),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 100),
];

/// A guarded connection.
pub struct GuestConnection {
    /// SQLite's own.
    pub connection: Connection,
    /// Stands before guest SQL.
    pub guard: Guard,
    clock: Arc<Clock>,
}

impl GuestConnection {
    /// Prepares a connection for guest SQL.
    pub fn new(connection: Connection) -> rusqlite::Result<Self> {
        for (limit, most) in LIMITS {
            connection.set_limit(limit, most)?;
        }
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
        // Double quotes are for names, as in the standard and in PostgreSQL.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        let clock = Arc::new(Clock::default());
        let looked_at = clock.clone();
        connection.progress_handler(CLOCK_INSTRUCTIONS, Some(move || looked_at.is_over()))?;
        let guard = Guard::install(&connection)?;
        Ok(Self { connection, guard, clock })
    }

    /// Runs work that is interrupted at its deadline or when its caller goes away.
    pub fn during<T>(&mut self, running: Arc<Running>, work: impl FnOnce(&mut Self) -> T) -> T {
        self.set_running(Some(running));
        let answer = work(self);
        self.set_running(None);
        answer
    }

    /// Says what runs on the connection from now on; none: the host's own, which is not interrupted.
    pub fn set_running(&self, running: Option<Arc<Running>>) {
        self.clock.set(running);
    }

    /// Runs the host's own statements. They are not kept compiled: guest SQL of the
    /// same text must never meet a statement that was compiled without the guard.
    pub fn host(&self, sql: &str) -> Result<(), DatabaseError> {
        self.connection.execute_batch(sql).map_err(|error| DatabaseError::from(classify(&error)))
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }
}
