//! The composition root: builds every part from a checked configuration, bottom layer first.
//!
//! Files in reading order: `storage` takes the storage folder; `services` brings services up; `workers` are the
//! tasks of one service, `purges` one of the host's; `reload` applies a changed configuration; `run` owns the long-lived tasks.

pub mod storage;
pub mod services;
pub mod workers;
mod purges;
pub mod reload;
pub mod run;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::admin::control::{Control, ReloadRequest};
use crate::admin::key_store::KeyStore;
use crate::admin::token::{AdminToken, note_address};
use crate::app::storage::StorageLock;
use crate::app::workers::SharedWorkers;
use crate::backends::key_value::KeyValue;
use crate::backends::messaging::MessagingSettings;
use crate::balance::Balancer;
use crate::config::Config;
use crate::deploy::Deployer;
use crate::deploy::environment::{Environment, Opened};
use crate::deploy::versions::VersionStore;
use crate::gateway::Gateway;
use crate::interfaces::http_client::HttpClient;
use crate::interfaces::service::HostContext;
use crate::interfaces::turns::Turns;
use crate::registry::Registry;
use crate::runtime::Runtime;
use crate::sessions::Sessions;
use crate::telemetry::journal::Journal;
use crate::telemetry::metrics::Metrics;

/// Reloads that may wait: one more would only repeat them.
const RELOADS_MAX: usize = 4;

/// The host's own store, below the storage folder.
const STORE_FILE: &str = "host.sqlite";

/// A host with everything built and its sockets bound, not yet serving.
pub struct App {
    pub(crate) control: Arc<Control>,
    pub(crate) workers: SharedWorkers,
    pub(crate) reloads: mpsc::Receiver<ReloadRequest>,
    pub(crate) admin: TcpListener,
    pub(crate) token: AdminToken,
    pub(crate) lock: StorageLock,
}

impl App {
    /// Builds a host.
    ///
    /// # Errors
    ///
    /// When a socket, the storage folder or the engine cannot be had.
    pub async fn build(mut config: Config) -> anyhow::Result<Self> {
        let storage = config.storage.path.clone();
        let lock = StorageLock::take(&storage)?;
        config.keep_secrets().context("a generated secret cannot be kept")?;
        let token = AdminToken::open(&storage).context("the token of the admin API cannot be had")?;
        let metrics = Arc::new(Metrics::new());
        let admin = TcpListener::bind(config.admin.listen)
            .await
            .with_context(|| format!("the admin API cannot listen on {}", config.admin.listen))?;
        let admin_address = admin.local_addr()?;
        let store = KeyValue::open(&storage.join(STORE_FILE)).await;
        let store = store.context("the host's own store cannot be opened")?;
        let sessions = Sessions::open(store.clone()).await?;
        let gateway = Gateway::bind(&config.gateway, sessions.clone(), metrics.clone()).await?;
        note_address(&storage, admin_address).context("the address of the admin API cannot be noted")?;
        let environment = environment(&config, metrics, admin_address);
        let balancer = environment.1;
        let environment = Arc::new(environment.0);
        let runtime = Runtime::new(&storage.join("cache"), config.deploys);
        let runtime = runtime.context("the engine cannot be started")?;
        let versions = VersionStore::new(store.clone(), &storage);
        let keys = KeyStore::open(store, gateway.api_keys().clone()).await?;
        let config = Arc::new(ArcSwap::from_pointee(config));
        let deployer =
            Arc::new(Deployer::new(runtime, environment.clone(), balancer.clone(), versions, config.clone()));
        let (reload, reloads) = mpsc::channel(RELOADS_MAX);
        let control = Arc::new(Control {
            config,
            deployer,
            balancer,
            environment,
            gateway: Arc::new(gateway),
            keys,
            sessions,
            ready: Arc::new(AtomicBool::new(false)),
            reload,
        });
        Ok(Self { control, workers: SharedWorkers::default(), reloads, admin, token, lock })
    }

    /// Where clients reach the gateway.
    pub fn gateway_address(&self) -> SocketAddr {
        self.control.gateway.local_address()
    }

    /// Where operators reach the admin API.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_addr()
    }
}

fn environment(config: &Config, metrics: Arc<Metrics>, admin: SocketAddr) -> (Environment, Balancer) {
    let name: Arc<str> = host_name().into();
    let registry = Arc::new(Registry::default());
    let balancer = Balancer::new(registry.clone(), metrics.clone(), name.clone());
    let forbidden = Arc::new(HashSet::from([admin]));
    let host = HostContext {
        name,
        registry,
        siblings: Arc::new(balancer.clone()),
        http: HttpClient::new(forbidden.clone()),
        forbidden,
        turns: Turns::new(std::thread::available_parallelism().map_or(1, |processors| processors.get())),
        journal: Arc::new(Journal::default()),
        metrics,
    };
    let environment = Environment {
        storage: config.storage.path.clone(),
        messaging: MessagingSettings {
            retention: config.messaging.retention,
            attempts_max: config.messaging.attempts_max,
            backoff_min: config.messaging.backoff_min,
            backoff_max: config.messaging.backoff_max,
            ..MessagingSettings::default()
        },
        host: Arc::new(host),
        opened: Opened::default(),
    };
    (environment, balancer)
}

/// The name of this machine, as its kernel knows it.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".into(),
        name => name.into(),
    }
}
