//! Stock: the catalogue, and what of it is available, reserved and shipped.
//!
//! `catalogue` and `level` answer requests, `reservation` follows the orders, `event` is what they say.

mod catalogue;
mod level;
mod reservation;
mod event;

use hostel_sdk::{Result, Router, Subscriptions, database, idempotency, params};

hostel_sdk::service! {
    http: routes,
    messages: subscriptions,
    migrations: [
        include_str!("../migrations/001_stock.sql"),
        include_str!("../migrations/002_catalogue.sql"),
        idempotency::SCHEMA,
    ],
    health: health,
}

fn routes() -> Router {
    Router::new()
        .get("/api/products", catalogue::list)
        .get("/api/stock/{sku}", level::show)
        .post("/api/stock/{sku}/replenish", level::replenish)
}

fn subscriptions() -> Subscriptions {
    Subscriptions::new()
        .on("order-management/order.placed", reservation::reserve)
        .on("order-management/payment.declined", reservation::release)
        .on("shipment.shipped", reservation::ship)
}

fn health() -> Result<()> {
    database::query_first::<i64>("SELECT count(*) FROM reservations WHERE order_id = ''", params![])?;
    database::query_first::<i64>("SELECT count(*) FROM products WHERE sku = ''", params![])?;
    Ok(())
}
