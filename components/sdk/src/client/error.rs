//! Why a call failed.

use crate::bindings::imports::wasi::http::types::ErrorCode;

/// An error of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The URL or a header is malformed.
    #[error("{0:?} can not be called: the URL or a header is malformed")]
    Url(String),
    /// The call is not granted; the host names the rule.
    #[error("denied: {0}; grant it in `calls` or `fetches` of gateway.toml")]
    Denied(String),
    /// No answer came in time.
    #[error("{0} did not answer in time")]
    Timeout(String),
    /// The other side could not be reached, or the answer broke off.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// The other side answered with this status.
    #[error("{url} answered {status}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// What was called.
        url: String,
    },
    /// The body of the answer is not what it should be.
    #[error("the answer of {url} can not be read: {cause}")]
    Body {
        /// What was called.
        url: String,
        /// What is wrong.
        cause: String,
    },
}

impl Error {
    /// Whether the same call may succeed in a moment.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Unreachable(_) => true,
            Self::Status { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::Url(_) | Self::Denied(_) | Self::Body { .. } => false,
        }
    }

    pub(super) fn from_code(code: ErrorCode, url: &str) -> Self {
        match code {
            ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Self::Denied(url.to_owned()),
            ErrorCode::HttpRequestUriInvalid => Self::Url(url.to_owned()),
            ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionReadTimeout
            | ErrorCode::ConnectionWriteTimeout
            | ErrorCode::DnsTimeout
            | ErrorCode::HttpResponseTimeout => Self::Timeout(url.to_owned()),
            code => Self::Unreachable(format!("{url}: {code:?}")),
        }
    }
}
