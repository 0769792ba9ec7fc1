//! One parcel for one order.

use hostel_sdk::database::{self, OnceKey};
use hostel_sdk::{Delivery, Message, Outcome, Problem, Request, Response, Result, params, time};
use serde::{Deserialize, Serialize};

use crate::OPERATORS;
use crate::event::{OrderEvent, Step};

/// A shipment as clients see it.
#[derive(Debug, Serialize)]
struct Shipment {
    order: String,
    customer: String,
    status: &'static str,
    lines: Vec<Line>,
    #[serde(serialize_with = "time::serialize_rfc3339")]
    at: i64,
}

/// What is in the parcel.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: i64,
}

/// `GET /api/shipments/{order}`.
pub fn show(request: &Request) -> Result<Response> {
    let order = request.parameter("order")?;
    let head = "SELECT customer, at_ms FROM shipments WHERE order_id = $1";
    let Some((customer, at)) = database::query_first::<(String, i64)>(head, params![order])? else {
        return Err(Problem::not_found(format!("There is no shipment for order {order}.")).into());
    };
    request.caller().require_owner(&customer, OPERATORS)?;
    let lines = "SELECT sku, quantity FROM shipment_lines WHERE order_id = $1 ORDER BY position";
    let lines = database::query(lines, params![order])?;
    Response::ok(&Shipment { order: order.to_owned(), customer, status: "shipped", lines, at })
}

/// `payment.completed`: packs and ships. The shipment and its event are one transaction under
/// `this-delivery`, so that a second parcel never leaves.
pub fn ship(delivery: &Delivery) -> Result<Outcome> {
    let mut order: OrderEvent = delivery.json()?;
    let Some(transaction) = database::begin_once(&OnceKey::ThisDelivery)? else {
        return Ok(Outcome::Done);
    };
    let head = "INSERT INTO shipments (order_id, customer, at_ms) VALUES ($1, $2, $3)";
    transaction.execute(head, params![&order.order, &order.customer, time::now_ms()])?;
    let pack = "INSERT INTO shipment_lines (order_id, position, sku, quantity) VALUES ($1, $2, $3, $4)";
    for (position, line) in (1_i64..).zip(&order.lines) {
        transaction.execute(pack, params![&order.order, position, &line.sku, line.quantity])?;
    }
    order.trail.push(Step { status: "paid".into(), at_ms: delivery.published_ms });
    transaction.publish("shipment.shipped", &Message::json(&order)?.key(&order.order))?;
    transaction.commit()?;
    Ok(Outcome::Done)
}
