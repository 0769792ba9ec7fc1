//! Where orders are kept.

use std::collections::HashMap;

use hostel_sdk::database::{self, Transaction, Value};
use hostel_sdk::{Result, params};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::history::{Entry, History};
use crate::order::{Line, Order};

/// How many orders are read at a time; with their lines far below the rows that one query may answer.
const PAGE_ORDERS: i64 = 100;

#[derive(Debug, Deserialize)]
struct Head {
    id: String,
    customer: String,
    total: i64,
    placed_ms: i64,
}

/// A row that belongs to an order.
#[derive(Debug, Deserialize)]
struct Owned<T> {
    order_id: String,
    #[serde(flatten)]
    row: T,
}

/// Adds a new order with its lines and its history.
pub fn add(transaction: &Transaction, order: &Order) -> Result<()> {
    let head = "INSERT INTO orders (id, customer, total, placed_ms) VALUES ($1, $2, $3, $4)";
    transaction.execute(head, params![&order.id, &order.customer, order.total, order.placed_ms])?;
    let sql = "INSERT INTO order_lines (order_id, position, sku, name, quantity, price)
               VALUES ($1, $2, $3, $4, $5, $6)";
    for (position, line) in (1_i64..).zip(&order.lines) {
        let values = params![&order.id, position, &line.sku, &line.name, line.quantity, line.price];
        transaction.execute(sql, values)?;
    }
    for entry in &order.history {
        add_entry(transaction, &order.id, entry)?;
    }
    Ok(())
}

/// Adds one entry to the history of an order.
pub fn add_entry(transaction: &Transaction, order: &str, entry: &Entry) -> Result<()> {
    let sql = "INSERT INTO history (order_id, status, at_ms, reason) VALUES ($1, $2, $3, $4)";
    transaction.execute(sql, params![order, entry.status.as_str(), entry.at, entry.reason.clone()])?;
    Ok(())
}

/// The history of an order; empty when there is no such order.
pub fn history(transaction: &Transaction, order: &str) -> Result<History> {
    let sql = "SELECT status, at_ms AS at, reason FROM history WHERE order_id = $1";
    Ok(History::new(transaction.query(sql, params![order])?))
}

/// The order with this id.
pub fn find(id: &str) -> Result<Option<Order>> {
    let transaction = database::begin_read_only()?;
    let sql = "SELECT id, customer, total, placed_ms FROM orders WHERE id = $1";
    let heads = transaction.query(sql, params![id])?;
    Ok(complete(&transaction, heads)?.pop())
}

/// The next orders of a customer behind this time and id, oldest first; empty behind the last.
pub fn page(customer: &str, after: Option<(i64, String)>) -> Result<Vec<Order>> {
    let (after_ms, after_id) = after.unwrap_or((i64::MIN, String::new()));
    let transaction = database::begin_read_only()?;
    let sql = "SELECT id, customer, total, placed_ms FROM orders
               WHERE customer = $1 AND (placed_ms > $2 OR (placed_ms = $2 AND id > $3))
               ORDER BY placed_ms, id LIMIT $4";
    let heads = transaction.query(sql, params![customer, after_ms, after_id, PAGE_ORDERS])?;
    complete(&transaction, heads)
}

/// Orders with their lines and histories, in the same snapshot.
fn complete(transaction: &Transaction, heads: Vec<Head>) -> Result<Vec<Order>> {
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (1..=heads.len()).map(|number| format!("${number}")).collect();
    let ids: Vec<Value> = heads.iter().map(|head| Value::from(&head.id)).collect();
    let places = places.join(", ");
    let lines = format!(
        "SELECT order_id, sku, name, quantity, price FROM order_lines
         WHERE order_id IN ({places}) ORDER BY order_id, position"
    );
    let mut lines = by_order::<Line>(transaction, &lines, &ids)?;
    let entries =
        format!("SELECT order_id, status, at_ms AS at, reason FROM history WHERE order_id IN ({places})");
    let mut entries = by_order::<Entry>(transaction, &entries, &ids)?;
    let order = |head: Head| {
        let history = History::new(entries.remove(&head.id).unwrap_or_default());
        Order {
            lines: lines.remove(&head.id).unwrap_or_default(),
            status: history.status(),
            history: history.into_entries(),
            id: head.id,
            customer: head.customer,
            total: head.total,
            placed_ms: head.placed_ms,
        }
    };
    Ok(heads.into_iter().map(order).collect())
}

fn by_order<T: DeserializeOwned>(
    transaction: &Transaction,
    sql: &str,
    ids: &[Value],
) -> Result<HashMap<String, Vec<T>>> {
    let mut owned: HashMap<String, Vec<T>> = HashMap::new();
    for Owned { order_id, row } in transaction.query::<Owned<T>>(sql, ids)? {
        owned.entry(order_id).or_default().push(row);
    }
    Ok(owned)
}
