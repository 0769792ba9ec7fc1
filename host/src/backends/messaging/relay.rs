//! Brings what a service's transactions published from its outbox to the broker, in order.

use std::time::Duration;

use super::{Broker, MessagingError};
use crate::backends::database::{Database, DatabaseError, Outbox};
use crate::names::ServiceName;

/// Messages that are brought over together.
const PAGE_MAX: usize = 256;

/// The pauses after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Broker(#[from] MessagingError),
}

/// Relays for ever; what can not be brought over now is tried again. May be dropped at any time: the broker
/// remembers how far it came.
pub async fn relay(database: Database, source: ServiceName, broker: Broker) {
    let outbox = database.outbox();
    let (mut position, mut pause, mut most) = (None, PAUSE_MIN, PAGE_MAX);
    loop {
        match step(&outbox, &source, &broker, &mut position, most).await {
            Ok(found) => {
                (pause, most) = (PAUSE_MIN, PAGE_MAX.min(most * 2));
                if !found {
                    outbox.wait().await;
                }
            }
            Err(error) => {
                tracing::warn!(service = %source, %error, "published messages wait in the outbox");
                tokio::time::sleep(pause).await;
                // A broker with little room left takes one message sooner than a page.
                (pause, most) = (PAUSE_MAX.min(pause * 2), 1);
            }
        }
    }
}

/// Brings one page over; answers whether there was one.
async fn step(
    outbox: &Outbox,
    source: &ServiceName,
    broker: &Broker,
    position: &mut Option<i64>,
    most: usize,
) -> Result<bool, RelayError> {
    let after = match *position {
        Some(position) => position,
        None => {
            // What a crash left between appending and removing is removed now.
            let relayed = broker.relayed_position(source).await?;
            outbox.remove_through(relayed).await?;
            *position.insert(relayed)
        }
    };
    let entries = outbox.read(after, most).await?;
    let Some(last) = entries.last().map(|entry| entry.sequence) else { return Ok(false) };
    broker.append_relayed(source, entries).await?;
    *position = Some(last);
    outbox.remove_through(last).await?;
    Ok(true)
}
