//! Guest look-ups -> `registry`.

use crate::interfaces::bindings::hostel::service::discovery::{self, Endpoint, Health, Identity, Service};
use crate::interfaces::guest::GuestState;
use crate::registry;

impl discovery::Host for GuestState {
    async fn who_am_i(&mut self) -> wasmtime::Result<Identity> {
        let service = self.service();
        Ok(Identity {
            service: service.config.name.to_string(),
            domain: service.config.domain.to_string(),
            version: service.version.0,
            instance: self.this.name.to_string(),
            host: service.host.name.to_string(),
        })
    }

    async fn services(&mut self) -> wasmtime::Result<Vec<Service>> {
        Ok(self.service().host.registry.services().into_iter().map(Service::from).collect())
    }

    async fn lookup(&mut self, name: String) -> wasmtime::Result<Option<Service>> {
        Ok(self.service().host.registry.lookup(&name).map(Service::from))
    }

    async fn set_attribute(
        &mut self,
        name: String,
        value: Option<String>,
    ) -> wasmtime::Result<Result<(), String>> {
        if self.this.call().is_none_or(|call| call.rehearsal) {
            return Ok(Err("attributes can be set only while a request or message is handled".into()));
        }
        let service = self.service();
        let set = service.host.registry.set_attribute(&service.config.name, name, value);
        Ok(set.map_err(|error| error.to_string()))
    }
}

impl From<registry::ServiceRecord> for Service {
    fn from(record: registry::ServiceRecord) -> Self {
        Self {
            name: record.name.into(),
            domain: record.domain.into(),
            health: record.health.into(),
            endpoints: record.endpoints.into_iter().map(Endpoint::from).collect(),
            attributes: record.attributes.into_iter().collect(),
        }
    }
}

impl From<registry::Endpoint> for Endpoint {
    fn from(endpoint: registry::Endpoint) -> Self {
        let registry::Endpoint { address, instances, health } = endpoint;
        Self { address, instances, health: health.into() }
    }
}

impl From<registry::Health> for Health {
    fn from(health: registry::Health) -> Self {
        match health {
            registry::Health::Healthy => Health::Healthy,
            registry::Health::Unhealthy => Health::Unhealthy,
            registry::Health::Absent => Health::Absent,
        }
    }
}
