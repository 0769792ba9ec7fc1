//! A steady load on one path, to see whether anything else disturbs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::client::Client;

/// Requests under way, until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Report>,
}

/// What the load saw.
#[derive(Debug, Default)]
pub struct Report {
    /// How long each request took.
    pub times: Vec<Duration>,
    /// What went wrong: anything but a 200.
    pub failures: Vec<String>,
}

impl Report {
    /// The time within which so many of a thousand requests were answered.
    pub fn time_of(&self, per_mille: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        times
            .get((times.len() * per_mille / 1000).min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }
}

impl Load {
    /// Sends GET requests to `path`, one each `interval`, each on its way whether or not the one before has ended.
    pub fn start(client: Client, path: &'static str, interval: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(interval);
            // A machine that did not run the client for a while must not have it send all at once.
            tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut requests = tokio::task::JoinSet::new();
            while !stopped.load(Ordering::Relaxed) {
                tick.tick().await;
                let client = client.clone();
                requests.spawn(async move {
                    let started = Instant::now();
                    let result = client.try_send(client.request(reqwest::Method::GET, path)).await;
                    (started.elapsed(), result)
                });
            }
            let mut report = Report::default();
            while let Some(done) = requests.join_next().await {
                let (time, result) = done.unwrap();
                match result {
                    Ok(answer) if answer.status == 200 => report.times.push(time),
                    Ok(answer) => report.failures.push(format!("{answer:?}")),
                    Err(error) => report.failures.push(format!("{error:?}")),
                }
            }
            report
        });
        Self { stop, task }
    }

    /// Stops it and answers what it saw.
    pub async fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}
