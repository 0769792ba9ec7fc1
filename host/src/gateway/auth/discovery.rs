//! What an OpenID provider says of itself (OpenID Connect Discovery 1.0, 3).

use http::Uri;
use serde::Deserialize;

use super::fetch::{FetchError, Fetcher};
use crate::config::IssuerConfig;

/// The parts of its document that are used here.
#[derive(Debug, Deserialize)]
pub struct Discovery {
    issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where a browser signs in.
    pub authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    pub token_endpoint: Option<String>,
    /// Where a browser signs out (OpenID Connect RP-Initiated Logout 1.0, 2.1).
    pub end_session_endpoint: Option<String>,
    /// Whether it says with every answer who it is (RFC 9207, 3).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Why it cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The document does not come.
    #[error("{0}: {1}")]
    Fetch(Uri, FetchError),
    /// It is none.
    #[error("the discovery document cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It is that of somebody else.
    #[error("the discovery document is that of {0:?}, another issuer")]
    OtherIssuer(String),
}

impl Discovery {
    /// Fetches the document of an issuer at this place.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub async fn fetch(
        fetcher: &Fetcher,
        place: &Uri,
        issuer: &IssuerConfig,
    ) -> Result<Self, DiscoveryError> {
        let document = fetcher.fetch(place).await;
        let document = document.map_err(|error| DiscoveryError::Fetch(place.clone(), error))?;
        let found: Self = serde_json::from_slice(&document.body)?;
        // Or one issuer could speak for another (OpenID Connect Discovery 1.0, 4.3).
        if found.issuer != issuer.issuer {
            return Err(DiscoveryError::OtherIssuer(found.issuer));
        }
        Ok(found)
    }
}
