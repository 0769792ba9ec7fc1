//! The broker of one domain: everything its callers can do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::seq::IndexedRandom;
use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::delivery::{Consumer, Delivery, Handle, Outcome};
use super::dispatcher::{CHANNEL_MAX, Dispatcher};
use super::lanes::{Lanes, LiveConsumer};
use super::store::{Append, Draft, KIND, SWEEP_ROWS_MAX, Store};
use super::writer::{Command, Writer};
use super::{
    DeadLetter, Message, MessagingError, MessagingSettings, Reply, SubscriptionStatus, TopicStatus, read,
};
use crate::backends::database::OutboxEntry;
use crate::backends::sqlite::{GroupSync, Pool, SqliteFile, blocking, now_ms};
use crate::names::{DomainName, ServiceName, Topic, TopicPattern};

/// Connections for reading: dispatchers read one page at a time each, and two cores serve them.
const READERS_MAX: usize = 4;

/// How long an operator's question waits for a reading connection.
const READ_WAIT_MAX: Duration = Duration::from_secs(5);

/// The message broker of one domain, in one file.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    domain: DomainName,
    settings: MessagingSettings,
    writer: Writer,
    lanes: Arc<Lanes>,
    pool: Arc<Pool<Connection>>,
}

impl Broker {
    /// Opens or creates the file and its folders. To be called within a runtime, which then runs its tasks.
    pub async fn open(
        domain: DomainName,
        path: &Path,
        settings: MessagingSettings,
    ) -> Result<Self, MessagingError> {
        let (path, for_store) = (path.to_owned(), settings.clone());
        let (file, store, log) = blocking(move || {
            let (file, connection) = SqliteFile::open(&path, KIND)?;
            let log = file.log()?;
            Ok::<_, MessagingError>((file, Store::new(connection, for_store)?, log))
        })
        .await??;
        let sync = GroupSync::new(log);
        // What a killed host had written may not be durable yet; nothing of it goes out before it is.
        sync.reach(sync.ticket()).await?;
        let lanes = Arc::new(Lanes::default());
        lanes.set_durable(store.last_sequence());
        for (service, patterns) in store.subscriptions() {
            lanes.lane(service).set_patterns(patterns.to_vec());
        }
        let writer = Writer::start(store, sync, lanes.clone());
        let pool = Arc::new(Pool::new(READERS_MAX, move || file.reader()));
        Ok(Self { shared: Arc::new(Shared { domain, settings, writer, lanes, pool }) })
    }

    /// Replaces the topics of a subscriber, durably: it gets what is published to them from now on. No topic
    /// ends the subscription, and what waited for it is dropped.
    pub async fn set_subscription(
        &self,
        service: &ServiceName,
        patterns: Vec<TopicPattern>,
    ) -> Result<(), MessagingError> {
        self.run(Command::Subscribe(service.clone(), patterns)).await
    }

    /// Publishes a message; answers its id when it is durable. A second message of this publisher with the
    /// same id within the retention is dropped.
    pub async fn publish(
        &self,
        source: &ServiceName,
        topic: &Topic,
        message: Message,
    ) -> Result<String, MessagingError> {
        self.check(&message)?;
        let drafts = vec![Draft { position: None, topic: topic.clone(), message }];
        let applied =
            self.shared.writer.run(Command::Append(Append { source: source.clone(), drafts })).await?;
        applied
            .ids
            .into_iter()
            .next()
            .ok_or_else(|| MessagingError::Unavailable("no message was appended".into()))
    }

    /// Publishes what lies in a publisher's outbox. How far it came is recorded with the messages: entries
    /// that were appended before are skipped.
    pub async fn append_relayed(
        &self,
        source: &ServiceName,
        entries: Vec<OutboxEntry>,
    ) -> Result<(), MessagingError> {
        // Sizes are not checked: the transaction has been committed, so its messages are due.
        let draft = |entry: OutboxEntry| Draft {
            position: Some(entry.sequence),
            topic: entry.topic,
            message: entry.message,
        };
        let drafts = entries.into_iter().map(draft).collect();
        self.run(Command::Append(Append { source: source.clone(), drafts })).await
    }

    /// The last entry of the publisher's outbox that was appended; 0 when there was none.
    pub async fn relayed_position(&self, source: &ServiceName) -> Result<i64, MessagingError> {
        let source = source.clone();
        self.read(move |connection| read::relayed_position(connection, &source)).await
    }

    /// Sends a message to one subscriber of the topic that is there now, and waits for its reply. It is not
    /// stored.
    pub async fn request(
        &self,
        source: &ServiceName,
        topic: &Topic,
        message: Message,
        timeout: Duration,
    ) -> Result<Reply, MessagingError> {
        self.check(&message)?;
        let responders = self.shared.lanes.responders(topic);
        let Some((service, consumer)) = responders.choose(&mut rand::rng()).cloned() else {
            return Err(MessagingError::NoResponder(format!("nobody who is there subscribes to {topic}")));
        };
        drop(responders);
        let (answer, outcome) = oneshot::channel();
        let delivery = self.request_delivery(source, topic, message, answer);
        let exchange = async move {
            // A consumer that goes away drops the delivery, and with it the way to the answer.
            let _ = consumer.sender.send_async(delivery).await;
            // Held longer, it would keep alive what lies in the channel of a consumer that went away.
            drop(consumer);
            outcome.await
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(Outcome::Reply(reply))) => Ok(reply),
            Ok(Ok(Outcome::Done)) => {
                Err(MessagingError::NoResponder(format!("{service} handled {topic} without a reply")))
            }
            Ok(Ok(Outcome::Reject(reason))) => {
                Err(MessagingError::NoResponder(format!("{service} refused {topic}: {reason}")))
            }
            Ok(Ok(Outcome::Retry { reason, .. })) => {
                Err(MessagingError::Unavailable(format!("{service} could not answer {topic} now: {reason}")))
            }
            Ok(Err(_)) => {
                Err(MessagingError::Unavailable(format!("{service} ended before it answered {topic}")))
            }
            Err(_) => {
                Err(MessagingError::Timeout(format!("{service} did not answer {topic} within {timeout:?}")))
            }
        }
    }

    /// Takes the deliveries of a service; a consumer of the same service before it is closed. What that one
    /// was handed stays out until it is settled. To be called within a runtime.
    pub fn consume(&self, service: &ServiceName) -> Consumer {
        let Shared { domain, writer, lanes, pool, .. } = &*self.shared;
        let (sender, deliveries) = flume::bounded(CHANNEL_MAX);
        let closed = CancellationToken::new();
        let lane = lanes.lane(service);
        lane.attach(LiveConsumer { sender: sender.clone(), closed: closed.clone() });
        let dispatcher = Dispatcher {
            domain: domain.clone(),
            service: service.clone(),
            lanes: lanes.clone(),
            lane,
            pool: pool.clone(),
            writer: writer.clone(),
            sender,
            undelivered: deliveries.clone(),
            closed: closed.clone(),
        };
        tokio::spawn(dispatcher.run());
        Consumer { deliveries, closed }
    }

    /// What waits for each subscriber.
    pub async fn status(&self) -> Result<Vec<SubscriptionStatus>, MessagingError> {
        let mut all = self.read(|connection| read::status(connection, now_ms())).await?;
        for status in &mut all {
            let out = self.shared.lanes.lane(&status.service).out_count() as u64;
            status.in_flight = out.min(status.ready);
            status.ready -= status.in_flight;
        }
        Ok(all)
    }

    /// The topics of all messages that are kept.
    pub async fn topics(&self) -> Result<Vec<TopicStatus>, MessagingError> {
        self.read(read::topics).await
    }

    /// At most so many dead letters after this number, of one subscriber or of all.
    pub async fn dead_letters(
        &self,
        service: Option<&ServiceName>,
        after: i64,
        most: usize,
    ) -> Result<Vec<DeadLetter>, MessagingError> {
        let service = service.cloned();
        self.read(move |connection| read::dead_letters(connection, service.as_ref(), after, most)).await
    }

    /// One dead letter.
    pub async fn dead_letter(&self, sequence: i64) -> Result<Option<DeadLetter>, MessagingError> {
        let after = sequence.saturating_sub(1);
        let first = self.read(move |connection| read::dead_letters(connection, None, after, 1)).await?.pop();
        Ok(first.filter(|letter| letter.sequence == sequence))
    }

    /// Sends a dead letter to its subscriber again, from the first attempt; it is none any more.
    pub async fn send_again(&self, sequence: i64) -> Result<(), MessagingError> {
        self.run(Command::SendAgain(sequence)).await
    }

    /// Removes settled messages that are older than the retention. Dead letters stay, up to a limit.
    pub async fn sweep(&self) -> Result<(), MessagingError> {
        let retention_ms = i64::try_from(self.shared.settings.retention.as_millis()).unwrap_or(i64::MAX);
        let before_ms = now_ms().saturating_sub(retention_ms);
        loop {
            let applied = self.shared.writer.run(Command::Sweep(before_ms)).await?;
            if applied.removed < SWEEP_ROWS_MAX {
                return Ok(());
            }
        }
    }

    async fn run(&self, command: Command) -> Result<(), MessagingError> {
        self.shared.writer.run(command).await.map(|_| ())
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, MessagingError> + Send + 'static,
    ) -> Result<T, MessagingError> {
        let mut lease = self.shared.pool.lend(Instant::now() + READ_WAIT_MAX).await?;
        blocking(move || question(lease.connection()?)).await?
    }

    fn check(&self, message: &Message) -> Result<(), MessagingError> {
        message.check(self.shared.settings.message_bytes_max).map_err(MessagingError::Limit)
    }

    fn request_delivery(
        &self,
        source: &ServiceName,
        topic: &Topic,
        message: Message,
        answer: oneshot::Sender<Outcome>,
    ) -> Delivery {
        Delivery {
            id: message.id_or_new(),
            topic: topic.clone(),
            domain: self.shared.domain.clone(),
            source: source.clone(),
            key: message.key,
            headers: message.headers,
            body: message.body,
            attempt: 1,
            published_ms: now_ms().unsigned_abs(),
            wants_reply: true,
            handle: Handle::Request(answer),
        }
    }
}
