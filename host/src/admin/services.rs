//! JSON: services, their versions and instances; deploy and roll back.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::admin::control::Control;
use crate::admin::problem::Problem;
use crate::balance::pool::InstanceView;
use crate::deploy::Deployed;
use crate::deploy::versions::VersionRecord;
use crate::names::VersionNumber;
use crate::registry::ServiceRecord;

/// The header by which a deploy says where its component came from.
pub const SOURCE_HEADER: &str = "hostel-source";

/// The longest source that is remembered.
const SOURCE_CHARACTERS_MAX: usize = 512;

/// A service with what it met.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServiceView {
    /// What the registry knows.
    #[serde(flatten)]
    pub record: ServiceRecord,
    /// How often each limit stopped something since the host started, by the limit's name.
    pub limits_met: BTreeMap<String, u64>,
}

/// The versions of one service.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Versions {
    /// The version that answers.
    #[schema(value_type = Option<u32>)]
    pub active: Option<VersionNumber>,
    /// The version that a rollback returns to.
    #[schema(value_type = Option<u32>)]
    pub previous: Option<VersionNumber>,
    /// All that are kept, oldest first.
    pub versions: Vec<VersionRecord>,
}

/// What a rollback returns to.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The version; none for the one before.
    #[schema(value_type = Option<u32>)]
    pub to: Option<VersionNumber>,
}

/// Every service.
#[utoipa::path(get, path = "/services", responses((status = 200, body = [ServiceView])), security(("token" = [])))]
pub async fn list(State(control): State<Arc<Control>>) -> Json<Vec<ServiceView>> {
    let records = control.environment.host.registry.services();
    Json(records.into_iter().map(|record| view(&control, record)).collect())
}

/// One service.
#[utoipa::path(get, path = "/services/{service}", params(("service" = String, Path)),
    responses((status = 200, body = ServiceView), (status = 404, body = Problem)), security(("token" = [])))]
pub async fn show(
    State(control): State<Arc<Control>>,
    Path(service): Path<String>,
) -> Result<Json<ServiceView>, Problem> {
    let config = control.service(&service)?;
    let record = control.environment.host.registry.lookup(config.name.as_str());
    let found = record.map(|record| Json(view(&control, record)));
    found.ok_or_else(|| Problem::not_found(format!("{service} is not in the registry")))
}

/// The instances of one service.
#[utoipa::path(get, path = "/services/{service}/instances", params(("service" = String, Path)),
    responses((status = 200, body = [InstanceView]), (status = 404, body = Problem)), security(("token" = [])))]
pub async fn instances(
    State(control): State<Arc<Control>>,
    Path(service): Path<String>,
) -> Result<Json<Vec<InstanceView>>, Problem> {
    let config = control.service(&service)?;
    let active = control.balancer.service(config.name.as_str()).and_then(|service| service.active());
    Ok(Json(active.map(|version| version.pool.instances()).unwrap_or_default()))
}

/// The versions of one service.
#[utoipa::path(get, path = "/services/{service}/versions", params(("service" = String, Path)),
    responses((status = 200, body = Versions), (status = 404, body = Problem)), security(("token" = [])))]
pub async fn versions(
    State(control): State<Arc<Control>>,
    Path(service): Path<String>,
) -> Result<Json<Versions>, Problem> {
    let config = control.service(&service)?;
    let history = control.deployer.history(&config.name).await?;
    let (active, previous) = (history.active, history.previous);
    Ok(Json(Versions { active, previous, versions: history.versions }))
}

/// Deploys the component in the body.
#[utoipa::path(post, path = "/services/{service}/versions", params(("service" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 200, body = Deployed), (status = 404, body = Problem), (status = 422, body = Problem)),
    security(("token" = [])))]
pub async fn deploy(
    State(control): State<Arc<Control>>,
    Path(service): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Deployed>, Problem> {
    let config = control.service(&service)?;
    let named = headers.get(SOURCE_HEADER).and_then(|value| value.to_str().ok()).unwrap_or("admin API");
    let source: String = named.chars().take(SOURCE_CHARACTERS_MAX).collect();
    // A deploy goes on when its client goes away: half of one must not depend on a network.
    let deploy = async move { control.deployer.deploy(&config, body, &source).await };
    finish(tokio::spawn(deploy)).await
}

/// Lets an earlier version answer again.
#[utoipa::path(post, path = "/services/{service}/rollback", params(("service" = String, Path)), request_body = Rollback,
    responses((status = 200, body = Deployed), (status = 404, body = Problem)), security(("token" = [])))]
pub async fn roll_back(
    State(control): State<Arc<Control>>,
    Path(service): Path<String>,
    Json(rollback): Json<Rollback>,
) -> Result<Json<Deployed>, Problem> {
    let config = control.service(&service)?;
    let roll_back = async move { control.deployer.roll_back(&config, rollback.to).await };
    finish(tokio::spawn(roll_back)).await
}

fn view(control: &Control, record: ServiceRecord) -> ServiceView {
    let active = control.balancer.service(record.name.as_str()).and_then(|service| service.active());
    let met = active.map(|version| version.context().usage.hits());
    ServiceView { record, limits_met: met.unwrap_or_default() }
}

async fn finish(
    task: tokio::task::JoinHandle<Result<Deployed, crate::deploy::DeployError>>,
) -> Result<Json<Deployed>, Problem> {
    match task.await {
        Ok(result) => Ok(Json(result?)),
        Err(error) => Err(Problem::new(500, format!("the deploy was interrupted: {error}"))),
    }
}
