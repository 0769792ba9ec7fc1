//! Problem documents (RFC 9457): what a client is told when a request fails.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use crate::http::Headers;

/// How long a client should wait before it tries again what is unavailable, in seconds.
const RETRY_AFTER_S: &str = "1";

/// A problem document, `application/problem+json`.
///
/// ```
/// # use hostel_sdk::Problem;
/// let problem = Problem::unprocessable("A quantity is 1 to 10000.").with("line", 2);
/// assert_eq!(problem.status(), 422);
/// ```
#[derive(Debug, Clone)]
pub struct Problem(Box<Document>);

#[derive(Debug, Clone)]
struct Document {
    status: u16,
    detail: String,
    members: Map<String, Value>,
    headers: Headers,
}

impl Problem {
    /// A problem with this HTTP status (400 to 599; anything else counts as 500) and these words for
    /// the client.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        let status = if (400..=599).contains(&status) { status } else { 500 };
        let mut headers = Headers::new();
        headers.set("content-type", "application/problem+json");
        Self(Box::new(Document { status, detail: detail.into(), members: Map::new(), headers }))
    }

    /// 400: the request is malformed.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, detail)
    }

    /// 401: the caller is not known.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(401, detail)
    }

    /// 403: the caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403, detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, detail)
    }

    /// 405, with the methods that the path does have.
    pub fn method_not_allowed(allowed: &[&str]) -> Self {
        let allowed = allowed.join(", ");
        Self::new(405, format!("This path answers {allowed}.")).header("allow", allowed)
    }

    /// 409: it contradicts what is there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409, detail)
    }

    /// 413: the body is larger than the service takes.
    pub fn content_too_large(detail: impl Into<String>) -> Self {
        Self::new(413, detail)
    }

    /// 422: well-formed, but its content breaks a rule.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(422, detail)
    }

    /// 500, without internals.
    pub fn internal() -> Self {
        Self::new(500, "The service failed; its log says why.")
    }

    /// 503 with Retry-After.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(503, detail).header("retry-after", RETRY_AFTER_S)
    }

    /// Adds an extension member (RFC 9457, 3.2). Members of the standard can not be replaced.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Cow<'static, str>>) -> Self {
        self.0.headers.set(name, &value.into());
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The words for the client.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The headers of the response.
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// The document.
    pub fn to_json(&self) -> Value {
        let mut document = self.0.members.clone();
        document.insert("type".into(), "about:blank".into());
        document.insert("title".into(), title(self.0.status).into());
        document.insert("status".into(), self.0.status.into());
        document.insert("detail".into(), self.0.detail.as_str().into());
        Value::Object(document)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status, title(self.0.status), self.0.detail)
    }
}

impl std::error::Error for Problem {}

/// The phrase of a status, which is the title of a problem of type `about:blank`.
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ if status < 500 => "Client Error",
        _ => "Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_members_of_the_standard() {
        let problem = Problem::conflict("The e-mail is taken.").with("field", "email").with("status", 200);
        let expected = serde_json::json!({
            "type": "about:blank", "title": "Conflict", "status": 409,
            "detail": "The e-mail is taken.", "field": "email",
        });
        assert_eq!(problem.to_json(), expected);
    }

    #[test]
    fn a_problem_is_never_a_success() {
        assert_eq!(Problem::new(200, "").status(), 500);
    }
}
