//! JSON: the host itself: is it well, is it ready, its routes, its metrics, reload.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::admin::control::Control;
use crate::admin::problem::Problem;
use crate::gateway::RouteView;
use crate::telemetry::metrics::Backlog;

/// A word about the host.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Status {
    /// `ok`, or why not.
    pub status: &'static str,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Status)))]
pub async fn health() -> Json<Status> {
    Json(Status { status: "ok" })
}

/// Whether requests should be sent here: not while starting or draining.
#[utoipa::path(get, path = "/ready", responses((status = 200, body = Status), (status = 503, body = Status)))]
pub async fn ready(State(control): State<Arc<Control>>) -> Response {
    match control.ready.load(Ordering::Acquire) {
        true => Json(Status { status: "ok" }).into_response(),
        false => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(Status { status: "starting or draining" })).into_response()
        }
    }
}

/// Every metric, in Prometheus text.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String)))]
pub async fn metrics(State(control): State<Arc<Control>>) -> Result<Response, Problem> {
    let metrics = &control.environment.host.metrics;
    control.balancer.look_after();
    for (domain, broker) in control.environment.brokers().await {
        for status in broker.status().await.unwrap_or_default() {
            let backlog = Backlog {
                ready: status.ready,
                delayed: status.delayed,
                in_flight: status.in_flight,
                dead: status.dead,
            };
            metrics.backlog(domain.as_str(), &status.service, backlog);
        }
    }
    let text =
        metrics.text().map_err(|error| Problem::new(500, format!("metrics cannot be written: {error}")))?;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}

/// Every route, in the order of gateway.toml.
#[utoipa::path(get, path = "/routes", responses((status = 200, body = [RouteView])), security(("token" = [])))]
pub async fn routes(State(control): State<Arc<Control>>) -> Json<Vec<RouteView>> {
    Json(control.gateway.routes())
}

/// Reads gateway.toml again; a file with faults changes nothing.
#[utoipa::path(post, path = "/reload", responses((status = 200, body = Status), (status = 422, body = Problem)),
    security(("token" = [])))]
pub async fn reload(State(control): State<Arc<Control>>) -> Result<Json<Status>, Problem> {
    let (answer, answered) = oneshot::channel();
    let stopping = || Problem::new(503, "the host is stopping");
    control.reload.send(answer).await.map_err(|_| stopping())?;
    match answered.await.map_err(|_| stopping())? {
        Ok(()) => Ok(Json(Status { status: "ok" })),
        Err(reason) => Err(Problem::new(422, reason)),
    }
}

/// What is not there.
pub async fn unknown() -> Problem {
    Problem::not_found("there is no such call: /openapi.json describes all of them")
}
