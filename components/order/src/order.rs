//! What an order is.

use hostel_sdk::time;
use serde::{Deserialize, Serialize};

use crate::history::{Entry, Status};

/// An order as clients see it. Amounts are cents.
#[derive(Debug, Serialize)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// Who placed it.
    pub customer: String,
    /// What was ordered; each sku once.
    pub lines: Vec<Line>,
    /// The sum of its lines.
    pub total: i64,
    /// How far it has come.
    pub status: Status,
    /// How it came there, oldest first.
    pub history: Vec<Entry>,
    /// When it was placed, in milliseconds since 1970.
    #[serde(skip)]
    pub placed_ms: i64,
}

/// One line of an order, with the name and the price of the moment it was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which product.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// How many of it.
    pub quantity: i64,
    /// The price of one, in cents.
    pub price: i64,
}

impl Order {
    /// A new order, pending since now.
    pub fn place(id: String, customer: String, lines: Vec<Line>, total: i64) -> Self {
        let placed_ms = time::now_ms();
        let status = Status::Pending;
        let history = vec![Entry { status, at: placed_ms, reason: None }];
        Self { id, customer, lines, total, status, history, placed_ms }
    }
}
