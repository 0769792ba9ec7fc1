//! Customer: who buys, and what they were told about their orders.
//!
//! `registration` makes and shows customers, `notification` tells them of the end of an order.

mod registration;
mod notification;

use hostel_sdk::{Result, Router, Subscriptions, database, idempotency, params};

/// The scope of operators, who act for every customer; everybody else acts for oneself.
const OPERATORS: &str = "shop";

hostel_sdk::service! {
    http: routes,
    messages: subscriptions,
    migrations: [include_str!("../migrations/001_customers.sql"), idempotency::SCHEMA],
    health: health,
}

fn routes() -> Router {
    Router::new()
        .post("/api/customers", registration::register)
        .get("/api/customers/{id}", registration::show)
        .get("/api/customers/{id}/notifications", notification::list)
}

fn subscriptions() -> Subscriptions {
    Subscriptions::new()
        .on("order.shipped", notification::tell_shipped)
        .on("order.cancelled", notification::tell_cancelled)
}

fn health() -> Result<()> {
    database::query_first::<i64>("SELECT count(*) FROM customers WHERE id = ''", params![])?;
    database::query_first::<i64>("SELECT count(*) FROM notifications WHERE customer_id = ''", params![])?;
    Ok(())
}
