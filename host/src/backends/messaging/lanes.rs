//! What a broker knows of its subscribers beside the disk: what was handed over, and who is there to take it.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use crate::backends::sqlite::lock;
use crate::names::{ServiceName, Topic, TopicPattern};

/// All subscribers of one broker.
#[derive(Default)]
pub struct Lanes {
    lanes: Mutex<BTreeMap<ServiceName, Arc<Lane>>>,
    /// The last message that is durable: later ones are not handed over yet.
    durable: AtomicI64,
}

/// One subscriber.
#[derive(Default)]
pub struct Lane {
    /// Tells the dispatcher to look at the disk again. Told after the disk holds the change.
    pub news: Notify,
    /// Held while messages are taken from the disk, so that two consumers never take the same one.
    pub turn: tokio::sync::Mutex<()>,
    /// Messages that left the disk's queue and are not settled.
    out: Mutex<HashSet<i64>>,
    patterns: Mutex<Vec<TopicPattern>>,
    consumer: Mutex<Option<LiveConsumer>>,
}

/// The way to the consumer that takes deliveries now.
#[derive(Clone)]
pub struct LiveConsumer {
    /// Where deliveries go.
    pub sender: flume::Sender<Delivery>,
    /// Cancelled when the consumer went away or was replaced.
    pub closed: CancellationToken,
}

impl Lanes {
    /// The subscriber's state, made when first asked for.
    pub fn lane(&self, service: &ServiceName) -> Arc<Lane> {
        lock(&self.lanes).entry(service.clone()).or_default().clone()
    }

    /// The last message that is durable.
    pub fn durable(&self) -> i64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Notes that messages up to this one are durable.
    pub fn set_durable(&self, sequence: i64) {
        self.durable.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Consumers that take requests of this topic now.
    pub fn responders(&self, topic: &Topic) -> Vec<(ServiceName, LiveConsumer)> {
        let lanes = lock(&self.lanes);
        let matching = lanes.iter().filter(|(_, lane)| lane.takes(topic));
        matching.filter_map(|(name, lane)| Some((name.clone(), lane.live()?))).collect()
    }
}

impl Lane {
    /// Replaces the consumer; the one before is closed.
    pub fn attach(&self, consumer: LiveConsumer) {
        if let Some(before) = lock(&self.consumer).replace(consumer) {
            before.closed.cancel();
        }
    }

    /// Forgets consumers that went away, and with them what stands in their channels.
    pub fn detach_closed(&self) {
        let closed = lock(&self.consumer).take_if(|consumer| consumer.closed.is_cancelled());
        // Dropped outside of the lock: deliveries in its channel come back to this lane.
        drop(closed);
    }

    /// Replaces the patterns.
    pub fn set_patterns(&self, patterns: Vec<TopicPattern>) {
        *lock(&self.patterns) = patterns;
    }

    /// A copy of what is out.
    pub fn out(&self) -> HashSet<i64> {
        lock(&self.out).clone()
    }

    /// How many messages are out.
    pub fn out_count(&self) -> usize {
        lock(&self.out).len()
    }

    /// Notes that the message is out.
    pub fn take(&self, sequence: i64) {
        lock(&self.out).insert(sequence);
    }

    /// Notes that the message is out no longer: it was settled, or waits on the disk again.
    pub fn give_back(&self, sequence: i64) {
        lock(&self.out).remove(&sequence);
        self.news.notify_one();
    }

    fn takes(&self, topic: &Topic) -> bool {
        lock(&self.patterns).iter().any(|pattern| pattern.matches(topic))
    }

    fn live(&self) -> Option<LiveConsumer> {
        lock(&self.consumer).as_ref().filter(|consumer| !consumer.closed.is_cancelled()).cloned()
    }
}
