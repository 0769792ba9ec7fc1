//! Services throw kept responses away: a message on a topic that the operator named is a purge.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::backends::messaging::{Consumer, Outcome};
use crate::gateway::{Gateway, Purge};

/// Takes purges from one broker.
pub struct Purges {
    /// The messages.
    pub consumer: Consumer,
    /// Whose responses go.
    pub gateway: Arc<Gateway>,
}

impl Purges {
    /// Purges until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let delivery = tokio::select! {
                next = self.consumer.next() => match next {
                    Some(delivery) => delivery,
                    None => return,
                },
                () = stop.cancelled() => return,
            };
            let outcome = self.purge(&delivery.body);
            if let Err(error) = delivery.settle(outcome).await {
                // It comes again, and a purge that is done twice does no harm.
                tracing::warn!(%error, "a purge could not be settled");
            }
        }
    }

    fn purge(&self, body: &[u8]) -> Outcome {
        let purge: Purge = match serde_json::from_slice(body) {
            Ok(purge) => purge,
            Err(error) => return Outcome::Reject(format!("write {{\"path\": …, \"tag\": …}}: {error}")),
        };
        if let Some(fault) = purge.fault() {
            return Outcome::Reject(fault.into());
        }
        let responses = self.gateway.purge(&purge);
        tracing::debug!(responses, ?purge, "a message purged the cache");
        Outcome::Done
    }
}
