//! A domain's message broker: durable topics, one consumer group a service, order per key, dead letters.

mod broker;
mod delivery;
mod dispatcher;
mod error;
mod lanes;
mod message;
mod read;
/// From the outbox of a service's database to the broker.
pub mod relay;
mod settle;
mod store;
mod writer;

use std::time::Duration;

use bytes::Bytes;

use crate::names::{ServiceName, Topic, TopicPattern};

pub use broker::Broker;
pub use delivery::{Consumer, Delivery, Outcome};
pub use error::MessagingError;
pub use message::{MESSAGE_BYTES_MAX, Message, Reply};

/// The limits and times of a broker.
#[derive(Debug, Clone, PartialEq)]
pub struct MessagingSettings {
    /// How long a settled message, and with it the memory of its id, is kept.
    pub retention: Duration,
    /// How often a message is tried before it becomes a dead letter.
    pub attempts_max: u32,
    /// The pause after the first failed try; doubles with each further one.
    pub backoff_min: Duration,
    /// The longest pause between two tries.
    pub backoff_max: Duration,
    /// The longest message: headers and body.
    pub message_bytes_max: usize,
    /// How many messages may wait for one subscriber.
    pub backlog_max: u64,
}

impl Default for MessagingSettings {
    fn default() -> Self {
        Self {
            // A day covers a night's outage of a publisher that then sends everything again.
            retention: Duration::from_secs(24 * 60 * 60),
            attempts_max: 10,
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(60),
            message_bytes_max: MESSAGE_BYTES_MAX,
            backlog_max: 100_000,
        }
    }
}

/// What waits for one subscriber.
#[derive(Debug, Clone)]
pub struct SubscriptionStatus {
    /// The subscriber.
    pub service: ServiceName,
    /// Its topics.
    pub patterns: Vec<TopicPattern>,
    /// Messages that could be handled now, or wait for an earlier one of their key.
    pub ready: u64,
    /// Messages that wait for their next try.
    pub delayed: u64,
    /// Messages that were handed over and are not settled.
    pub in_flight: u64,
    /// Its dead letters.
    pub dead: u64,
}

/// A topic that was published to within the retention.
#[derive(Debug, Clone)]
pub struct TopicStatus {
    /// The topic.
    pub topic: Topic,
    /// How many messages of it are kept.
    pub messages: u64,
}

/// A message that a subscriber could not handle.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its number among the dead letters of this broker.
    pub sequence: i64,
    /// The subscriber.
    pub service: ServiceName,
    /// Why it was given up.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, in milliseconds since 1970.
    pub died_ms: u64,
    /// The message's id.
    pub id: String,
    /// The message's topic.
    pub topic: Topic,
    /// The service that published it.
    pub source: ServiceName,
    /// The message's key.
    pub key: Option<String>,
    /// The message's headers.
    pub headers: Vec<(String, String)>,
    /// The message's content.
    pub body: Bytes,
}
