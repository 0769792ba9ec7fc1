//! Connections for reading, opened when first needed and lent out.

use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::{OpenError, lock};

type Open<C> = Box<dyn Fn() -> Result<C, OpenError> + Send + Sync>;

/// A bounded set of connections.
pub struct Pool<C> {
    most: usize,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<C>>,
    open: Open<C>,
}

/// A connection on loan; goes back when dropped.
pub struct Lease<C> {
    pool: Arc<Pool<C>>,
    connection: Option<C>,
    _permit: OwnedSemaphorePermit,
}

/// Why no connection could be lent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PoolError {
    /// All were in use until the deadline.
    #[error("all {0} reading connections were in use until the deadline")]
    Busy(usize),
    /// Opening one failed.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl<C> Pool<C> {
    /// A pool of at most so many connections.
    pub fn new(most: usize, open: impl Fn() -> Result<C, OpenError> + Send + Sync + 'static) -> Self {
        Self {
            most,
            permits: Arc::new(Semaphore::new(most)),
            idle: Mutex::new(Vec::new()),
            open: Box::new(open),
        }
    }

    /// Lends a connection, opened only when `Lease::connection` is called (on a thread that may block).
    pub async fn lend(self: &Arc<Self>, deadline: Instant) -> Result<Lease<C>, PoolError> {
        let permit = tokio::time::timeout_at(deadline, self.permits.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(PoolError::Busy(self.most));
        };
        let connection = lock(&self.idle).pop();
        Ok(Lease { pool: self.clone(), connection, _permit: permit })
    }
}

impl<C> Lease<C> {
    /// The connection.
    pub fn connection(&mut self) -> Result<&mut C, OpenError> {
        match self.connection.take() {
            Some(connection) => Ok(self.connection.insert(connection)),
            None => {
                let connection = (self.pool.open)()?;
                Ok(self.connection.insert(connection))
            }
        }
    }

    /// The connection, if it has been opened.
    pub fn opened(&mut self) -> Option<&mut C> {
        self.connection.as_mut()
    }
}

impl<C> Drop for Lease<C> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            lock(&self.pool.idle).push(connection);
        }
    }
}
