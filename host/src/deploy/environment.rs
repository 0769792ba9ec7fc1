//! The surroundings of services: opens the back ends that a version needs, each once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::backends::database::{Database, DatabaseError};
use crate::backends::key_value::{KeyValue, KeyValueError};
use crate::backends::messaging::{Broker, MessagingError, MessagingSettings};
use crate::config::ServiceConfig;
use crate::interfaces::service::{HostContext, ServiceContext};
use crate::interfaces::usage::Usage;
use crate::names::{DomainName, ServiceName, VersionNumber};

/// What every service of this host shares.
pub struct Environment {
    /// Where everything durable lies.
    pub storage: PathBuf,
    /// How brokers behave.
    pub messaging: MessagingSettings,
    /// The host that services run on.
    pub host: Arc<HostContext>,
    /// The back ends that are open.
    pub opened: Opened,
}

/// The back ends that are open, by whom they serve.
#[derive(Default)]
pub struct Opened {
    databases: Mutex<HashMap<ServiceName, Database>>,
    buckets: Mutex<HashMap<ServiceName, KeyValue>>,
    brokers: Mutex<HashMap<DomainName, Broker>>,
    usage: Mutex<HashMap<ServiceName, Arc<Usage>>>,
}

/// A back end that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database of a service.
    #[error("the database of {0} cannot be opened: {1}")]
    Database(ServiceName, DatabaseError),
    /// The buckets of a service.
    #[error("the buckets of {0} cannot be opened: {1}")]
    Buckets(ServiceName, KeyValueError),
    /// The broker of a domain.
    #[error("the message broker of {0} cannot be opened: {1}")]
    Broker(DomainName, MessagingError),
}

impl Environment {
    /// What the instances of this version share.
    ///
    /// # Errors
    ///
    /// When a back end cannot be opened.
    pub async fn context(
        &self,
        config: Arc<ServiceConfig>,
        version: VersionNumber,
    ) -> Result<ServiceContext, OpenError> {
        let name = config.name.clone();
        let database = match config.grants.database {
            true => Some(self.database(&name).await?),
            false => None,
        };
        let buckets = match config.grants.buckets.is_empty() {
            true => None,
            false => Some(self.buckets(&name).await?),
        };
        Ok(ServiceContext {
            broker: self.broker(&config.domain).await?,
            queue_wait: self.host.metrics.queue_wait(&name, version),
            config,
            version,
            host: self.host.clone(),
            database,
            buckets,
            usage: self.usage(name).await,
            told: Default::default(),
        })
    }

    /// What all instances of a service use.
    async fn usage(&self, service: ServiceName) -> Arc<Usage> {
        let mut all = self.opened.usage.lock().await;
        all.entry(service).or_insert_with(|| Arc::new(Usage::new(&self.host.turns))).clone()
    }

    /// The database of a service.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub async fn database(&self, service: &ServiceName) -> Result<Database, OpenError> {
        let mut databases = self.opened.databases.lock().await;
        if let Some(database) = databases.get(service) {
            return Ok(database.clone());
        }
        let folder = self.storage.join("services").join(service.as_str());
        let database =
            Database::open(&folder).await.map_err(|error| OpenError::Database(service.clone(), error))?;
        databases.insert(service.clone(), database.clone());
        Ok(database)
    }

    /// The broker of a domain.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub async fn broker(&self, domain: &DomainName) -> Result<Broker, OpenError> {
        let mut brokers = self.opened.brokers.lock().await;
        if let Some(broker) = brokers.get(domain) {
            return Ok(broker.clone());
        }
        let path = self.storage.join("brokers").join(format!("{domain}.sqlite"));
        let broker = Broker::open(domain.clone(), &path, self.messaging.clone())
            .await
            .map_err(|error| OpenError::Broker(domain.clone(), error))?;
        brokers.insert(domain.clone(), broker.clone());
        Ok(broker)
    }

    /// Every broker that is open.
    pub async fn brokers(&self) -> Vec<(DomainName, Broker)> {
        let brokers = self.opened.brokers.lock().await;
        let mut all: Vec<_> =
            brokers.iter().map(|(domain, broker)| (domain.clone(), broker.clone())).collect();
        all.sort_by(|(left, _), (right, _)| left.cmp(right));
        all
    }

    /// Every database that is open.
    pub async fn databases(&self) -> Vec<Database> {
        self.opened.databases.lock().await.values().cloned().collect()
    }

    async fn buckets(&self, service: &ServiceName) -> Result<KeyValue, OpenError> {
        let mut buckets = self.opened.buckets.lock().await;
        if let Some(store) = buckets.get(service) {
            return Ok(store.clone());
        }
        let path = self.storage.join("services").join(service.as_str()).join("buckets.sqlite");
        let store =
            KeyValue::open(&path).await.map_err(|error| OpenError::Buckets(service.clone(), error))?;
        buckets.insert(service.clone(), store.clone());
        Ok(store)
    }
}
