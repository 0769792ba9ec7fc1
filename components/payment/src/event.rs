//! What travels with an order from service to service.

use serde::{Deserialize, Serialize};

/// An order as events carry it. Amounts are cents.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OrderEvent {
    /// The id of the order.
    pub order: String,
    /// Who placed it.
    pub customer: String,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// The sum of its lines.
    pub total: i64,
    /// What has happened to the order before, so that an event tells all of it even when it comes first.
    #[serde(default)]
    pub trail: Vec<Step>,
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

/// Something that has happened to the order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// The status that the order reached.
    pub status: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}
