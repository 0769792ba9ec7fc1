//! Tries a version out before it answers: its schema and its health, in one transaction.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backends::database::{Database, DatabaseError};
use crate::balance::pool::Pool;
use crate::config::Instances;
use crate::interfaces::call::Call;
use crate::interfaces::transaction::TransactionSlot;
use crate::names::RequestId;
use crate::runtime::blueprint::Blueprint;
use crate::runtime::failure::GuestFailure;
use crate::runtime::instance::Instance;
use crate::telemetry::trace::TraceContext;

/// The longest that migrations and the health check in them may take: other writers wait meanwhile.
const MIGRATION_TIME_MAX: Duration = Duration::from_secs(5);

/// Why a version was found unfit.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// No instance could be made.
    #[error("no instance of it could be made: {0}")]
    Start(String),
    /// It lacks a function that the host would call.
    #[error("it cannot be called: {0}")]
    Uncallable(String),
    /// It could not tell its migrations.
    #[error("it failed while it told its migrations: {0}")]
    Migrations(String),
    /// It has migrations but no database.
    #[error("it has migrations but no database: add database = \"embedded\" to [services.{0}]")]
    NoDatabase(crate::names::ServiceName),
    /// Its migrations failed.
    #[error("its migrations failed, and nothing of them stays: {0}")]
    Schema(DatabaseError),
    /// It failed while it was asked for its health.
    #[error("it failed its health check: {0}")]
    Health(String),
    /// It says that it cannot work.
    #[error("it says that it cannot work: {0}")]
    Unfit(String),
}

/// A version that is fit, with its schema not yet committed.
pub struct Trial {
    pool: Arc<Pool>,
    instance: Box<Instance>,
    schema: Option<Arc<TransactionSlot>>,
}

impl Trial {
    /// Makes an instance, applies its migrations in a transaction and asks its health inside it.
    ///
    /// # Errors
    ///
    /// What it failed at; then nothing of it stays.
    pub async fn run(blueprint: Blueprint, instances: Instances) -> Result<Self, TrialError> {
        let context = blueprint.context().clone();
        let mut instance =
            blueprint.instantiate().await.map_err(|failure| TrialError::Start(failure.story()))?;
        blueprint.check_exports().map_err(TrialError::Uncallable)?;
        let scripts = instance
            .migrations(Arc::new(call(None)))
            .await
            .map_err(|failure| TrialError::Migrations(failure.story()))?;
        let pool = Pool::new(blueprint, instances);
        pool.warm().await.map_err(|failure| TrialError::Start(failure.story()))?;
        let schema = match (&context.database, scripts.is_empty()) {
            (Some(database), _) => Some(migrate(database, scripts).await?),
            (None, true) => None,
            (None, false) => return Err(TrialError::NoDatabase(context.config.name.clone())),
        };
        check(&mut instance, call(schema.clone())).await?;
        Ok(Self { pool, instance, schema })
    }

    /// Commits the schema, and answers the pool with its first instances.
    ///
    /// # Errors
    ///
    /// When the commit fails.
    pub async fn accept(self) -> Result<Arc<Pool>, TrialError> {
        if let Some(schema) = self.schema {
            let lost = || DatabaseError::Limit("the migrations took longer than 5 s".into());
            let transaction = schema.finish().ok_or_else(lost).map_err(TrialError::Schema)?;
            transaction.commit().await.map_err(TrialError::Schema)?;
        }
        self.pool.add(self.instance);
        Ok(self.pool)
    }
}

async fn migrate(database: &Database, scripts: Vec<String>) -> Result<Arc<TransactionSlot>, TrialError> {
    let deadline = Instant::now() + MIGRATION_TIME_MAX;
    let transaction = database.migrate(scripts, deadline).await.map_err(TrialError::Schema)?;
    Ok(TransactionSlot::new(transaction, deadline))
}

async fn check(instance: &mut Instance, call: Call) -> Result<(), TrialError> {
    let health = instance.health(Arc::new(call)).await;
    health.map_err(|failure: GuestFailure| TrialError::Health(failure.story()))?.map_err(TrialError::Unfit)
}

fn call(trial: Option<Arc<TransactionSlot>>) -> Call {
    let deadline = Instant::now() + MIGRATION_TIME_MAX;
    let mut call = Call::new(RequestId::new().into(), TraceContext::new(), deadline);
    call.rehearsal = true;
    call.trial = trial;
    call
}
