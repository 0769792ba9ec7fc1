//! The one task that changes a broker's file: takes all commands that wait, commits and syncs them together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::MessagingError;
use super::lanes::Lanes;
use super::store::{Applied, Store};
use crate::backends::sqlite::{GroupSync, blocking};

pub use super::store::Command;

/// Commands that may wait for the writer; a caller beyond that waits for a place.
const QUEUE_MAX: usize = 1_024;

/// Commands of one transaction: enough to share a sync, few enough that the first does not wait long.
const BATCH_MAX: usize = 256;

/// How long a delivery is kept back whose outcome could not be written: the disk needs help, not haste.
const UNSETTLED_PAUSE: Duration = Duration::from_secs(1);

/// The way to the writing task.
#[derive(Clone)]
pub struct Writer {
    queue: flume::Sender<Task>,
}

/// The answer to a command that the writer took.
pub struct Answer(oneshot::Receiver<Result<Applied, MessagingError>>);

struct Task {
    command: Command,
    answer: oneshot::Sender<Result<Applied, MessagingError>>,
}

impl Writer {
    /// Starts the task. It ends when the last `Writer` is gone.
    pub fn start(store: Store, sync: GroupSync, lanes: Arc<Lanes>) -> Self {
        let (queue, tasks) = flume::bounded(QUEUE_MAX);
        tokio::spawn(write(store, sync, lanes, tasks));
        Self { queue }
    }

    /// Hands a command over. Once this returned, it is done even when nobody waits for its answer.
    pub async fn send(&self, command: Command) -> Result<Answer, MessagingError> {
        let (answer, receiver) = oneshot::channel();
        self.queue.send_async(Task { command, answer }).await.map_err(|_| stopped())?;
        Ok(Answer(receiver))
    }

    /// Hands a command over and waits until it is durable.
    pub async fn run(&self, command: Command) -> Result<Applied, MessagingError> {
        self.send(command).await?.wait().await
    }
}

impl Answer {
    /// Returns when the command is durable.
    pub async fn wait(self) -> Result<Applied, MessagingError> {
        self.0.await.map_err(|_| stopped())?
    }
}

async fn write(mut store: Store, sync: GroupSync, lanes: Arc<Lanes>, tasks: flume::Receiver<Task>) {
    while let Ok(first) = tasks.recv_async().await {
        let (mut commands, mut answers) = (Vec::new(), Vec::new());
        for task in std::iter::once(first).chain(tasks.try_iter().take(BATCH_MAX - 1)) {
            commands.push(task.command);
            answers.push(task.answer);
        }
        let mut results = match sync.check() {
            Err(error) => Err(error.into()),
            Ok(()) => {
                let run = blocking(move || {
                    let results = store.run(&commands);
                    (store, commands, results)
                });
                let Ok((back, same, results)) = run.await else { return };
                (store, commands) = (back, same);
                results
            }
        };
        if results.is_ok() {
            let reached = sync.reach(sync.ticket()).await;
            match reached {
                Ok(()) => lanes.set_durable(store.last_sequence()),
                Err(error) => results = Err(error.into()),
            }
        }
        finish(&lanes, commands, results, answers);
    }
}

/// Tells subscribers and callers what happened.
fn finish(
    lanes: &Arc<Lanes>,
    commands: Vec<Command>,
    results: Result<Vec<Result<Applied, MessagingError>>, MessagingError>,
    answers: Vec<oneshot::Sender<Result<Applied, MessagingError>>>,
) {
    let results = match results {
        Ok(results) => results,
        Err(error) => {
            tracing::error!(%error, "a message broker could not write");
            commands.iter().map(|_| Err(error.clone())).collect()
        }
    };
    for ((command, result), answer) in commands.into_iter().zip(results).zip(answers) {
        tell_lanes(lanes, command, &result);
        // A caller that went away needs no answer.
        let _ = answer.send(result);
    }
}

fn tell_lanes(lanes: &Arc<Lanes>, command: Command, result: &Result<Applied, MessagingError>) {
    match (command, result) {
        (Command::Settle(settlement), Ok(_)) => {
            lanes.lane(&settlement.service).give_back(settlement.sequence);
        }
        (Command::Settle(settlement), Err(_)) => {
            let lane = lanes.lane(&settlement.service);
            tokio::spawn(async move {
                tokio::time::sleep(UNSETTLED_PAUSE).await;
                lane.give_back(settlement.sequence);
            });
        }
        (Command::Subscribe(service, patterns), Ok(_)) => lanes.lane(&service).set_patterns(patterns),
        _ => {}
    }
    for service in result.iter().flat_map(|applied| &applied.touched) {
        lanes.lane(service).news.notify_one();
    }
}

fn stopped() -> MessagingError {
    MessagingError::Unavailable("the message broker has stopped".into())
}
