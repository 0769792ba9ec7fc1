//! `Deployer`: install, activate, roll back; one change at a time.
//!
//! Knows nothing of HTTP. Files in reading order: `artifact` reads component files; `environment` opens what a
//! version needs; `trial` tries a version out before it answers; `versions` is the history; `watch` deploys files
//! that change; `build` runs build commands.

pub mod artifact;
pub mod environment;
pub mod trial;
pub mod versions;
pub mod watch;
pub mod build;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::balance::service::{Service, Version};
use crate::balance::{Balancer, Target};
use crate::config::{Config, ServiceConfig, Source};
use crate::deploy::artifact::ArtifactError;
use crate::deploy::environment::{Environment, OpenError};
use crate::deploy::trial::{Trial, TrialError};
use crate::deploy::versions::{History, HistoryError, VersionRecord, VersionStore};
use crate::names::{ServiceName, VersionNumber};
use crate::registry::Health;
use crate::runtime::{ComponentError, Runtime};
use crate::telemetry::journal::{Level, Speaker, Stream};

/// Deploys components to services.
pub struct Deployer {
    runtime: Runtime,
    environment: Arc<Environment>,
    balancer: Balancer,
    versions: VersionStore,
    config: Arc<ArcSwap<Config>>,
    changes: Mutex<()>,
}

/// What a deploy did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Deployed {
    /// The service.
    #[schema(value_type = String)]
    pub service: ServiceName,
    /// The version that answers now.
    pub version: VersionRecord,
    /// False when it already answered before.
    pub changed: bool,
    /// Milliseconds that compiling took; none when it came from the cache.
    pub compile_ms: Option<u64>,
    /// Milliseconds in all.
    pub total_ms: u64,
}

/// Why nothing was deployed; the version that answered before still does.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// There is no such service.
    #[error("there is no service {0} in gateway.toml")]
    UnknownService(String),
    /// The service is external.
    #[error("{0} is an external service: it has upstreams, not components")]
    External(ServiceName),
    /// There is no such version, or none to return to.
    #[error("{0} has no such version: {1}")]
    NoVersion(ServiceName, String),
    /// The file cannot be used.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The component cannot be used.
    #[error("{0}")]
    Component(#[from] ComponentError),
    /// A back end cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The trial failed.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The history cannot be kept.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl Deployer {
    /// A deployer without services.
    pub fn new(
        runtime: Runtime,
        environment: Arc<Environment>,
        balancer: Balancer,
        versions: VersionStore,
        config: Arc<ArcSwap<Config>>,
    ) -> Self {
        Self { runtime, environment, balancer, versions, config, changes: Mutex::default() }
    }

    /// Deploys a component to a service: compiles, checks, tries out, switches, and drains the version before.
    ///
    /// # Errors
    ///
    /// Why it was refused; then nothing has changed.
    pub async fn deploy(
        &self,
        config: &Arc<ServiceConfig>,
        bytes: Bytes,
        source: &str,
    ) -> Result<Deployed, DeployError> {
        let name = &config.name;
        refuse_external(config)?;
        let result = self.try_deploy(config, bytes, source).await;
        self.environment.host.metrics.deploy(name, result.is_ok());
        match &result {
            Ok(deployed) if deployed.changed => {
                let number = deployed.version.number;
                self.note(
                    Level::Info,
                    Speaker::version(name, number),
                    &format!("{number} answers ({source})"),
                );
            }
            Ok(_) => {}
            Err(error) => {
                self.note(
                    Level::Error,
                    Speaker::service(name),
                    &format!("deploy of {source} refused: {error}"),
                );
            }
        }
        result
    }

    /// Deploys the file named in the configuration when its digest differs from the last one seen from it.
    /// Otherwise makes sure that the active version answers. Answers none when there is neither.
    ///
    /// # Errors
    ///
    /// Why the file was refused, or the active version cannot be started.
    pub async fn restore(&self, config: &Arc<ServiceConfig>) -> Result<Option<Deployed>, DeployError> {
        let Source::Component { file, .. } = &config.source else { return Ok(None) };
        let history = self.versions.history(&config.name).await?;
        let mut refused = None;
        if let Some(path) = file.as_deref().filter(|path| path.exists()) {
            match self.deploy_file(config, path, &history).await {
                Ok(Some(deployed)) => return Ok(Some(deployed)),
                Ok(None) => {}
                Err(error) => refused = Some(error),
            }
        }
        let _one_at_a_time = self.changes.lock().await;
        // Somebody may have deployed meanwhile.
        let history = self.versions.history(&config.name).await?;
        if let (Some(active), false) = (history.active(), self.is_running(&config.name)) {
            let deployed = self.activate(config, active.clone(), None, Instant::now()).await?;
            return refused.map_or(Ok(Some(deployed)), Err);
        }
        refused.map_or(Ok(None), Err)
    }

    /// Makes an earlier version answer again: the one before the active one, or `to`.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be started any more.
    pub async fn roll_back(
        &self,
        config: &Arc<ServiceConfig>,
        to: Option<VersionNumber>,
    ) -> Result<Deployed, DeployError> {
        let started = Instant::now();
        refuse_external(config)?;
        let _one_at_a_time = self.changes.lock().await;
        let config = &self.current(&config.name)?;
        let history = self.versions.history(&config.name).await?;
        let number = to.or(history.previous).ok_or_else(|| {
            DeployError::NoVersion(config.name.clone(), "there is no earlier one to return to".into())
        })?;
        let record = history.version(number).cloned().ok_or_else(|| {
            DeployError::NoVersion(config.name.clone(), format!("{number} is not among its versions"))
        })?;
        let deployed = self.activate(config, record, None, started).await?;
        self.note(
            Level::Info,
            Speaker::version(&config.name, number),
            &format!("rolled back: {number} answers"),
        );
        Ok(deployed)
    }

    /// The history of a service.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn history(&self, service: &ServiceName) -> Result<History, DeployError> {
        Ok(self.versions.history(service).await?)
    }

    /// Checks whether the active version of a service fits another configuration of it.
    ///
    /// # Errors
    ///
    /// What does not fit.
    pub async fn check_active(&self, config: &ServiceConfig) -> Result<(), DeployError> {
        let history = self.versions.history(&config.name).await?;
        let Some(active) = history.active() else { return Ok(()) };
        let bytes = self.versions.component(&config.name, &active.digest).await?;
        let compiled = self.runtime.compile(active.digest, bytes).await?;
        Ok(self.runtime.check(&compiled, config)?)
    }

    /// Lets the active version answer under a changed configuration.
    ///
    /// # Errors
    ///
    /// When it cannot be started under it.
    pub async fn reconfigure(&self, config: &Arc<ServiceConfig>) -> Result<(), DeployError> {
        let _one_at_a_time = self.changes.lock().await;
        let history = self.versions.history(&config.name).await?;
        match history.active().cloned() {
            Some(active) => self.activate(config, active, None, Instant::now()).await.map(drop),
            None => {
                self.announce(config, None);
                Ok(())
            }
        }
    }

    /// Removes the files of components that are no service's version: refused ones, and those too old to be kept.
    ///
    /// # Errors
    ///
    /// When the histories cannot be read.
    pub async fn sweep(&self) -> Result<(), DeployError> {
        let _one_at_a_time = self.changes.lock().await;
        let kept = self.versions.sweep().await?;
        self.runtime.sweep(kept).await;
        Ok(())
    }

    /// Deploys the file unless what it holds was seen before.
    async fn deploy_file(
        &self,
        config: &Arc<ServiceConfig>,
        path: &Path,
        history: &History,
    ) -> Result<Option<Deployed>, DeployError> {
        let bytes = artifact::read(path).await?;
        let digest = Runtime::digest(&bytes).await?;
        if history.seen.get(path) == Some(&digest) && history.active.is_some() {
            return Ok(None);
        }
        let deployed = self.deploy(config, bytes, &path.display().to_string()).await?;
        let _one_at_a_time = self.changes.lock().await;
        let mut history = self.versions.history(&config.name).await?;
        history.seen.insert(path.into(), digest);
        self.versions.keep(&config.name, history).await?;
        Ok(Some(deployed))
    }

    async fn try_deploy(
        &self,
        config: &Arc<ServiceConfig>,
        bytes: Bytes,
        source: &str,
    ) -> Result<Deployed, DeployError> {
        let started = Instant::now();
        let name = &config.name;
        let digest = Runtime::digest(&bytes).await?;
        let compiled = self.runtime.compile(digest, bytes.clone()).await?;
        let _one_at_a_time = self.changes.lock().await;
        // A reload may have changed or taken grants while the component was compiled.
        let config = &self.current(name)?;
        let mut history = self.versions.history(name).await?;
        let is_same = |active: &&VersionRecord| active.digest == digest && self.is_running(name);
        if let Some(active) = history.active().filter(is_same) {
            let total_ms = started.elapsed().as_millis() as u64;
            let version = active.clone();
            return Ok(Deployed {
                service: name.clone(),
                version,
                changed: false,
                compile_ms: None,
                total_ms,
            });
        }
        self.runtime.check(&compiled, config)?;
        let record = history.enter(digest, source, bytes.len() as u64);
        self.versions.keep_component(name, digest, bytes).await?;
        self.activate(config, record, compiled.compile_time, started).await
    }

    /// Whether a version of the service answers.
    fn is_running(&self, name: &ServiceName) -> bool {
        self.balancer.service(name.as_str()).is_some_and(|service| service.active().is_some())
    }

    /// The configuration of a service that is in force now.
    fn current(&self, name: &ServiceName) -> Result<Arc<ServiceConfig>, DeployError> {
        let found = self.config.load().services.get(name).cloned();
        found.ok_or_else(|| DeployError::UnknownService(name.to_string()))
    }

    /// Tries a version out and lets it answer. The caller holds the lock of changes.
    async fn activate(
        &self,
        config: &Arc<ServiceConfig>,
        record: VersionRecord,
        compile_time: Option<Duration>,
        started: Instant,
    ) -> Result<Deployed, DeployError> {
        let name = &config.name;
        let bytes = self.versions.component(name, &record.digest).await?;
        let compiled = self.runtime.compile(record.digest, bytes).await?;
        let context = Arc::new(self.environment.context(config.clone(), record.number).await?);
        let blueprint = self.runtime.link(&compiled, context)?;
        let trial = Trial::run(blueprint, config.instances.clone()).await?;
        let pool = trial.accept().await?;
        let mut history = self.versions.history(name).await?;
        let record = history.enter(record.digest, &record.source, record.bytes);
        history.activate(record.number);
        self.versions.keep(name, history).await?;
        self.switch(config, Version::new(record.number, record.digest, pool));
        let compile_ms = compile_time.or(compiled.compile_time).map(|time| time.as_millis() as u64);
        let total_ms = started.elapsed().as_millis() as u64;
        Ok(Deployed { service: name.clone(), version: record, changed: true, compile_ms, total_ms })
    }

    /// Lets a version answer, and the one before drain.
    fn switch(&self, config: &Arc<ServiceConfig>, version: Version) {
        let name = &config.name;
        let number = version.number;
        let service = self.balancer.service(name.as_str()).unwrap_or_else(|| {
            let service = Arc::new(Service::new(config));
            self.balancer.insert(name, Target::Component(service.clone()));
            service
        });
        let before = service.switch(Arc::new(version));
        self.announce(config, Some(number));
        if let Some(before) = before {
            let (balancer, name) = (self.balancer.clone(), name.clone());
            tokio::spawn(async move { balancer.drain(name, before).await });
        }
    }

    fn announce(&self, config: &ServiceConfig, version: Option<VersionNumber>) {
        let health = if version.is_some() { Health::Healthy } else { Health::Absent };
        let endpoint = self.balancer.endpoint(health);
        self.environment.host.registry.announce(&config.name, &config.domain, version, vec![endpoint]);
    }

    fn note(&self, level: Level, speaker: Speaker, message: &str) {
        self.environment.host.journal.write(level, Stream::Host, speaker, message);
    }
}

fn refuse_external(config: &ServiceConfig) -> Result<(), DeployError> {
    match config.source {
        Source::Upstreams(_) => Err(DeployError::External(config.name.clone())),
        Source::Component { .. } => Ok(()),
    }
}
