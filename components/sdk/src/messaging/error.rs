//! Why a message was not published or answered.

use super::host;

/// An error of the message broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The topic is malformed or not granted; the line that would grant it is named.
    #[error("denied: {0}")]
    Denied(String),
    /// A limit of the host: size of the message, length of the backlog; it is named.
    #[error("limit: {0}")]
    Limit(String),
    /// Nobody subscribes to the topic of a request.
    #[error("nobody answers: {0}")]
    NoResponder(String),
    /// No answer came in time.
    #[error("no answer in time: {0}")]
    Timeout(String),
    /// The broker can not be reached or its disk is full; the message was not published.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl Error {
    /// Whether the same call may succeed in a moment.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::NoResponder(_) | Self::Timeout(_) | Self::Unavailable(_))
    }
}

impl From<host::Error> for Error {
    fn from(error: host::Error) -> Self {
        match error {
            host::Error::Denied(rule) => Self::Denied(rule),
            host::Error::Limit(which) => Self::Limit(which),
            host::Error::NoResponder(topic) => Self::NoResponder(topic),
            host::Error::Timeout(cause) => Self::Timeout(cause),
            host::Error::Unavailable(cause) => Self::Unavailable(cause),
        }
    }
}
