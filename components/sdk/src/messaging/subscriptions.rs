//! Which handler gets which message.

use super::{Delivery, Outcome, pattern};
use crate::error::{Error, Result};
use crate::logging;

type Handler = Box<dyn Fn(&Delivery) -> Result<Outcome> + Send + Sync>;

/// The handlers of a service by topic. `subscribes` in `gateway.toml` says what comes in at all.
///
/// An error means that the message comes again, with the host's back-off and up to its maximum of
/// attempts. Only a [`Problem`](crate::Problem) with a status of 4xx says that the message itself is at
/// fault: it goes to the dead letters at once.
#[derive(Default)]
pub struct Subscriptions(Vec<(String, Handler)>);

impl Subscriptions {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handler for the topics of this pattern: `*` is one word, `>` the rest; `domain/` before it
    /// means that domain only. The first that matches gets the message.
    #[must_use]
    pub fn on<H>(mut self, pattern: &str, handler: H) -> Self
    where
        H: Fn(&Delivery) -> Result<Outcome> + Send + Sync + 'static,
    {
        self.0.push((pattern.to_owned(), Box::new(handler)));
        self
    }

    /// Runs the handler of the message.
    pub fn deliver(&self, delivery: &Delivery) -> Outcome {
        let Some((_, handler)) = self.0.iter().find(|(given, _)| pattern::matches(given, delivery)) else {
            return Outcome::Reject(format!("no handler for {}", delivery.topic));
        };
        match handler(delivery) {
            Ok(outcome) => outcome,
            Err(Error::Problem(problem)) if problem.status() < 500 => {
                Outcome::Reject(problem.detail().to_owned())
            }
            Err(error) => {
                log::warn!("{} {}, attempt {}: {error}", delivery.topic, delivery.id, delivery.attempt);
                Outcome::Retry(None)
            }
        }
    }
}

/// Handles one message; the export of [`service!`](crate::service) calls it.
#[doc(hidden)]
pub fn handle(subscriptions: &Subscriptions, delivery: &Delivery) -> Outcome {
    logging::install();
    subscriptions.deliver(delivery)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database;
    use crate::problem::Problem;

    fn delivery(topic: &str) -> Delivery {
        Delivery {
            id: "1".into(),
            topic: topic.into(),
            domain: "shop".into(),
            source: "test".into(),
            key: None,
            headers: Vec::new(),
            body: b"no json".to_vec(),
            attempt: 1,
            published_ms: 0,
            wants_reply: false,
        }
    }

    #[test]
    fn what_a_handler_says_becomes_an_outcome() {
        let subscriptions = Subscriptions::new()
            .on("other/good", |_| Err(Problem::not_found("not this domain").into()))
            .on("shop/good", |_| Ok(Outcome::Done))
            .on("busy", |_| Err(database::Error::Conflict("busy".into()).into()))
            .on("away", |_| Err(Problem::unavailable("later").into()))
            .on("bad", |delivery| delivery.json().map(|()| Outcome::Done));
        assert_eq!(subscriptions.deliver(&delivery("good")), Outcome::Done);
        assert_eq!(subscriptions.deliver(&delivery("busy")), Outcome::Retry(None));
        assert_eq!(subscriptions.deliver(&delivery("away")), Outcome::Retry(None));
        assert!(matches!(subscriptions.deliver(&delivery("bad")), Outcome::Reject(_)));
        assert!(matches!(subscriptions.deliver(&delivery("unknown")), Outcome::Reject(_)));
    }
}
