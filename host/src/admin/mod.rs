//! The admin listener: what operators and the command can see and do, as JSON over HTTP.
//!
//! Files in reading order: `token` is the secret of operators; `guard` checks it; `problem` is a refusal;
//! `key_store` keeps API keys; `control` is what the API acts on; `services`, `messages`, `keys`, `issued` (tokens),
//! `logs`, `cache` and `host` are its calls; `document` describes them.

pub mod token;
pub mod guard;
pub mod problem;
pub mod key_store;
pub mod control;
pub mod services;
pub mod messages;
pub mod keys;
pub mod issued;
pub mod logs;
pub mod cache;
pub mod host;
pub mod document;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::control::Control;
use crate::admin::guard::{Guard, need_own_host, need_token};
use crate::admin::token::AdminToken;
use crate::deploy::artifact::ARTIFACT_BYTES_MAX;

/// Answers operators until `stop` is cancelled.
pub async fn run(listener: TcpListener, control: Arc<Control>, token: AdminToken, stop: CancellationToken) {
    let serve = axum::serve(listener, router(control, token));
    // Followed logs never end by themselves, so the listener is dropped instead of drained.
    tokio::select! {
        result = serve => if let Err(error) = result {
            tracing::error!(%error, "the admin listener failed");
        },
        () = stop.cancelled() => {}
    }
}

fn router(control: Arc<Control>, token: AdminToken) -> Router {
    let artifact_limit = usize::try_from(ARTIFACT_BYTES_MAX).unwrap_or(usize::MAX);
    let guarded = Router::new()
        .route("/services", get(services::list))
        .route("/services/{service}", get(services::show))
        .route("/services/{service}/instances", get(services::instances))
        .route("/services/{service}/versions", get(services::versions).post(services::deploy))
        .route("/services/{service}/rollback", post(services::roll_back))
        .route("/services/{service}/logs", get(logs::show))
        .route("/routes", get(host::routes))
        .route("/reload", post(host::reload))
        .route("/cache/purge", post(cache::purge))
        .route("/messages", get(messages::overview))
        .route("/messages/dead", get(messages::dead_letters))
        .route("/messages/dead/{domain}/{sequence}", get(messages::dead_letter))
        .route("/messages/dead/{domain}/{sequence}/again", post(messages::send_again))
        .route("/keys", get(keys::list).post(keys::add))
        .route("/keys/{id}", delete(keys::revoke))
        .route("/token", post(issued::issue))
        .layer(DefaultBodyLimit::max(artifact_limit))
        .layer(from_fn_with_state(Guard::new(token), need_token));
    let open = Router::new()
        .route("/health", get(host::health))
        .route("/ready", get(host::ready))
        .route("/metrics", get(host::metrics))
        .route("/openapi.json", get(document::show));
    open.merge(guarded).fallback(host::unknown).layer(from_fn(need_own_host)).with_state(control)
}
