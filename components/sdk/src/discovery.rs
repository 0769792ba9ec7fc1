//! The service registry: who am I, who else is there.

use crate::bindings::imports::hostel::service::discovery;

pub use discovery::{Endpoint, Health, Identity, Service};

use crate::error::{Error, Result};

/// The running service, its version, instance and host.
pub fn who_am_i() -> Identity {
    discovery::who_am_i()
}

/// Every service of the host, by name.
pub fn services() -> Vec<Service> {
    discovery::services()
}

/// The service of this name.
pub fn lookup(name: &str) -> Option<Service> {
    discovery::lookup(name)
}

/// Sets an attribute of this service, seen by all; `None` removes it. At most 32, each at most 1 KiB.
///
/// # Errors
/// The rule that was broken.
pub fn set_attribute(name: &str, value: Option<&str>) -> Result<()> {
    discovery::set_attribute(name, value).map_err(Error::Internal)
}
