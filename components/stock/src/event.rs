//! What travels with an order from service to service.

use serde::{Deserialize, Serialize};

/// An order as events carry it. Amounts are cents.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OrderEvent {
    /// The id of the order.
    pub order: String,
    /// Who placed it.
    pub customer: String,
    /// What was ordered; each sku once.
    pub lines: Vec<Line>,
    /// The sum of its lines.
    pub total: i64,
    /// Why it can not go on, in words for the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One line of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// Which product.
    pub sku: String,
    /// How many of it.
    pub quantity: i64,
    /// The price of one, in cents.
    pub price: i64,
}
