//! Why a caller may not pass, and how it is told (RFC 6750, 3; RFC 9110, 11.6.1). The resource is not named.

use std::time::Duration;

use http::{HeaderValue, StatusCode};

/// When a caller may ask again while the keys of its issuer are away: they are asked for again by then.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a caller may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// It has not shown who it is.
    Missing,
    /// It has not shown a certificate, which is the only way.
    NoCertificate,
    /// It has shown more than one thing.
    Several,
    /// What it has shown does not count; the text says why.
    Invalid(&'static str),
    /// It lacks one of these scopes, written with spaces between them.
    Scope(String),
    /// It lacks a role or claim.
    Forbidden,
    /// Its browser was perhaps made to ask by a page of another site.
    CrossSite,
    /// Whether its token counts cannot be told: the keys of the issuer were never had.
    KeysAway,
}

impl Denial {
    /// Status, name and title of the response.
    pub fn outline(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Missing => (StatusCode::UNAUTHORIZED, "unauthenticated", "Authentication needed"),
            Self::Several => (StatusCode::BAD_REQUEST, "several-credentials", "Several credentials"),
            Self::Invalid(_) => (StatusCode::UNAUTHORIZED, "invalid-credentials", "Invalid credentials"),
            Self::NoCertificate | Self::Scope(_) | Self::Forbidden => {
                (StatusCode::FORBIDDEN, "forbidden", "Forbidden")
            }
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross-site", "Not from this site"),
            Self::KeysAway => {
                (StatusCode::SERVICE_UNAVAILABLE, "issuer-unavailable", "Identity provider unavailable")
            }
        }
    }

    /// What the caller may know.
    pub fn detail(&self) -> &'static str {
        match self {
            Self::Missing => "show who you are, in the Authorization header",
            Self::NoCertificate => "this is only for holders of a client certificate",
            Self::Several => "show who you are once: one Authorization or one X-Api-Key header",
            Self::Invalid(reason) => reason,
            Self::Scope(_) => "you lack a scope that is needed here",
            Self::Forbidden => "you are known, but you may not do this",
            Self::CrossSite => {
                "with a session only pages of this very site may do this: the request needs an Origin or Sec-Fetch-Site that says so"
            }
            Self::KeysAway => "the identity provider cannot be reached, so your token cannot be checked",
        }
    }

    /// When it may ask again.
    pub fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::KeysAway).then_some(RETRY_AFTER)
    }

    /// The WWW-Authenticate header of the response.
    pub fn challenge(&self) -> Option<HeaderValue> {
        let challenge = match self {
            Self::Missing => return Some(HeaderValue::from_static("Bearer")),
            Self::Several => "Bearer error=\"invalid_request\"".to_owned(),
            Self::Invalid(reason) => {
                format!("Bearer error=\"invalid_token\", error_description=\"{reason}\"")
            }
            Self::Scope(scopes) => format!("Bearer error=\"insufficient_scope\", scope=\"{scopes}\""),
            Self::Forbidden => "Bearer error=\"insufficient_scope\"".to_owned(),
            Self::NoCertificate | Self::CrossSite | Self::KeysAway => return None,
        };
        HeaderValue::try_from(challenge).ok()
    }
}
