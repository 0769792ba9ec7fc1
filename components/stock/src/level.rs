//! How much there is of one product.

use hostel_sdk::database::Transaction;
use hostel_sdk::{Problem, Request, Response, Result, database, idempotency, params};
use serde::{Deserialize, Serialize};

/// The most that one delivery brings; more is a typing error.
const REPLENISH_MAX: i64 = 1_000_000;

const LEVEL: &str = "SELECT sku, received - reserved - shipped AS available, reserved, shipped, received
                     FROM products WHERE sku = $1";

/// What there is of one product: available + reserved + shipped = received, always.
#[derive(Debug, Serialize, Deserialize)]
struct Level {
    sku: String,
    available: i64,
    reserved: i64,
    shipped: i64,
    received: i64,
}

/// What a delivery brings.
#[derive(Debug, Deserialize)]
struct Replenishment {
    quantity: i64,
}

/// `GET /api/stock/{sku}`.
pub fn show(request: &Request) -> Result<Response> {
    let sku = request.parameter("sku")?;
    let level: Option<Level> = database::query_first(LEVEL, params![sku])?;
    Response::ok(&level.ok_or_else(|| unknown(sku))?)
}

/// `POST /api/stock/{sku}/replenish`.
pub fn replenish(request: &Request) -> Result<Response> {
    let once = idempotency::of(request, "replenishments")?;
    if let Some(answer) = once.answered()? {
        return Ok(answer);
    }
    let sku = request.parameter("sku")?;
    let Replenishment { quantity } = request.json()?;
    if !(1..=REPLENISH_MAX).contains(&quantity) {
        return Err(Problem::unprocessable(format!("A quantity is 1 to {REPLENISH_MAX}.")).into());
    }
    once.run(|transaction| receive(transaction, sku, quantity))
}

fn receive(transaction: &Transaction, sku: &str, quantity: i64) -> Result<Response> {
    let sql = "UPDATE products SET received = received + $2 WHERE sku = $1";
    if transaction.execute(sql, params![sku, quantity])? == 0 {
        return Err(unknown(sku).into());
    }
    let level: Option<Level> = transaction.query_first(LEVEL, params![sku])?;
    Response::ok(&level.ok_or_else(|| unknown(sku))?)
}

fn unknown(sku: &str) -> Problem {
    Problem::not_found(format!("The shop has no product {sku}."))
}
