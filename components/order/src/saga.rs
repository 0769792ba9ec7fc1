//! Following an order through the other services.

use hostel_sdk::database::{self, OnceKey, Transaction};
use hostel_sdk::{Delivery, Message, Outcome, Problem, Result};
use serde::{Deserialize, Serialize};

use crate::history::{Entry, Status};
use crate::store;

/// What others say of an order.
#[derive(Debug, Deserialize)]
struct OrderEvent {
    order: String,
    customer: String,
    total: i64,
    /// What happened before, which may not have been heard here yet.
    #[serde(default)]
    trail: Vec<Step>,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Step {
    status: Status,
    at_ms: i64,
}

/// `order.shipped` and `order.cancelled`, the end of the saga. The total is in cents.
#[derive(Debug, Serialize)]
struct Ended<'a> {
    order: &'a str,
    customer: &'a str,
    total: i64,
    status: Status,
    reason: Option<&'a str>,
}

/// An event that takes an order to this status. What is news is recorded with the time of its event, and
/// an end is published, in one transaction that happens once a delivery.
pub fn advance(delivery: &Delivery, status: Status) -> Result<Outcome> {
    let event: OrderEvent = delivery.json()?;
    let Some(transaction) = database::begin_once(&OnceKey::ThisDelivery)? else {
        return Ok(Outcome::Done);
    };
    let mut history = store::history(&transaction, &event.order)?;
    if history.is_empty() {
        return Err(Problem::not_found(format!("There is no order {}.", event.order)).into());
    }
    for entry in entries(&event, status, delivery.published_ms) {
        let is_end = entry.status.is_final();
        if history.record(entry.clone()) {
            store::add_entry(&transaction, &event.order, &entry)?;
            if is_end {
                publish_end(&transaction, &event, &entry)?;
            }
        }
    }
    transaction.commit()?;
    Ok(Outcome::Done)
}

/// Everything that the event tells, oldest first.
fn entries(event: &OrderEvent, status: Status, published_ms: u64) -> Vec<Entry> {
    let before = event.trail.iter().filter(|step| !step.status.is_final());
    let mut entries: Vec<Entry> =
        before.map(|step| Entry { status: step.status, at: step.at_ms, reason: None }).collect();
    let at = i64::try_from(published_ms).unwrap_or(i64::MAX);
    let reason = if status == Status::Cancelled { event.reason.clone() } else { None };
    entries.push(Entry { status, at, reason });
    entries
}

fn publish_end(transaction: &Transaction, event: &OrderEvent, end: &Entry) -> Result<()> {
    let topic = format!("order.{}", end.status.as_str());
    let ended = Ended {
        order: &event.order,
        customer: &event.customer,
        total: event.total,
        status: end.status,
        reason: end.reason.as_deref(),
    };
    transaction.publish(&topic, &Message::json(&ended)?.key(&event.order))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;

    fn event(trail: &[(Status, i64)]) -> OrderEvent {
        let step = |(status, at_ms): &(Status, i64)| Step { status: *status, at_ms: *at_ms };
        OrderEvent {
            order: "7".into(),
            customer: "ada".into(),
            total: 1,
            trail: trail.iter().map(step).collect(),
            reason: Some("because".into()),
        }
    }

    #[test]
    fn an_end_that_comes_first_brings_all_before_it() {
        let trail = [(Status::Reserved, 2), (Status::Paid, 3)];
        let mut history = History::new(vec![Entry { status: Status::Pending, at: 1, reason: None }]);
        for entry in entries(&event(&trail), Status::Shipped, 4) {
            assert!(history.record(entry));
        }
        let times: Vec<i64> = history.into_entries().iter().map(|entry| entry.at).collect();
        assert_eq!(times, [1, 2, 3, 4]);
    }

    #[test]
    fn only_a_cancelled_order_has_a_reason() {
        let last = |status| entries(&event(&[]), status, 4).pop().unwrap().reason;
        assert_eq!(last(Status::Cancelled).as_deref(), Some("because"));
        assert_eq!(last(Status::Paid), None);
    }
}
