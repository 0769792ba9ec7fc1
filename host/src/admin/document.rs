//! The OpenAPI document of the admin API (OpenAPI 3.1).

use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::admin::{cache, host, issued, keys, logs, messages, services};

#[derive(OpenApi)]
#[openapi(
    info(title = "Hostel admin API", description = "What operators can see and do on a running host."),
    modifiers(&Token),
    paths(
        host::health, host::ready, host::metrics, host::routes, host::reload,
        services::list, services::show, services::instances, services::versions, services::deploy,
        services::roll_back, logs::show, cache::purge,
        messages::overview, messages::dead_letters, messages::dead_letter, messages::send_again,
        keys::list, keys::add, keys::revoke, issued::issue,
    )
)]
struct Document;

/// Every call but the open ones needs the bearer token.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// The document.
pub async fn show() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
