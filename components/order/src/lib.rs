//! Order: takes orders and follows them until they are shipped or cancelled.
//!
//! `placing` takes an order with the help of `draft`, `buyer` and `neighbours`; `saga` hears what becomes of it
//! and writes it into its `history`; `showing` shows it; `order` and `store` are what it is and where it is kept.

mod placing;
mod draft;
mod buyer;
mod neighbours;
mod saga;
mod history;
mod showing;
mod order;
mod store;

use hostel_sdk::{Result, Router, Subscriptions, database, idempotency, params};

use history::Status;

/// The scope of operators, who act for every customer; everybody else acts for oneself.
const OPERATORS: &str = "shop";

hostel_sdk::service! {
    http: routes,
    messages: subscriptions,
    migrations: [include_str!("../migrations/001_orders.sql"), idempotency::SCHEMA],
    health: health,
}

fn routes() -> Router {
    Router::new()
        .post("/api/orders", placing::place)
        .get("/api/orders", showing::list)
        .get("/api/orders/{id}", showing::show)
}

fn subscriptions() -> Subscriptions {
    Subscriptions::new()
        .on("inventory-management/stock.reserved", |delivery| saga::advance(delivery, Status::Reserved))
        .on("inventory-management/stock.refused", |delivery| saga::advance(delivery, Status::Cancelled))
        .on("payment.completed", |delivery| saga::advance(delivery, Status::Paid))
        .on("payment.declined", |delivery| saga::advance(delivery, Status::Cancelled))
        .on("inventory-management/shipment.shipped", |delivery| saga::advance(delivery, Status::Shipped))
}

fn health() -> Result<()> {
    for table in ["orders", "order_lines", "history"] {
        let sql = format!("SELECT count(*) FROM (SELECT * FROM {table} LIMIT 1) AS first");
        database::query_first::<i64>(&sql, params![])?;
    }
    Ok(())
}
