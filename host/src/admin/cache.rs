//! JSON: what the gateway has kept, thrown away by path or tag.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::admin::control::Control;
use crate::admin::problem::Problem;
use crate::gateway::Purge;

/// What a purge did.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Purged {
    /// How many responses went.
    pub responses: usize,
}

/// Throws kept responses away: all, or those under a path and with a tag.
#[utoipa::path(post, path = "/cache/purge", request_body = Purge,
    responses((status = 200, body = Purged), (status = 422, body = Problem)), security(("token" = [])))]
pub async fn purge(
    State(control): State<Arc<Control>>,
    Json(purge): Json<Purge>,
) -> Result<Json<Purged>, Problem> {
    if let Some(fault) = purge.fault() {
        return Err(Problem::new(422, fault));
    }
    Ok(Json(Purged { responses: control.gateway.purge(&purge) }))
}
