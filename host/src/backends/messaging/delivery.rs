//! Messages on their way to a subscriber, and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::lanes::Lane;
use super::settle::{Settlement, Verdict};
use super::writer::{Command, Writer};
use super::{MessagingError, Reply};
use crate::names::{DomainName, ServiceName, Topic};

/// The reason noted when a subscriber lost a delivery.
const LOST: &str = "the subscriber ended before it settled the delivery";

/// One attempt to have a message handled. Dropping it unsettled counts as a failed attempt.
pub struct Delivery {
    /// The message's id, the same at each attempt.
    pub id: String,
    /// Its topic.
    pub topic: Topic,
    /// The domain whose broker it comes from.
    pub domain: DomainName,
    /// The service that published it.
    pub source: ServiceName,
    /// Its key.
    pub key: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its content.
    pub body: Bytes,
    /// 1 at the first attempt.
    pub attempt: u32,
    /// When it was published, in milliseconds since 1970.
    pub published_ms: u64,
    /// Whether the sender waits for a reply.
    pub wants_reply: bool,
    pub(super) handle: Handle,
}

/// What becomes of a delivery.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It was handled.
    Done,
    /// It was handled, and this is the answer; the same as `Done` when nobody waits for it.
    Reply(Reply),
    /// It could not be handled now.
    Retry {
        /// The pause before the next attempt; `None` for the broker's back-off.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// It can never be handled: it becomes a dead letter, for this reason.
    Reject(String),
}

/// Takes the deliveries of one service.
pub struct Consumer {
    pub(super) deliveries: flume::Receiver<Delivery>,
    pub(super) closed: CancellationToken,
}

/// Whom to tell the outcome.
pub(super) enum Handle {
    /// The broker's file.
    Stored(Stored),
    /// The sender of a request.
    Request(oneshot::Sender<Outcome>),
}

/// A message of the broker's file that is out.
pub(super) struct Stored {
    pub service: ServiceName,
    pub sequence: i64,
    pub attempt: u32,
    pub lane: Arc<Lane>,
    pub writer: Writer,
    /// Whether a subscriber got it. In a channel that nobody reads it is not an attempt.
    pub handed_over: bool,
    /// Whether the writer has taken over the outcome.
    pub settled: bool,
}

impl Consumer {
    /// The next delivery, or `None` when another consumer of the service took over. May be dropped at any
    /// time without losing a delivery.
    pub async fn next(&mut self) -> Option<Delivery> {
        let mut delivery = tokio::select! {
            biased;
            () = self.closed.cancelled() => return None,
            delivery = self.deliveries.recv_async() => delivery.ok()?,
        };
        if let Handle::Stored(stored) = &mut delivery.handle {
            stored.handed_over = true;
        }
        Some(delivery)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.closed.cancel();
        self.deliveries.drain();
    }
}

impl Delivery {
    /// Says what becomes of it; durable when it returns. After an error the delivery is made again.
    pub async fn settle(self, outcome: Outcome) -> Result<(), MessagingError> {
        match self.handle {
            Handle::Stored(stored) => stored.settle(outcome).await,
            Handle::Request(sender) => {
                // Nobody waits any more when the sender's time is over.
                let _ = sender.send(outcome);
                Ok(())
            }
        }
    }
}

impl Stored {
    async fn settle(mut self, outcome: Outcome) -> Result<(), MessagingError> {
        let verdict = match outcome {
            Outcome::Done | Outcome::Reply(_) => Verdict::Done,
            Outcome::Retry { after, reason } => Verdict::Retry { after, reason },
            Outcome::Reject(reason) => Verdict::Reject(reason),
        };
        let settlement = self.settlement(verdict);
        let answer = self.writer.send(Command::Settle(settlement)).await?;
        self.settled = true;
        answer.wait().await.map(|_| ())
    }

    fn settlement(&self, verdict: Verdict) -> Settlement {
        Settlement { service: self.service.clone(), sequence: self.sequence, attempt: self.attempt, verdict }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if !self.handed_over {
            self.lane.give_back(self.sequence);
            return;
        }
        // Without a runtime the host is ending; the message stands on the disk and is made again at its start.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let settlement = self.settlement(Verdict::Retry { after: None, reason: LOST.into() });
        let writer = self.writer.clone();
        // At most as many tasks as deliveries can be out.
        runtime.spawn(async move {
            let _ = writer.send(Command::Settle(settlement)).await;
        });
    }
}
