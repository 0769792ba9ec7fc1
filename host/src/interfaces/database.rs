//! Guest SQL calls -> `backends::database`: grants, transactions that end with their call, errors.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::Resource;

use crate::backends::database as backend;
use crate::backends::database::{Database, DatabaseError, Mode, OnceKey, Transaction};
use crate::backends::messaging::Message;
use crate::interfaces::bindings::hostel::service::database::{
    self, ConstraintKind, Error, OnceKey as GuestKey, RowSet, StatementFault, Value, Violation,
};
use crate::interfaces::bindings::hostel::service::types::Message as GuestMessage;
use crate::interfaces::call::{Call, CursorPermit, HostCall};
use crate::interfaces::guest::{GuestState, InstanceContext};
use crate::interfaces::messaging::granted_topic;
use crate::interfaces::transaction::TransactionSlot;

/// The longest a transaction or a cursor may be open: a writer waits for nobody longer than that.
const TRANSACTION_TIME_MAX: Duration = Duration::from_secs(10);

/// Rows of one page of a cursor.
const CURSOR_ROWS_MAX: u32 = 1_000;

/// A transaction that a guest holds.
pub struct GuestTransaction {
    slot: Arc<TransactionSlot>,
    mode: Mode,
}

/// A cursor that a guest holds.
pub struct GuestCursor {
    cursor: backend::Cursor,
    _permit: CursorPermit,
}

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl database::Host for GuestState {
    async fn query(&mut self, sql: String, parameters: Vec<Value>) -> Answer<RowSet> {
        let started = Instant::now();
        let result = self.this.run_query(sql, parameters).await;
        Ok(self.this.measured("query", started, result))
    }

    async fn execute(&mut self, sql: String, parameters: Vec<Value>) -> Answer<u64> {
        let started = Instant::now();
        let result = self.this.run_execute(sql, parameters).await;
        Ok(self.this.measured("execute", started, result))
    }
}

impl database::HostTransaction for GuestState {
    async fn begin(&mut self, mode: database::Mode) -> Answer<Resource<GuestTransaction>> {
        let started = Instant::now();
        let mode = match mode {
            database::Mode::ReadWrite => Mode::ReadWrite,
            database::Mode::ReadOnly => Mode::ReadOnly,
        };
        let result = self.this.run_begin(mode).await;
        let result = self.this.measured("begin", started, result);
        result.map(|transaction| self.table.push(transaction)).transpose_table()
    }

    async fn begin_once(&mut self, key: GuestKey) -> Answer<Option<Resource<GuestTransaction>>> {
        let started = Instant::now();
        let result = self.this.run_begin_once(key).await;
        match self.this.measured("begin-once", started, result) {
            Ok(Some(transaction)) => Ok(Ok(Some(self.table.push(transaction)?))),
            Ok(None) => Ok(Ok(None)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn query(
        &mut self,
        this: Resource<GuestTransaction>,
        sql: String,
        parameters: Vec<Value>,
    ) -> Answer<RowSet> {
        let started = Instant::now();
        let slot = self.table.get(&this)?.slot.clone();
        let result = query_in(&slot, sql, parameters).await;
        Ok(self.this.measured("query", started, result))
    }

    async fn execute(
        &mut self,
        this: Resource<GuestTransaction>,
        sql: String,
        parameters: Vec<Value>,
    ) -> Answer<u64> {
        let started = Instant::now();
        let slot = self.table.get(&this)?.slot.clone();
        let result = execute_in(&slot, sql, parameters).await;
        Ok(self.this.measured("execute", started, result))
    }

    async fn publish(
        &mut self,
        this: Resource<GuestTransaction>,
        topic: String,
        message: GuestMessage,
    ) -> Answer<String> {
        let GuestTransaction { slot, mode } = self.table.get(&this)?;
        let (slot, mode) = (slot.clone(), *mode);
        if mode == Mode::ReadOnly {
            return Ok(Err(denied("a read-only transaction publishes nothing: begin a read-write one")));
        }
        let topic = match granted_topic(&self.this, &topic) {
            Ok(topic) => topic,
            Err(reason) => return Ok(Err(Error::Denied(reason))),
        };
        let Some(mut transaction) = slot.take() else { return Ok(Err(ended())) };
        let result = transaction.publish(&topic, Message::from(message)).await;
        slot.put_back(transaction);
        if result.is_ok() {
            self.service().host.metrics.published(&self.service().config.name, self.service().version);
        }
        Ok(result.map_err(Error::from))
    }

    async fn commit(&mut self, this: Resource<GuestTransaction>) -> Answer<()> {
        let started = Instant::now();
        let result = match self.table.get(&this)?.slot.finish() {
            Some(transaction) => transaction.commit().await.map_err(Error::from),
            None => Err(ended()),
        };
        Ok(self.this.measured("commit", started, result))
    }

    async fn rollback(&mut self, this: Resource<GuestTransaction>) -> Answer<()> {
        let result = match self.table.get(&this)?.slot.finish() {
            Some(transaction) => transaction.rollback().await.map_err(Error::from),
            None => Err(ended()),
        };
        Ok(result)
    }

    async fn drop(&mut self, this: Resource<GuestTransaction>) -> wasmtime::Result<()> {
        self.table.delete(this)?.slot.roll_back();
        Ok(())
    }
}

impl database::HostCursor for GuestState {
    async fn open(&mut self, sql: String, parameters: Vec<Value>) -> Answer<Resource<GuestCursor>> {
        let started = Instant::now();
        let result = self.this.run_open(sql, parameters).await;
        let result = self.this.measured("cursor", started, result);
        result.map(|cursor| self.table.push(cursor)).transpose_table()
    }

    async fn columns(&mut self, this: Resource<GuestCursor>) -> wasmtime::Result<Vec<String>> {
        Ok(self.table.get(&this)?.cursor.columns().to_vec())
    }

    async fn next(&mut self, this: Resource<GuestCursor>, count: u32) -> Answer<Vec<Vec<Value>>> {
        let cursor = &mut self.table.get_mut(&this)?.cursor;
        let rows = cursor.next(count.clamp(1, CURSOR_ROWS_MAX)).await;
        Ok(rows.map(to_guest_rows).map_err(Error::from))
    }

    async fn drop(&mut self, this: Resource<GuestCursor>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl InstanceContext {
    /// The call and the database, or why there is none.
    fn database(&self) -> Result<(Arc<Call>, Database), Error> {
        let call = self.call().ok_or_else(|| {
            denied("the database can be used only while a request or message is handled, not at start-up")
        })?;
        if call.rehearsal && call.trial.is_none() {
            return Err(denied("`migrations` only tells the schema: the host applies it"));
        }
        let database = self.service.database.clone().ok_or_else(|| {
            denied(&format!(
                "[services.{}] has no database: add database = \"embedded\"",
                self.service.config.name
            ))
        })?;
        Ok((call, database))
    }

    async fn run_query(&self, sql: String, parameters: Vec<Value>) -> Result<RowSet, Error> {
        let (call, database) = self.database()?;
        if let Some(trial) = &call.trial {
            return query_in(trial, sql, parameters).await;
        }
        let rows = database.query(sql, to_backend(parameters), statement_deadline(&call)).await?;
        Ok(to_guest(rows))
    }

    async fn run_execute(&self, sql: String, parameters: Vec<Value>) -> Result<u64, Error> {
        let (call, database) = self.database()?;
        if let Some(trial) = &call.trial {
            return execute_in(trial, sql, parameters).await;
        }
        if call.is_writing() {
            return Err(denied(
                "`execute` outside of the open read-write transaction would wait for itself: use the transaction",
            ));
        }
        Ok(database.execute(sql, to_backend(parameters), statement_deadline(&call)).await?)
    }

    async fn run_begin(&self, mode: Mode) -> Result<GuestTransaction, Error> {
        let (call, database) = self.database()?;
        self.may_begin(&call, mode)?;
        let deadline = statement_deadline(&call);
        let transaction = database.begin(mode, deadline).await?;
        Ok(keep(&call, transaction, mode, deadline))
    }

    async fn run_begin_once(&self, key: GuestKey) -> Result<Option<GuestTransaction>, Error> {
        let (call, database) = self.database()?;
        self.may_begin(&call, Mode::ReadWrite)?;
        let key = match key {
            GuestKey::ThisDelivery => call
                .delivery
                .clone()
                .ok_or_else(|| denied("`this-delivery` means a message being handled, and there is none"))?,
            GuestKey::Named((scope, key)) => OnceKey { scope: format!("guest:{scope}"), key },
        };
        let deadline = statement_deadline(&call);
        let transaction = database.begin_once(key, deadline).await?;
        Ok(transaction.map(|transaction| keep(&call, transaction, Mode::ReadWrite, deadline)))
    }

    fn may_begin(&self, call: &Call, mode: Mode) -> Result<(), Error> {
        if call.trial.is_some() {
            return Err(denied(
                "`health` begins no transaction of its own: its statements run in the migrations'",
            ));
        }
        if call.is_writing() {
            return Err(denied(
                "a call has at most one read-write transaction, and no other beside it: commit or roll back first",
            ));
        }
        match call.may_open(mode) {
            true => Ok(()),
            false => Err(Error::Limit("a call has at most 4 read-only transactions open".into())),
        }
    }

    async fn run_open(&self, sql: String, parameters: Vec<Value>) -> Result<GuestCursor, Error> {
        let (call, database) = self.database()?;
        if call.trial.is_some() {
            return Err(denied("`health` opens no cursor while the schema is not committed: use `query`"));
        }
        let permit = call.cursor().ok_or_else(|| Error::Limit("a call has at most 4 cursors open".into()))?;
        let cursor = database.open_cursor(sql, to_backend(parameters), statement_deadline(&call)).await?;
        Ok(GuestCursor { cursor, _permit: permit })
    }

    fn measured<T>(
        &self,
        operation: &'static str,
        started: Instant,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        let service = &self.service;
        let name = &service.config.name;
        self.note(HostCall::Database(operation));
        service.host.metrics.database(name, service.version, operation, result.is_ok(), started.elapsed());
        if let Err(Error::Denied(reason)) = &result {
            self.denied("database", reason);
        }
        result
    }
}

/// Puts a resource's table error outside of the guest's own result.
trait TransposeTable<T> {
    fn transpose_table(self) -> Answer<T>;
}

impl<T> TransposeTable<T> for Result<Result<T, wasmtime::component::ResourceTableError>, Error> {
    fn transpose_table(self) -> Answer<T> {
        match self {
            Ok(pushed) => Ok(Ok(pushed?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

fn keep(call: &Call, transaction: Transaction, mode: Mode, deadline: Instant) -> GuestTransaction {
    let slot = TransactionSlot::new(transaction, deadline);
    call.keep(mode, slot.clone());
    GuestTransaction { slot, mode }
}

/// Statements end with the caller's patience; a stream that goes on after its deadline has the limit alone.
fn statement_deadline(call: &Call) -> Instant {
    let now = Instant::now();
    let longest = now + TRANSACTION_TIME_MAX;
    if call.deadline > now { longest.min(call.deadline) } else { longest }
}

async fn query_in(slot: &TransactionSlot, sql: String, parameters: Vec<Value>) -> Result<RowSet, Error> {
    let mut transaction = slot.take().ok_or_else(ended)?;
    let result = transaction.query(sql, to_backend(parameters)).await;
    slot.put_back(transaction);
    Ok(to_guest(result?))
}

async fn execute_in(slot: &TransactionSlot, sql: String, parameters: Vec<Value>) -> Result<u64, Error> {
    let mut transaction = slot.take().ok_or_else(ended)?;
    let result = transaction.execute(sql, to_backend(parameters)).await;
    slot.put_back(transaction);
    Ok(result?)
}

fn ended() -> Error {
    denied("the transaction has ended: it was committed, rolled back, past its time, or its call is over")
}

fn denied(rule: &str) -> Error {
    Error::Denied(rule.into())
}

fn to_backend(parameters: Vec<Value>) -> Vec<backend::Value> {
    let convert = |value| match value {
        Value::Null => backend::Value::Null,
        Value::Boolean(value) => backend::Value::Boolean(value),
        Value::Integer(value) => backend::Value::Integer(value),
        Value::Real(value) => backend::Value::Real(value),
        Value::Text(value) => backend::Value::Text(value),
        Value::Blob(value) => backend::Value::Blob(value),
    };
    parameters.into_iter().map(convert).collect()
}

fn to_guest(rows: backend::RowSet) -> RowSet {
    RowSet { columns: rows.columns, rows: to_guest_rows(rows.rows) }
}

fn to_guest_rows(rows: Vec<Vec<backend::Value>>) -> Vec<Vec<Value>> {
    let convert = |value| match value {
        backend::Value::Null => Value::Null,
        backend::Value::Boolean(value) => Value::Boolean(value),
        backend::Value::Integer(value) => Value::Integer(value),
        backend::Value::Real(value) => Value::Real(value),
        backend::Value::Text(value) => Value::Text(value),
        backend::Value::Blob(value) => Value::Blob(value),
    };
    rows.into_iter().map(|row| row.into_iter().map(convert).collect()).collect()
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Constraint { kind, name } => {
                Error::Constraint(Violation { kind: constraint_kind(kind), name })
            }
            DatabaseError::Conflict(reason) => Error::Conflict(reason),
            DatabaseError::Statement { message, position } => {
                Error::Statement(StatementFault { message, position })
            }
            DatabaseError::Limit(reason) => Error::Limit(reason),
            DatabaseError::Denied(reason) => Error::Denied(reason),
            DatabaseError::Unavailable(reason) => Error::Unavailable(reason),
        }
    }
}

fn constraint_kind(kind: backend::ConstraintKind) -> ConstraintKind {
    match kind {
        backend::ConstraintKind::Unique => ConstraintKind::Unique,
        backend::ConstraintKind::PrimaryKey => ConstraintKind::PrimaryKey,
        backend::ConstraintKind::ForeignKey => ConstraintKind::ForeignKey,
        backend::ConstraintKind::NotNull => ConstraintKind::NotNull,
        backend::ConstraintKind::Check => ConstraintKind::Check,
        backend::ConstraintKind::Other => ConstraintKind::Other,
    }
}
