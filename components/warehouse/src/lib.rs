//! Warehouse: ships orders that are paid.
//!
//! `shipment` makes and shows shipments, `event` is what services tell each other.

mod shipment;
mod event;

use hostel_sdk::{Result, Router, Subscriptions, database, params};

/// The scope of operators, who act for every customer; everybody else acts for oneself.
const OPERATORS: &str = "shop";

hostel_sdk::service! {
    http: routes,
    messages: subscriptions,
    migrations: [include_str!("../migrations/001_shipments.sql")],
    health: health,
}

fn routes() -> Router {
    Router::new().get("/api/shipments/{order}", shipment::show)
}

fn subscriptions() -> Subscriptions {
    Subscriptions::new().on("order-management/payment.completed", shipment::ship)
}

fn health() -> Result<()> {
    database::query_first::<i64>("SELECT count(*) FROM shipments WHERE order_id = ''", params![])?;
    database::query_first::<i64>("SELECT count(*) FROM shipment_lines WHERE order_id = ''", params![])?;
    Ok(())
}
