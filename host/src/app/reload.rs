//! Applies a changed configuration part by part, or keeps the old one and says why.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::admin::control::Control;
use crate::app::services::{Failure, enter, forget_removed, start, start_purges};
use crate::app::workers::SharedWorkers;
use crate::balance::service::Version;
use crate::config::{self, Config, ServiceConfig, Source};
use crate::names::ServiceName;

/// What differs between two configurations.
struct Difference {
    removed: BTreeSet<ServiceName>,
    added: Vec<Arc<ServiceConfig>>,
    changed: Vec<Arc<ServiceConfig>>,
}

/// Reads the file again and applies what has changed.
///
/// # Errors
///
/// What is wrong with the file; then nothing has changed.
pub async fn reload(control: &Control, workers: &SharedWorkers) -> Result<(), String> {
    let old = control.config.load_full();
    let file = old.file.clone();
    let loaded = tokio::task::spawn_blocking(move || config::load(&file)).await;
    let mut new = loaded.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    new.keep_secrets().map_err(|error| format!("a generated secret cannot be kept: {error}"))?;
    if new == *old {
        return Ok(());
    }
    refuse_what_needs_a_restart(&old, &new)?;
    let difference = compare(&old, &new);
    let components = |service: &&Arc<ServiceConfig>| matches!(service.source, Source::Component { .. });
    for service in difference.changed.iter().filter(components) {
        let checked = control.deployer.check_active(service).await;
        checked.map_err(|error| format!("[services.{}]: {error}", service.name))?;
    }
    let entry = control.gateway.set_entry(&new.gateway);
    entry.map_err(|error| format!("[gateway.tls]: {error}"))?;
    let new = Arc::new(new);
    difference.added.iter().for_each(|service| enter(control, service));
    // Routes come before services go, so that no request is sent to one that is gone.
    let routes = control.gateway.set_routes(&new.gateway, &new.routes, &control.balancer);
    routes.map_err(|error| error.to_string())?;
    control.config.store(new.clone());
    let kept = apply_services(control, workers, &difference, &old).await;
    if new.gateway.cache_purged_by != old.gateway.cache_purged_by {
        stop_workers(workers, &ServiceName::of_host()).await;
        report(start_purges(control, workers, &new).await);
    }
    forget_removed(control, &new).await;
    keep_old(control, &new, &old, &kept)?;
    tracing::info!(file = %new.file.display(), "the configuration was reloaded");
    Ok(())
}

fn refuse_what_needs_a_restart(old: &Config, new: &Config) -> Result<(), String> {
    let fixed = [
        ("gateway.listen", old.gateway.listen == new.gateway.listen),
        ("gateway.access-log", old.gateway.access_log == new.gateway.access_log),
        ("gateway.tls.redirect", old.gateway.listener.redirect() == new.gateway.listener.redirect()),
        ("admin.listen", old.admin.listen == new.admin.listen),
        ("storage.path", old.storage == new.storage),
        ("telemetry", old.telemetry == new.telemetry),
        ("messaging", old.messaging == new.messaging),
        ("deploys", old.deploys == new.deploys),
        ("gateway.drain", old.gateway.drain == new.gateway.drain),
    ];
    match fixed.into_iter().find(|(_, same)| !same) {
        Some((key, _)) => Err(format!("{key} cannot change while the host runs: restart it")),
        None => Ok(()),
    }
}

fn compare(old: &Config, new: &Config) -> Difference {
    let removed = old.services.keys().filter(|name| !new.services.contains_key(*name)).cloned().collect();
    let mut difference = Difference { removed, added: Vec::new(), changed: Vec::new() };
    for (name, service) in &new.services {
        match old.services.get(name) {
            None => difference.added.push(service.clone()),
            Some(before) if !is_same(before, service) => difference.changed.push(service.clone()),
            Some(_) => {}
        }
    }
    difference
}

/// Whether two configurations of a service mean the same; where it stands in the file does not matter.
fn is_same(old: &ServiceConfig, new: &ServiceConfig) -> bool {
    ServiceConfig { line: 0, ..old.clone() } == ServiceConfig { line: 0, ..new.clone() }
}

/// What could not be changed counts as it was, so that the next reload tries it again.
fn keep_old(control: &Control, new: &Config, old: &Config, kept: &[Failure]) -> Result<(), String> {
    if kept.is_empty() {
        return Ok(());
    }
    let mut mixed = new.clone();
    for (name, _) in kept {
        if let Some(service) = old.services.get(name) {
            mixed.services.insert(name.clone(), service.clone());
        }
    }
    control.config.store(Arc::new(mixed));
    let reasons = kept.iter().map(|(name, reason)| format!("[services.{name}] stays as it was: {reason}"));
    Err(reasons.collect::<Vec<_>>().join("\n"))
}

/// Applies what differs; answers the services that had to keep their old configuration.
async fn apply_services(
    control: &Control,
    workers: &SharedWorkers,
    difference: &Difference,
    old: &Config,
) -> Vec<Failure> {
    let mut kept = Vec::new();
    for name in &difference.removed {
        stop_workers(workers, name).await;
        let before = active(control, name);
        control.balancer.remove(name);
        drain(control, name, before);
    }
    for service in &difference.changed {
        stop_workers(workers, &service.name).await;
        let keeps_instances = matches!(service.source, Source::Component { .. })
            && control.balancer.service(service.name.as_str()).is_some();
        let result = match keeps_instances {
            true => control.deployer.reconfigure(service).await,
            false => {
                let before = active(control, &service.name);
                enter(control, service);
                drain(control, &service.name, before);
                Ok(())
            }
        };
        let mut counts = service;
        if let (Err(error), Some(before)) = (result, old.services.get(&service.name)) {
            kept.push((service.name.clone(), error.to_string()));
            counts = before;
        }
        report(start(control, workers, counts).await);
    }
    for service in &difference.added {
        report(start(control, workers, service).await);
    }
    kept
}

/// The version that answers for a service of components.
fn active(control: &Control, name: &ServiceName) -> Option<Arc<Version>> {
    control.balancer.service(name.as_str()).and_then(|service| service.active())
}

/// Lets the calls of a version end that no longer takes any.
fn drain(control: &Control, name: &ServiceName, version: Option<Arc<Version>>) {
    let Some(version) = version else { return };
    let (balancer, name) = (control.balancer.clone(), name.clone());
    tokio::spawn(async move { balancer.drain(name, version).await });
}

async fn stop_workers(workers: &SharedWorkers, name: &ServiceName) {
    let stopped = workers.lock().await.remove(name);
    if let Some(stopped) = stopped {
        stopped.stop().await;
    }
}

fn report(failure: Option<(ServiceName, String)>) {
    if let Some((service, reason)) = failure {
        tracing::error!(%service, %reason, "the service could not be started");
    }
}
