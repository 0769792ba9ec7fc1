//! Why a login fails, and how the person before the browser is told.

use http::StatusCode;

/// Why a login fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginFault {
    /// The request names no host, so that nobody could be sent back.
    Host,
    /// The address to go on to is not one of this host.
    Target,
    /// The browser comes back without having been sent, too late, or twice.
    Unexpected,
    /// The provider has not let the person in.
    Refused,
    /// The provider cannot be reached.
    Away,
    /// The provider answers something else than the protocol says.
    Provider,
    /// The session cannot be kept.
    Store,
}

impl LoginFault {
    /// Status, name and title of the response.
    pub fn outline(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Host | Self::Target | Self::Unexpected => {
                (StatusCode::BAD_REQUEST, "login-unexpected", "Sign in again")
            }
            Self::Refused => (StatusCode::FORBIDDEN, "login-refused", "Not signed in"),
            Self::Away | Self::Store => {
                (StatusCode::SERVICE_UNAVAILABLE, "login-unavailable", "Signing in is not possible now")
            }
            Self::Provider => (StatusCode::BAD_GATEWAY, "login-failed", "Signing in failed"),
        }
    }

    /// What the caller may know.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Host => "the request names no host to come back to",
            Self::Target => "`to` is a path of this host, such as /orders",
            Self::Unexpected => "this sign-in was not begun in this browser, or too long ago: begin again",
            Self::Refused => "the identity provider has not let you in",
            Self::Away => "the identity provider cannot be reached; try again in a moment",
            Self::Provider => {
                "the identity provider has answered in an unexpected way; the operator finds the reason in the log"
            }
            Self::Store => "the session could not be kept; try again in a moment",
        }
    }
}
