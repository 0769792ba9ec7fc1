//! Telling customers what became of their orders.

use hostel_sdk::database::{self, OnceKey};
use hostel_sdk::{Delivery, Outcome, Problem, Request, Response, Result, params, time};
use serde::{Deserialize, Serialize};

use crate::OPERATORS;
use crate::registration::unknown;

/// What a customer was told.
#[derive(Debug, Serialize, Deserialize)]
struct Notification {
    order: String,
    message: String,
    #[serde(serialize_with = "time::serialize_rfc3339")]
    at: i64,
}

/// What this service needs of an order that has ended.
#[derive(Debug, Deserialize)]
struct EndedOrder {
    order: String,
    customer: String,
    reason: Option<String>,
}

/// `GET /api/customers/{id}/notifications`, oldest first.
pub fn list(request: &Request) -> Result<Response> {
    let id = request.parameter("id")?;
    request.caller().require_owner(id, OPERATORS)?;
    let known = "SELECT id FROM customers WHERE id = $1";
    if database::query_first::<String>(known, params![id])?.is_none() {
        return Err(unknown(id).into());
    }
    let sql = "SELECT order_id AS \"order\", message, at_ms AS at FROM notifications
               WHERE customer_id = $1 ORDER BY at_ms, order_id";
    Ok(Response::list(database::cursor::<Notification>(sql, params![id])?))
}

/// `order.shipped`.
pub fn tell_shipped(delivery: &Delivery) -> Result<Outcome> {
    tell(delivery, |_| "Your order is on its way to you.".to_owned())
}

/// `order.cancelled`.
pub fn tell_cancelled(delivery: &Delivery) -> Result<Outcome> {
    tell(delivery, |order| match &order.reason {
        Some(reason) => format!("Your order was cancelled: {reason}"),
        None => "Your order was cancelled.".to_owned(),
    })
}

fn tell(delivery: &Delivery, words: impl Fn(&EndedOrder) -> String) -> Result<Outcome> {
    let order: EndedOrder = delivery.json()?;
    let Some(transaction) = database::begin_once(&OnceKey::ThisDelivery)? else {
        return Ok(Outcome::Done);
    };
    let sql = "INSERT INTO notifications (customer_id, order_id, message, at_ms)
               SELECT id, $2, $3, CAST($4 AS BIGINT) FROM customers WHERE id = $1";
    let at_ms = i64::try_from(delivery.published_ms).unwrap_or(i64::MAX);
    let told = transaction.execute(sql, params![&order.customer, &order.order, words(&order), at_ms])?;
    if told == 0 {
        return Err(Problem::not_found(format!("There is no customer {}.", order.customer)).into());
    }
    transaction.commit()?;
    Ok(Outcome::Done)
}
