//! What the admin API acts on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use crate::admin::key_store::KeyStore;
use crate::admin::problem::Problem;
use crate::balance::Balancer;
use crate::config::{Config, ServiceConfig};
use crate::deploy::Deployer;
use crate::deploy::environment::Environment;
use crate::gateway::Gateway;
use crate::sessions::Sessions;

/// The parts of the running host that operators reach.
pub struct Control {
    /// The configuration in force.
    pub config: Arc<ArcSwap<Config>>,
    /// Deploys and rolls back.
    pub deployer: Arc<Deployer>,
    /// Services and their instances.
    pub balancer: Balancer,
    /// Back ends, registry, journal and metrics.
    pub environment: Arc<Environment>,
    /// Routes.
    pub gateway: Arc<Gateway>,
    /// API keys.
    pub keys: KeyStore,
    /// Browser sessions.
    pub sessions: Sessions,
    /// Whether the host takes requests.
    pub ready: Arc<AtomicBool>,
    /// Asks for a reload of the configuration.
    pub reload: mpsc::Sender<ReloadRequest>,
}

/// Asks for a reload; the answer is what was wrong with the file.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

impl Control {
    /// The configuration of a service.
    ///
    /// # Errors
    ///
    /// 404 when there is none of this name.
    pub fn service(&self, name: &str) -> Result<Arc<ServiceConfig>, Problem> {
        let found = self.config.load().services.get(name).cloned();
        found.ok_or_else(|| Problem::not_found(format!("there is no service {name:?} in gateway.toml")))
    }
}
