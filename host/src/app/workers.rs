//! The long-lived tasks of one service: relaying its outbox and delivering its messages; and those of the host itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::purges::Purges;
use crate::backends::messaging::relay::relay;
use crate::backends::messaging::{Broker, MessagingError};
use crate::balance::Balancer;
use crate::config::{self, ServiceConfig};
use crate::deploy::environment::{Environment, OpenError};
use crate::gateway::Gateway;
use crate::names::{DomainName, ServiceName, TopicPattern};
use crate::subscriptions::Subscription;

/// The tasks of one service, to be stopped together.
pub struct Workers {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Why the tasks of a service cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A back end cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A subscription cannot be kept.
    #[error("the subscriptions of {0} cannot be kept: {1}")]
    Subscribe(ServiceName, MessagingError),
}

impl Workers {
    /// Starts the tasks of a service.
    ///
    /// # Errors
    ///
    /// When a back end cannot be opened, or the subscriptions cannot be kept.
    pub async fn start(
        config: &ServiceConfig,
        environment: &Environment,
        balancer: &Balancer,
    ) -> Result<Self, WorkerError> {
        let workers = Self { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        if config.grants.database {
            workers.relay_outbox(config, environment).await?;
        }
        let Some(service) = balancer.service(config.name.as_str()) else { return Ok(workers) };
        for (broker, patterns) in by_broker(&config.grants.subscribes, environment).await? {
            if !subscribe(&broker, &config.name, patterns).await? {
                continue;
            }
            let subscription = Subscription {
                name: config.name.clone(),
                service: service.clone(),
                consumer: broker.consume(&config.name),
                metrics: environment.host.metrics.clone(),
            };
            workers.tasks.spawn(subscription.run(workers.stop.clone()));
        }
        workers.tasks.close();
        Ok(workers)
    }

    /// Starts the task that throws kept responses away when a message says so. The host itself is the subscriber.
    ///
    /// # Errors
    ///
    /// When a broker cannot be opened, or the subscription cannot be kept.
    pub async fn purge(
        topics: &[config::Subscription],
        environment: &Environment,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, WorkerError> {
        let workers = Self { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        let host = ServiceName::of_host();
        for (broker, patterns) in by_broker(topics, environment).await? {
            if !subscribe(&broker, &host, patterns).await? {
                continue;
            }
            let purges = Purges { consumer: broker.consume(&host), gateway: gateway.clone() };
            workers.tasks.spawn(purges.run(workers.stop.clone()));
        }
        workers.tasks.close();
        Ok(workers)
    }

    /// Takes no new message, and waits for those being handled.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }

    async fn relay_outbox(
        &self,
        config: &ServiceConfig,
        environment: &Environment,
    ) -> Result<(), WorkerError> {
        let database = environment.database(&config.name).await?;
        let broker = environment.broker(&config.domain).await?;
        let (name, stop) = (config.name.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                _ = relay(database, name, broker) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(())
    }
}

/// Keeps what a subscriber gets of a broker; answers whether that is anything.
async fn subscribe(
    broker: &Broker,
    subscriber: &ServiceName,
    patterns: Vec<TopicPattern>,
) -> Result<bool, WorkerError> {
    let subscribes = !patterns.is_empty();
    let kept = broker.set_subscription(subscriber, patterns).await;
    kept.map_err(|error| WorkerError::Subscribe(subscriber.clone(), error))?;
    Ok(subscribes)
}

/// What is subscribed to at each broker; nothing where it no longer is.
async fn by_broker(
    subscriptions: &[config::Subscription],
    environment: &Environment,
) -> Result<Vec<(Broker, Vec<TopicPattern>)>, WorkerError> {
    let mut wanted: BTreeMap<DomainName, Vec<TopicPattern>> = BTreeMap::new();
    for subscription in subscriptions {
        wanted.entry(subscription.domain.clone()).or_default().push(subscription.pattern.clone());
    }
    for domain in wanted.keys() {
        environment.broker(domain).await?;
    }
    let brokers = environment.brokers().await.into_iter();
    Ok(brokers.map(|(domain, broker)| (broker, wanted.remove(&domain).unwrap_or_default())).collect())
}

/// The tasks of every service, by name.
pub type AllWorkers = BTreeMap<ServiceName, Workers>;

/// Stops the tasks of all these services at once.
pub async fn stop_all(workers: impl IntoIterator<Item = Workers>) {
    let tasks = TaskTracker::new();
    for service in workers {
        tasks.spawn(service.stop());
    }
    tasks.close();
    tasks.wait().await;
}

/// Shared so that admin and reload see the same.
pub type SharedWorkers = Arc<tokio::sync::Mutex<AllWorkers>>;
