//! Messages in, component handlers out: acknowledge, try again, dead letter.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backends::messaging::{Consumer, Delivery, Outcome};
use crate::balance::service::Service;
use crate::names::ServiceName;
use crate::runtime::failure::GuestFailure;
use crate::telemetry::metrics::Metrics;

/// Deliveries of one subscription that may be under way: beyond it they wait at the broker.
const UNDER_WAY_MAX: usize = 64;

/// Delivers the messages of one broker to one service.
pub struct Subscription {
    /// The service.
    pub name: ServiceName,
    /// Its instances.
    pub service: Arc<Service>,
    /// Its messages.
    pub consumer: Consumer,
    /// Where outcomes are counted.
    pub metrics: Arc<Metrics>,
}

impl Subscription {
    /// Delivers until `stop` is cancelled; then waits for the deliveries under way.
    pub async fn run(mut self, stop: CancellationToken) {
        let under_way = TaskTracker::new();
        let places = Arc::new(tokio::sync::Semaphore::new(UNDER_WAY_MAX));
        loop {
            let next = async {
                let place = places.clone().acquire_owned().await.ok()?;
                // A message that is taken must be settled, and without a version nobody could.
                self.service.wait_for_version().await;
                Some((place, self.consumer.next().await?))
            };
            let (place, delivery) = tokio::select! {
                next = next => match next {
                    Some(next) => next,
                    None => break,
                },
                () = stop.cancelled() => break,
            };
            let (name, service, metrics) = (self.name.clone(), self.service.clone(), self.metrics.clone());
            under_way.spawn(async move {
                handle(&name, &service, &metrics, delivery).await;
                drop(place);
            });
        }
        under_way.close();
        under_way.wait().await;
    }
}

async fn handle(name: &ServiceName, service: &Service, metrics: &Metrics, delivery: Delivery) {
    let (version, result) = service.deliver(&delivery).await;
    let (outcome, counted) = match result {
        Ok(outcome) => {
            let counted = match &outcome {
                Outcome::Done | Outcome::Reply(_) => "done",
                Outcome::Retry { .. } => "retry",
                Outcome::Reject(_) => "rejected",
            };
            (outcome, counted)
        }
        Err(failure) => (again(&failure), "failed"),
    };
    metrics.delivery(name, version, counted);
    let id = delivery.id.clone();
    if let Err(error) = delivery.settle(outcome).await {
        // It stays at the broker and is delivered again; handlers that begin once have no second effect.
        tracing::warn!(service = %name, message = %id, %error, "a delivery could not be settled");
    }
}

fn again(failure: &GuestFailure) -> Outcome {
    Outcome::Retry { after: None, reason: failure.to_string() }
}
