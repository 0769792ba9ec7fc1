//! The last lines of a service, and those that follow, one JSON object a line.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::admin::control::Control;
use crate::admin::problem::Problem;
use crate::telemetry::journal::Line;

/// What of the lines is wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub struct LogQuery {
    /// Whether to go on with new lines.
    #[serde(default)]
    pub follow: bool,
    /// How many of the last lines; all that are kept when absent.
    pub lines: Option<usize>,
}

/// The lines of a service, as newline-delimited JSON.
#[utoipa::path(get, path = "/services/{service}/logs", params(("service" = String, Path), LogQuery),
    responses((status = 200, content_type = "application/x-ndjson", body = String), (status = 404, body = Problem)),
    security(("token" = [])))]
pub async fn show(
    State(control): State<Arc<Control>>,
    Path(service): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Problem> {
    let config = control.service(&service)?;
    let (lines, follower) = control.environment.host.journal.follow(&config.name);
    let skipped = lines.len().saturating_sub(query.lines.unwrap_or(usize::MAX));
    let kept = stream::iter(lines.into_iter().skip(skipped));
    let body = match query.follow {
        true => Body::from_stream(kept.chain(following(follower)).map(encode)),
        false => Body::from_stream(kept.map(encode)),
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

fn following(follower: Receiver<Arc<Line>>) -> impl stream::Stream<Item = Arc<Line>> {
    stream::unfold(follower, async |mut follower| {
        loop {
            match follower.recv().await {
                Ok(line) => return Some((line, follower)),
                // A slow reader loses lines rather than holding up the service.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

fn encode(line: Arc<Line>) -> Result<Bytes, Infallible> {
    let mut text = serde_json::to_string(&*line).unwrap_or_default();
    text.push('\n');
    Ok(text.into())
}
