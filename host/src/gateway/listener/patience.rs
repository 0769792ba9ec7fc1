//! Patience with each stream of HTTP/2: one whose client takes nothing is reset, and the others go on.
//!
//! HTTP/1.1 needs none of this: there the connection itself stops taking bytes. A client of HTTP/2 may hold the window
//! of one stream shut and take the rest, and only the task of that stream can end it alone (RFC 9113, 5.4.2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

tokio::task_local! {
    /// The stream whose task this is.
    static STREAM: Arc<Untaken>;
}

/// Runs the streams of HTTP/2 connections, each in a task that gives up on a client that takes nothing.
#[derive(Debug, Clone)]
pub struct StreamExecutor {
    write_timeout: Duration,
}

/// Since when a client has not taken what was handed over to its stream.
#[derive(Debug)]
pub struct Untaken {
    opened: Instant,
    /// Milliseconds after `opened`; 0 while nothing waits for the client.
    since: AtomicU64,
}

impl StreamExecutor {
    /// `write_timeout` is how long a client may take nothing.
    pub fn new(write_timeout: Duration) -> Self {
        Self { write_timeout }
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        let untaken = Arc::new(Untaken { opened: Instant::now(), since: AtomicU64::new(0) });
        let write_timeout = self.write_timeout;
        tokio::spawn(async move {
            let patience = untaken.clone();
            tokio::select! {
                biased;
                () = STREAM.scope(untaken, stream) => {}
                // What is dropped here is reset.
                () = patience.run_out(write_timeout) => {}
            }
        });
    }
}

impl Untaken {
    /// That of the stream whose task this is; none outside of HTTP/2.
    pub fn of_this_stream() -> Option<Arc<Self>> {
        STREAM.try_with(Arc::clone).ok()
    }

    /// A part of the response was handed over; it waits for the client until more is asked for.
    pub fn handed_over(&self) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(since.max(1), Ordering::Release);
    }

    /// More of the response is asked for, so the client has taken what was handed over.
    pub fn taken(&self) {
        self.since.store(0, Ordering::Release);
    }

    /// Returns when something has waited for the client for so long, and looks no oftener than that.
    async fn run_out(&self, timeout: Duration) {
        let mut look = self.opened + timeout;
        loop {
            sleep_until(look).await;
            let now = Instant::now();
            let since = self.since.load(Ordering::Acquire);
            if since == 0 {
                look = now + timeout;
                continue;
            }
            look = self.opened + Duration::from_millis(since) + timeout;
            if look <= now {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untaken() -> Untaken {
        Untaken { opened: Instant::now(), since: AtomicU64::new(0) }
    }

    #[tokio::test]
    async fn only_what_waits_for_the_client_counts() {
        let (untaken, timeout) = (untaken(), Duration::from_millis(20));
        let is_cut = async || tokio::time::timeout(5 * timeout, untaken.run_out(timeout)).await.is_ok();
        assert!(!is_cut().await, "a service may be slow");
        untaken.handed_over();
        untaken.taken();
        assert!(!is_cut().await);
        untaken.handed_over();
        let begin = Instant::now();
        untaken.run_out(timeout).await;
        assert!(begin.elapsed() >= timeout);
    }
}
