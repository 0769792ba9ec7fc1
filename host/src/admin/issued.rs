//! JSON: a short-lived token of the provider that runs on this host, for an operator's calls.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::admin::control::Control;
use crate::admin::problem::Problem;
use crate::balance::Call;
use crate::body;
use crate::config::IssuerConfig;
use crate::names::{CALLER, RequestId, ServiceName};
use crate::telemetry::trace::TraceContext;

/// Where a provider gives tokens to the host, below the path of its issuer.
const PLACE: &str = "/operator-token";

/// How long the provider may take.
const TIME_MAX: Duration = Duration::from_secs(10);

/// The longest answer: a token and little else.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Which token is wanted.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedToken {
    /// Whom it stands for; the operator when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What it allows, with spaces between the scopes; nothing when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// A token.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IssuedToken {
    /// The token itself, for `Authorization: Bearer`.
    pub access_token: String,
    /// The seconds that it counts.
    pub expires_in: u64,
}

/// Has the provider of this host make a token.
#[utoipa::path(post, path = "/token", request_body = WantedToken,
    responses((status = 200, body = IssuedToken), (status = 409, body = Problem), (status = 502, body = Problem)),
    security(("token" = [])))]
pub async fn issue(
    State(control): State<Arc<Control>>,
    Json(wanted): Json<WantedToken>,
) -> Result<Json<IssuedToken>, Problem> {
    let (issuer, service) = provider(&control)?;
    let answer =
        tokio::time::timeout(TIME_MAX, control.balancer.send(&service, call(&issuer, &wanted)?)).await;
    let failed = |reason: String| {
        Problem::new(
            502,
            format!("the service {service} gave no token: {reason}; see `hostel logs {service}`"),
        )
    };
    let response = match answer {
        Ok(Ok(answer)) => answer.response,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("it did not answer within {TIME_MAX:?}"))),
    };
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| failed(error.to_string()))?.to_bytes();
    if status != StatusCode::OK {
        return Err(failed(format!("it answered {status}")));
    }
    serde_json::from_slice(&body).map(Json).map_err(|error| failed(error.to_string()))
}

/// The provider that runs here, and its service.
fn provider(control: &Control) -> Result<(Arc<IssuerConfig>, ServiceName), Problem> {
    let config = control.config.load();
    let mut here =
        config.issuers.values().filter_map(|issuer| Some((issuer.clone(), issuer.service.clone()?)));
    here.next().ok_or_else(|| {
        Problem::new(
            409,
            "no identity provider runs on this host: name its service as `service` of an issuer in gateway.toml",
        )
    })
}

fn call(issuer: &IssuerConfig, wanted: &WantedToken) -> Result<Call, Problem> {
    let malformed = || Problem::new(422, "the issuer in gateway.toml is no address");
    let address: http::Uri = issuer.issuer.parse().map_err(|_| malformed())?;
    let text = serde_json::to_string(wanted).map_err(|error| Problem::new(422, error.to_string()))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{}{PLACE}", address.path().trim_end_matches('/')))
        .header(header::HOST, address.authority().map_or("localhost", |authority| authority.as_str()))
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(header::CONTENT_LENGTH, text.len())
        .header(CALLER, ServiceName::of_host().as_str());
    Ok(Call {
        request: Box::new(request.body(body::full(text)).map_err(|_| malformed())?),
        request_id: RequestId::new().into(),
        trace: TraceContext::new(),
        route: None,
        deadline: Instant::now() + TIME_MAX,
        depth: 0,
        client: None,
        keeps_host: false,
        retry: None,
    })
}
