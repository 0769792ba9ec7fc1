//! The service registry: which services exist, where they can be reached and how they are.
//!
//! Knows nothing of Wasm, of who calls whom, or of how health is found out: others report, it remembers.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::names::{DomainName, ServiceName, VersionNumber};

/// Attributes that a service may set on itself.
const ATTRIBUTES_MAX: usize = 32;

/// The longest name and value of an attribute together.
const ATTRIBUTE_BYTES_MAX: usize = 1_024;

/// How a service or endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It works.
    Healthy,
    /// It fails its health check or keeps trapping.
    Unhealthy,
    /// No version is deployed yet.
    Absent,
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Absent => "absent",
        })
    }
}

/// Where an instance set of a service can be reached.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Endpoint {
    /// The name of the host, or the URL of an external service.
    pub address: String,
    /// Instances that exist; 0 for an external service.
    pub instances: u32,
    /// How it is.
    pub health: Health,
}

/// What is known about one service.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServiceRecord {
    /// Its name.
    #[schema(value_type = String)]
    pub name: ServiceName,
    /// Its domain.
    #[schema(value_type = String)]
    pub domain: DomainName,
    /// The version that answers now; none when nothing is deployed or the service is external.
    #[schema(value_type = Option<u32>)]
    pub version: Option<VersionNumber>,
    /// How it is as a whole.
    pub health: Health,
    /// Where it can be reached.
    pub endpoints: Vec<Endpoint>,
    /// What it says about itself.
    pub attributes: BTreeMap<String, String>,
}

/// Why an attribute was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// The service has too many.
    #[error("a service has at most {ATTRIBUTES_MAX} attributes")]
    TooMany,
    /// It is too long, or its name is empty.
    #[error("an attribute has a name, and name and value have at most {ATTRIBUTE_BYTES_MAX} bytes together")]
    Size,
    /// The service is not in the registry.
    #[error("the service is not registered")]
    Unknown,
}

/// Every service of this host.
#[derive(Debug, Default)]
pub struct Registry {
    services: RwLock<BTreeMap<ServiceName, ServiceRecord>>,
}

impl Registry {
    /// Enters a service, or what has changed about it; its attributes stay.
    pub fn announce(
        &self,
        name: &ServiceName,
        domain: &DomainName,
        version: Option<VersionNumber>,
        endpoints: Vec<Endpoint>,
    ) {
        let mut services = self.services.write().unwrap_or_else(PoisonError::into_inner);
        let attributes = services.remove(name).map(|record| record.attributes).unwrap_or_default();
        let health = overall(&endpoints);
        let record = ServiceRecord {
            name: name.clone(),
            domain: domain.clone(),
            version,
            health,
            endpoints,
            attributes,
        };
        services.insert(name.clone(), record);
    }

    /// Removes a service.
    pub fn withdraw(&self, name: &ServiceName) {
        self.services.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Notes how the endpoint at `address` is now, and how many instances it has.
    pub fn report(&self, name: &ServiceName, address: &str, instances: u32, health: Health) {
        let mut services = self.services.write().unwrap_or_else(PoisonError::into_inner);
        let Some(record) = services.get_mut(name) else { return };
        for endpoint in record.endpoints.iter_mut().filter(|endpoint| endpoint.address == address) {
            endpoint.instances = instances;
            endpoint.health = health;
        }
        record.health = overall(&record.endpoints);
    }

    /// Sets an attribute of a service, or removes it.
    ///
    /// # Errors
    ///
    /// When there are too many, it is too long, or the service is not registered.
    pub fn set_attribute(
        &self,
        service: &ServiceName,
        name: String,
        value: Option<String>,
    ) -> Result<(), AttributeError> {
        let mut services = self.services.write().unwrap_or_else(PoisonError::into_inner);
        let record = services.get_mut(service).ok_or(AttributeError::Unknown)?;
        let Some(value) = value else {
            record.attributes.remove(&name);
            return Ok(());
        };
        if name.is_empty() || name.len() + value.len() > ATTRIBUTE_BYTES_MAX {
            return Err(AttributeError::Size);
        }
        if record.attributes.len() >= ATTRIBUTES_MAX && !record.attributes.contains_key(&name) {
            return Err(AttributeError::TooMany);
        }
        record.attributes.insert(name, value);
        Ok(())
    }

    /// The service of this name.
    pub fn lookup(&self, name: &str) -> Option<ServiceRecord> {
        self.services.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Every service, by name.
    pub fn services(&self) -> Vec<ServiceRecord> {
        self.services.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// A service is as well as its best endpoint.
fn overall(endpoints: &[Endpoint]) -> Health {
    if endpoints.is_empty() || endpoints.iter().all(|endpoint| endpoint.health == Health::Absent) {
        return Health::Absent;
    }
    match endpoints.iter().any(|endpoint| endpoint.health == Health::Healthy) {
        true => Health::Healthy,
        false => Health::Unhealthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced() -> (Registry, ServiceName) {
        let registry = Registry::default();
        let name: ServiceName = "order".parse().unwrap();
        let endpoint = Endpoint { address: "here".into(), instances: 0, health: Health::Healthy };
        registry.announce(&name, &crate::names::default_domain(), Some(VersionNumber(1)), vec![endpoint]);
        (registry, name)
    }

    #[test]
    fn a_report_changes_the_health_of_the_service() {
        let (registry, name) = announced();
        registry.report(&name, "here", 2, Health::Unhealthy);
        let record = registry.lookup("order").unwrap();
        assert_eq!((record.health, record.endpoints[0].instances), (Health::Unhealthy, 2));
    }

    #[test]
    fn attributes_outlive_a_new_version_and_are_bounded() {
        let (registry, name) = announced();
        registry.set_attribute(&name, "region".into(), Some("eu".into())).unwrap();
        registry.announce(&name, &crate::names::default_domain(), Some(VersionNumber(2)), Vec::new());
        assert_eq!(registry.lookup("order").unwrap().attributes["region"], "eu");
        for index in 0..ATTRIBUTES_MAX - 1 {
            registry.set_attribute(&name, format!("a{index}"), Some("x".into())).unwrap();
        }
        assert_eq!(
            registry.set_attribute(&name, "more".into(), Some("x".into())),
            Err(AttributeError::TooMany)
        );
        let long = "x".repeat(ATTRIBUTE_BYTES_MAX);
        assert_eq!(registry.set_attribute(&name, "region".into(), Some(long)), Err(AttributeError::Size));
    }
}
