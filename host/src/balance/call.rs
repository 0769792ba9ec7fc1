//! One call to a service: what is asked, what is answered, and why not.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::balance::stream::Upgraded;
use crate::body::{Request, Response};
use crate::config::Retry;
use crate::names::{ServiceName, VersionNumber};
use crate::runtime::failure::GuestFailure;
use crate::telemetry::trace::TraceContext;

/// How long a client waits before it tries a busy service again.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// A request on its way to a service.
pub struct Call {
    /// What is sent; its `hostel-*` headers are the host's own. Boxed, as a call is moved often.
    pub request: Box<Request>,
    /// The id of the request at the gateway.
    pub request_id: Arc<str>,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// The pattern of the route by which it came; none when a service calls.
    pub route: Option<Arc<str>>,
    /// When the caller stops waiting for the response head.
    pub deadline: Instant,
    /// How many services called each other to get here; 0 for a client.
    pub depth: u8,
    /// The address of the client; none when a service calls.
    pub client: Option<IpAddr>,
    /// Whether its Host field was chosen for the service, which sees it then whatever its address.
    pub keeps_host: bool,
    /// How it is tried again; none for as the service says.
    pub retry: Option<Arc<Retry>>,
}

/// What a try knows of those of the same call before it.
#[derive(Debug, Default)]
pub struct Tries {
    /// How long this one may take that another can follow; none for as long as its service has.
    pub time: Option<Duration>,
    /// The addresses that failed the call, by their place among those of the service.
    pub failed: Vec<usize>,
}

/// The answer of a service.
pub struct Answer {
    /// The response head, with a streamed body.
    pub response: Response,
    /// The version that answered; none for an external service.
    pub version: Option<VersionNumber>,
    /// The connection, when an external service has switched protocols (status 101).
    pub upgraded: Option<Upgraded>,
}

/// Why a call got no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// There is no such service.
    #[error("there is no service {0}")]
    Unknown(ServiceName),
    /// Nothing is deployed there yet.
    #[error("no version of {0} is deployed")]
    NoVersion(ServiceName),
    /// Every instance is busy and the queue is full.
    #[error("every instance is busy")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The service kept failing and is left alone for a while.
    #[error("the service keeps failing")]
    CircuitOpen {
        /// When to try again.
        retry_after: Duration,
    },
    /// The service failed.
    #[error("the service failed: {0}")]
    Trap(String),
    /// The service returned without a response.
    #[error("the service returned no response")]
    NoResponse,
    /// The service did not answer in time.
    #[error("the limit `{limit}` was reached")]
    Timeout {
        /// The limit's name.
        limit: &'static str,
    },
    /// The service reached another limit.
    #[error("the limit `{limit}` was reached")]
    LimitExceeded {
        /// The limit's name.
        limit: &'static str,
    },
    /// An external service cannot be reached: nothing of the request was sent.
    #[error("the service cannot be reached: {0}")]
    Unreachable(String),
    /// An external service broke the connection before it answered.
    #[error("the service broke off: {0}")]
    Broken(String),
}

impl CallError {
    /// Every instance is busy.
    pub fn busy() -> Self {
        Self::Busy { retry_after: BUSY_RETRY }
    }
}

impl From<GuestFailure> for CallError {
    fn from(failure: GuestFailure) -> Self {
        match failure {
            GuestFailure::NoResponse => Self::NoResponse,
            GuestFailure::Timeout(limit) => Self::Timeout { limit },
            GuestFailure::Limit(limit) => Self::LimitExceeded { limit },
            GuestFailure::NoRoom(_) => Self::busy(),
            other => Self::Trap(other.to_string()),
        }
    }
}
