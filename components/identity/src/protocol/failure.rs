//! Why a request is not granted, in the words of OAuth (RFC 6749, 5.2).

use hostel_sdk::{Error, Response, Result, database};
use serde::Serialize;

/// The end of a request before its time.
#[derive(Debug)]
pub enum Failure {
    /// The caller is answered this.
    Answer(Response),
    /// The provider itself failed.
    Broken(Error),
}

/// An error that a client can act on. The description is ASCII without quotes, and repeats nothing of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthError {
    status: u16,
    code: &'static str,
    description: String,
}

#[derive(Serialize)]
struct Document<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl OauthError {
    /// 400 under any code of the standards.
    pub fn new(code: &'static str, description: impl Into<String>) -> Self {
        Self { status: 400, code, description: description.into() }
    }

    /// The request is malformed.
    pub fn invalid_request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    /// The client did not prove who it is.
    pub fn invalid_client(description: impl Into<String>) -> Self {
        Self { status: 401, ..Self::new("invalid_client", description) }
    }

    /// The code or refresh token does not count.
    pub fn invalid_grant(description: impl Into<String>) -> Self {
        Self::new("invalid_grant", description)
    }

    /// Its name in the standards.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What is wrong, in words.
    pub fn description(&self) -> &str {
        &self.description
    }

    fn answer(&self) -> Result<Response> {
        let document = Document { error: self.code, error_description: &self.description };
        let response = uncached(Response::json(self.status, &document)?);
        Ok(match self.status {
            // RFC 9110, 11.6.1: the answer 401 always says how to do it right.
            401 => response.header("www-authenticate", "Basic realm=\"identity\", charset=\"UTF-8\""),
            _ => response,
        })
    }
}

/// The answer of an endpoint.
///
/// # Errors
/// When the provider itself failed.
pub fn settle(outcome: Result<Response, Failure>) -> Result<Response> {
    match outcome {
        Ok(response) | Err(Failure::Answer(response)) => Ok(response),
        Err(Failure::Broken(error)) => Err(error),
    }
}

/// Keeps an answer out of every cache; the second header is for those of HTTP/1.0 (RFC 6749, 5.1).
pub fn uncached(response: Response) -> Response {
    response.header("cache-control", "no-store").header("pragma", "no-cache")
}

impl From<Response> for Failure {
    fn from(response: Response) -> Self {
        Self::Answer(response)
    }
}

impl From<OauthError> for Failure {
    fn from(error: OauthError) -> Self {
        error.answer().map_or_else(Self::Broken, Self::Answer)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl From<database::Error> for Failure {
    fn from(error: database::Error) -> Self {
        Self::Broken(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_refusal_is_kept_by_a_cache() {
        for (error, status) in [
            (OauthError::invalid_grant("The code was used before."), 400),
            (OauthError::invalid_client("The secret is wrong."), 401),
        ] {
            let response = settle(Err(error.into())).unwrap();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().get("cache-control"), Some("no-store"));
            assert_eq!(response.headers().contains("www-authenticate"), status == 401);
        }
    }
}
