//! Takes a subscriber's due messages from the disk and hands them to its consumer.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::MessagingError;
use super::delivery::{Delivery, Handle, Stored};
use super::lanes::{Lane, Lanes};
use super::read::{self, PageQuery, Waiting};
use super::writer::Writer;
use crate::backends::sqlite::{Pool, blocking, now_ms};
use crate::names::{DomainName, ServiceName};

/// Deliveries in a consumer's channel: enough that it never waits for the disk, few enough that a request
/// does not wait long behind them.
pub const CHANNEL_MAX: usize = 16;

/// Deliveries of one subscriber that are out and not settled.
const OUT_MAX: usize = 1_024;

/// Messages of one look at the disk.
const PAGE_MESSAGES_MAX: usize = 64;

/// Bytes of one look at the disk, so that long messages do not fill the memory.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long to wait after the disk could not be read.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// The longest wait for a due time: the machine's clock may be set meanwhile.
const DUE_WAIT_MAX: Duration = Duration::from_secs(30);

/// How long to wait for a reading connection.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(10);

/// Hands messages to one consumer until it is closed.
pub struct Dispatcher {
    pub domain: DomainName,
    pub service: ServiceName,
    pub lanes: Arc<Lanes>,
    pub lane: Arc<Lane>,
    pub pool: Arc<Pool<Connection>>,
    pub writer: Writer,
    pub sender: flume::Sender<Delivery>,
    /// The consumer's side of the channel, to take back what nobody will fetch.
    pub undelivered: flume::Receiver<Delivery>,
    pub closed: CancellationToken,
}

impl Dispatcher {
    /// Works until the consumer is closed.
    pub async fn run(self) {
        let closed = self.closed.clone();
        tokio::select! {
            () = closed.cancelled() => {}
            () = self.dispatch() => {}
        }
        self.lane.detach_closed();
        // The consumer may be kept for long after it was closed, until its last delivery is settled.
        self.undelivered.drain();
        // What was taken from the disk here went back to the lane; the next consumer must look again.
        self.lane.news.notify_one();
    }

    async fn dispatch(&self) {
        loop {
            let mut news = std::pin::pin!(self.lane.news.notified());
            // Registered before the look at the disk: what comes after it is not missed.
            news.as_mut().enable();
            let (deliveries, until) = self.take().await;
            let idle = deliveries.is_empty();
            for delivery in deliveries {
                if self.sender.send_async(delivery).await.is_err() {
                    return;
                }
            }
            if self.lane.out_count() >= OUT_MAX {
                // Only a settlement makes room.
                news.await;
            } else if let (true, Some(until)) = (idle, until) {
                let _ = tokio::time::timeout_at(until, news).await;
            }
        }
    }

    /// Takes due messages from the disk; says until when to wait for news if there were none; `None`: not at all.
    async fn take(&self) -> (Vec<Delivery>, Option<Instant>) {
        match self.try_take().await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(service = %self.service, %error, "messages could not be read");
                tokio::time::sleep(FAILURE_PAUSE).await;
                (Vec::new(), None)
            }
        }
    }

    async fn try_take(&self) -> Result<(Vec<Delivery>, Option<Instant>), MessagingError> {
        let _turn = self.lane.turn.lock().await;
        // Before the read: what is settled in between is missing from both, never found twice.
        let out = self.lane.out();
        let query = PageQuery {
            service: self.service.clone(),
            messages_max: PAGE_MESSAGES_MAX.min(OUT_MAX.saturating_sub(out.len())),
            out,
            durable: self.lanes.durable(),
            now_ms: now_ms(),
            bytes_max: PAGE_BYTES_MAX,
        };
        let now_ms = query.now_ms;
        let mut lease = self.pool.lend(Instant::now() + CONNECTION_WAIT_MAX).await?;
        let page = blocking(move || read::page(lease.connection()?, &query)).await??;
        let deliveries = page.waiting.into_iter().map(|waiting| self.delivery(waiting)).collect();
        Ok((deliveries, (!page.more).then(|| until(now_ms, page.next_due_ms))))
    }

    fn delivery(&self, waiting: Waiting) -> Delivery {
        self.lane.take(waiting.sequence);
        Delivery {
            id: waiting.id,
            topic: waiting.topic,
            domain: self.domain.clone(),
            source: waiting.source,
            key: waiting.key,
            headers: waiting.headers,
            body: waiting.body,
            attempt: waiting.attempt,
            published_ms: waiting.published_ms,
            wants_reply: false,
            handle: Handle::Stored(Stored {
                service: self.service.clone(),
                sequence: waiting.sequence,
                attempt: waiting.attempt,
                lane: self.lane.clone(),
                writer: self.writer.clone(),
                handed_over: false,
                settled: false,
            }),
        }
    }
}

fn until(now_ms: i64, due_ms: Option<i64>) -> Instant {
    let pause = due_ms.map_or(DUE_WAIT_MAX, |due| Duration::from_millis(due.abs_diff(now_ms)));
    Instant::now() + pause.min(DUE_WAIT_MAX)
}
