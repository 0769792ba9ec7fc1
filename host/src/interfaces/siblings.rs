//! Calls from service to service, turned round: what the layer above must offer.

use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::body::{Request, Response};
use crate::names::ServiceName;
use crate::telemetry::trace::TraceContext;

/// Sends requests to other services of this host. The balancer does; `interfaces` may not know it.
pub trait Siblings: Send + Sync {
    /// Sends one request; the answer is the response head with a streamed body.
    fn send(&self, call: SiblingCall) -> BoxFuture<'static, Result<Response, SiblingError>>;
}

/// A request from one service to another.
pub struct SiblingCall {
    /// Who calls.
    pub caller: ServiceName,
    /// Who is called.
    pub service: ServiceName,
    /// What is sent.
    pub request: Box<Request>,
    /// The id of the request that caused this one.
    pub request_id: std::sync::Arc<str>,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// When the caller stops waiting for the response head.
    pub deadline: Instant,
    /// How many services called each other to get here.
    pub depth: u8,
}

/// Why a call got no response.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SiblingError {
    /// No such service, or nothing is deployed there.
    #[error("nobody answers for the service")]
    Absent,
    /// Every instance is busy and the queue is full.
    #[error("every instance is busy")]
    Busy,
    /// It did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// It failed.
    #[error("the service failed")]
    Failed,
}
