//! Paying for an order, once.

use hostel_sdk::database::{self, OnceKey};
use hostel_sdk::{Delivery, Message, Outcome, Result, config, params, time};

use crate::decision::{Decision, LIMIT_DEFAULT};
use crate::event::{OrderEvent, Step};

/// `stock.reserved`: pays, or declines what is above the limit. The payment and its event are one
/// transaction under `this-delivery`, so that nobody pays twice however often the message comes.
pub fn settle(delivery: &Delivery) -> Result<Outcome> {
    let mut order: OrderEvent = delivery.json()?;
    let limit = config::parse("limit")?.unwrap_or(LIMIT_DEFAULT);
    let Some(transaction) = database::begin_once(&OnceKey::ThisDelivery)? else {
        return Ok(Outcome::Done);
    };
    let decision = Decision::of(order.total, limit);
    let sql = "INSERT INTO payments (order_id, customer, amount, status, reason, at_ms)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let payment = params![
        &order.order,
        &order.customer,
        order.total,
        decision.status(),
        decision.reason(),
        time::now_ms()
    ];
    transaction.execute(sql, payment)?;
    order.trail.push(Step { status: "reserved".into(), at_ms: delivery.published_ms });
    order.reason = decision.reason().map(str::to_owned);
    let topic = match decision {
        Decision::Completed => "payment.completed",
        Decision::Declined(_) => "payment.declined",
    };
    transaction.publish(topic, &Message::json(&order)?.key(&order.order))?;
    transaction.commit()?;
    Ok(Outcome::Done)
}
