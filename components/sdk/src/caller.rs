//! Who is calling, as the host says it; no client and no guest can forge these headers.

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::http::Headers;

/// The caller of a request.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a>(&'a Headers);

impl<'a> Caller<'a> {
    pub(crate) fn new(headers: &'a Headers) -> Self {
        Self(headers)
    }

    /// Whom the gateway has authenticated: the subject of the token. Calls of other services carry the
    /// original caller.
    pub fn subject(&self) -> Option<&'a str> {
        self.0.get("hostel-subject")
    }

    /// The scopes of the caller, separated by spaces in the header.
    pub fn scopes(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.get("hostel-scopes").unwrap_or_default().split_ascii_whitespace()
    }

    /// Whether the caller has this scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|owned| owned == scope)
    }

    /// The claims of the caller's token.
    ///
    /// # Errors
    /// [`Error::Internal`] when they do not fit the type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some(text) = self.0.get("hostel-claims") else {
            return Ok(None);
        };
        serde_json::from_str(text).map(Some).map_err(|error| Error::internal(format!("claims: {error}")))
    }

    /// The service that calls; none for a request from outside.
    pub fn service(&self) -> Option<&'a str> {
        self.0.get("hostel-service")
    }

    /// The id of the request, found again in access log, logs and problem documents.
    pub fn request_id(&self) -> Option<&'a str> {
        self.0.get("hostel-request")
    }
}
