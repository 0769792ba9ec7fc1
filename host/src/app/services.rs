//! Brings services up: external ones into the registry, components to their active version.

use std::sync::Arc;

use crate::admin::control::Control;
use crate::app::workers::{SharedWorkers, Workers};
use crate::balance::Target;
use crate::balance::service::Service;
use crate::balance::upstream::Upstream;
use crate::config::{Config, ServiceConfig, Source};
use crate::names::ServiceName;
use crate::registry::Health;

/// A service that could not be brought up, and why.
pub type Failure = (ServiceName, String);

/// Enters every service of the configuration, without starting any.
pub fn enter_all(control: &Control, config: &Config) {
    for service in config.services.values() {
        enter(control, service);
    }
}

/// Enters one service.
pub fn enter(control: &Control, config: &Arc<ServiceConfig>) {
    let registry = &control.environment.host.registry;
    match &config.source {
        Source::Upstreams(upstreams) => {
            let upstream = Upstream::new(config, upstreams);
            registry.announce(&config.name, &config.domain, None, upstream.endpoints());
            control.balancer.insert(&config.name, Target::External(Arc::new(upstream)));
        }
        Source::Component { .. } => {
            let absent = control.balancer.endpoint(Health::Absent);
            registry.announce(&config.name, &config.domain, None, vec![absent]);
            control.balancer.insert(&config.name, Target::Component(Arc::new(Service::new(config))));
        }
    }
}

/// Starts the tasks of a service, and the version that should answer. Answers why not, if not.
pub async fn start(
    control: &Control,
    workers: &SharedWorkers,
    config: &Arc<ServiceConfig>,
) -> Option<Failure> {
    if let Source::Upstreams(_) = config.source {
        return None;
    }
    // Subscriptions stand before any version answers, so that nothing is published past them.
    match Workers::start(config, &control.environment, &control.balancer).await {
        Ok(started) => {
            workers.lock().await.insert(config.name.clone(), started);
        }
        Err(error) => return Some((config.name.clone(), error.to_string())),
    }
    let restored = control.deployer.restore(config).await;
    restored.err().map(|error| (config.name.clone(), error.to_string()))
}

/// Starts the task by which services purge the cache.
pub async fn start_purges(control: &Control, workers: &SharedWorkers, config: &Config) -> Option<Failure> {
    let host = ServiceName::of_host();
    match Workers::purge(&config.gateway.cache_purged_by, &control.environment, &control.gateway).await {
        Ok(started) => {
            workers.lock().await.insert(host, started);
            None
        }
        Err(error) => Some((host, error.to_string())),
    }
}

/// Ends the subscriptions of services that are no longer components of the configuration.
pub async fn forget_removed(control: &Control, config: &Config) {
    for (domain, broker) in control.environment.brokers().await {
        for status in broker.status().await.unwrap_or_default() {
            let service = config.services.get(&status.service);
            let is_host = status.service == ServiceName::of_host();
            if is_host || service.is_some_and(|service| matches!(service.source, Source::Component { .. })) {
                continue;
            }
            if let Err(error) = broker.set_subscription(&status.service, Vec::new()).await {
                tracing::warn!(%domain, service = %status.service, %error, "a subscription could not be ended");
            }
        }
    }
}
