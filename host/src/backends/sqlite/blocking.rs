//! Moves SQLite work off the async workers.

/// The host is stopping and takes no more work.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the host is stopping")]
pub struct Stopping;

/// Runs the work on a thread that may block. Dropping the future does not stop work that has begun.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stopping> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Stopping)
}
