//! Refusals of the admin API: problem documents (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::deploy::DeployError;

/// A refusal.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// The status of the response.
    pub status: u16,
    /// The status in words.
    pub title: String,
    /// What happened, to what, and what to do.
    pub detail: String,
}

impl Problem {
    /// A refusal with this status.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        Self { status, title: title.unwrap_or("Error").into(), detail: detail.into() }
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let media_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}

impl From<DeployError> for Problem {
    fn from(error: DeployError) -> Self {
        let status = match &error {
            DeployError::UnknownService(_) | DeployError::NoVersion(..) => 404,
            DeployError::External(_) => 409,
            DeployError::Artifact(_) | DeployError::Component(_) | DeployError::Trial(_) => 422,
            DeployError::Open(_) | DeployError::History(_) => 503,
        };
        Self::new(status, error.to_string())
    }
}
