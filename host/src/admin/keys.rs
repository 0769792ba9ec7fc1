//! JSON: API keys: make one, list them, revoke one.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use crate::admin::control::Control;
use crate::admin::key_store::{KeyRecord, KeyStoreError};
use crate::admin::problem::Problem;

/// An API key, without the key itself.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeyView {
    /// Its id.
    pub id: String,
    /// Whom it stands for: the subject that services see.
    pub name: String,
    /// What its holder may.
    pub scopes: Vec<String>,
    /// When it was made.
    #[schema(value_type = String)]
    pub created: jiff::Timestamp,
    /// From when on it counts no more; none: until it is revoked.
    #[schema(value_type = Option<String>)]
    pub expires: Option<jiff::Timestamp>,
}

/// An API key that was just made.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MadeKey {
    /// The key itself. It is shown only now: the host keeps no more than its digest.
    pub key: String,
    /// What is remembered of it.
    pub details: KeyView,
}

/// What key is wanted.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedKey {
    /// Whom it stands for.
    pub name: String,
    /// What its holder may; nothing when absent.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The seconds that it counts; until it is revoked when absent.
    pub expires_in_s: Option<u64>,
}

/// Every API key, also those that have expired.
#[utoipa::path(get, path = "/keys", responses((status = 200, body = [KeyView])), security(("token" = [])))]
pub async fn list(State(control): State<Arc<Control>>) -> Json<Vec<KeyView>> {
    Json(control.keys.list().await.into_iter().map(KeyView::from).collect())
}

/// Makes an API key, which counts at once.
#[utoipa::path(post, path = "/keys", request_body = WantedKey,
    responses((status = 200, body = MadeKey), (status = 409, body = Problem), (status = 422, body = Problem)),
    security(("token" = [])))]
pub async fn add(
    State(control): State<Arc<Control>>,
    Json(wanted): Json<WantedKey>,
) -> Result<Json<MadeKey>, Problem> {
    let life = wanted.expires_in_s.map(Duration::from_secs);
    let (record, key) = control.keys.add(&wanted.name, wanted.scopes, life).await?;
    Ok(Json(MadeKey { key, details: record.into() }))
}

/// Revokes an API key, which counts no more at once.
#[utoipa::path(delete, path = "/keys/{id}", params(("id" = String, Path)),
    responses((status = 200, body = KeyView), (status = 404, body = Problem)), security(("token" = [])))]
pub async fn revoke(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<KeyView>, Problem> {
    Ok(Json(control.keys.revoke(&id).await?.into()))
}

impl From<KeyRecord> for KeyView {
    fn from(record: KeyRecord) -> Self {
        let KeyRecord { id, name, scopes, created, expires, .. } = record;
        Self { id, name, scopes, created, expires }
    }
}

impl From<KeyStoreError> for Problem {
    fn from(error: KeyStoreError) -> Self {
        let status = match &error {
            KeyStoreError::Invalid(_) => 422,
            KeyStoreError::Full => 409,
            KeyStoreError::Unknown(_) => 404,
            KeyStoreError::Store(_) | KeyStoreError::Written(_) => 503,
        };
        Self::new(status, error.to_string())
    }
}
