//! Payment: pays for orders whose stock is reserved, or declines them.
//!
//! `settlement` follows the orders, `decision` says yes or no, `event` is what services tell each other.

mod settlement;
mod decision;
mod event;

use hostel_sdk::{Problem, Request, Response, Result, Router, Subscriptions, database, params, time};
use serde::{Deserialize, Serialize};

/// The scope of operators, who act for every customer; everybody else acts for oneself.
const OPERATORS: &str = "shop";

hostel_sdk::service! {
    http: routes,
    messages: subscriptions,
    migrations: [include_str!("../migrations/001_payments.sql")],
    health: health,
}

/// What became of the payment for an order; the amount is in cents.
#[derive(Debug, Serialize, Deserialize)]
struct Payment {
    order: String,
    customer: String,
    amount: i64,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(serialize_with = "time::serialize_rfc3339")]
    at: i64,
}

fn routes() -> Router {
    Router::new().get("/api/payments/{order}", show)
}

fn subscriptions() -> Subscriptions {
    Subscriptions::new().on("inventory-management/stock.reserved", settlement::settle)
}

fn show(request: &Request) -> Result<Response> {
    let order = request.parameter("order")?;
    let sql = "SELECT order_id AS \"order\", customer, amount, status, reason, at_ms AS at
               FROM payments WHERE order_id = $1";
    let payment: Option<Payment> = database::query_first(sql, params![order])?;
    let unknown = || Problem::not_found(format!("There is no payment for order {order}."));
    let payment = payment.ok_or_else(unknown)?;
    request.caller().require_owner(&payment.customer, OPERATORS)?;
    Response::ok(&payment)
}

fn health() -> Result<()> {
    database::query_first::<i64>("SELECT count(*) FROM payments WHERE order_id = ''", params![])?;
    Ok(())
}
