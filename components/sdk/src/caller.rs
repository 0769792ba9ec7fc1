//! Who is calling, as the host says it; no client and no guest can forge these headers.

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::http::Headers;
use crate::problem::Problem;

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

    /// The same, for what nobody may do unknown.
    ///
    /// # Errors
    /// 401 when the gateway has authenticated nobody.
    pub fn require_subject(&self) -> Result<&'a str, Problem> {
        self.subject().ok_or_else(|| Problem::unauthorized("Sign in, or send a token, and try again."))
    }

    /// Lets pass whom a thing belongs to, and who has a scope to act for everybody.
    ///
    /// # Errors
    /// 403 for anybody else.
    pub fn require_owner(&self, owner: &str, scope: &str) -> Result<(), Problem> {
        if self.subject() == Some(owner) || self.has_scope(scope) {
            return Ok(());
        }
        Err(Problem::forbidden(format!("This belongs to somebody else; others need the scope {scope}.")))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(subject: Option<&str>, scopes: &str) -> Headers {
        let mut headers = Headers::new();
        if let Some(subject) = subject {
            headers.set("hostel-subject", subject);
        }
        headers.set("hostel-scopes", scopes);
        headers
    }

    #[test]
    fn what_belongs_to_somebody_is_for_its_owner_and_those_with_the_scope() {
        let check = |subject: Option<&str>, scopes: &str, expected: bool| {
            let headers = headers(subject, scopes);
            let allowed = Caller::new(&headers).require_owner("ada", "shop");
            assert_eq!(allowed.is_ok(), expected, "{subject:?} {scopes:?}");
            assert!(allowed.is_ok() || allowed.is_err_and(|problem| problem.status() == 403));
        };
        check(Some("ada"), "", true);
        check(Some("eve"), "openid shop", true);
        check(Some("eve"), "shopping", false);
        check(Some("Ada"), "", false);
        check(Some(""), "", false);
        check(None, "", false);
    }

    #[test]
    fn nobody_is_asked_to_sign_in() {
        let (known, unknown) = (headers(Some("ada"), ""), headers(None, ""));
        assert_eq!(Caller::new(&known).require_subject().unwrap(), "ada");
        assert_eq!(Caller::new(&unknown).require_subject().unwrap_err().status(), 401);
    }
}
