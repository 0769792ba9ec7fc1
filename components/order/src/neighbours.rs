//! What this service asks of others: is there such a customer, what does a product cost.

use std::time::Duration;

use hostel_sdk::{Result, client};
use serde::Deserialize;

/// Neighbours answer in milliseconds; a client should rather hear that they do not.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A product as `stock` shows it; the price is in cents.
#[derive(Debug, Deserialize)]
pub struct Product {
    /// Which one.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// The price of one.
    pub price: i64,
}

/// Only that there is one matters here.
#[derive(Debug, Deserialize)]
struct Customer {
    id: String,
}

/// Whether `customer` knows this customer.
pub fn is_customer(id: &str) -> Result<bool> {
    let url = format!("http://customer.internal/api/customers/{}", client::segment(id));
    let found: Option<Customer> = client::get(&url).timeout(ANSWER_MAX).send()?.found()?;
    Ok(found.is_some_and(|customer| customer.id == id))
}

/// Those of these products that `stock` has.
pub fn products<'a>(skus: impl Iterator<Item = &'a str>) -> Result<Vec<Product>> {
    let query: Vec<String> = skus.map(|sku| format!("sku={}", client::segment(sku))).collect();
    let url = format!("http://stock.internal/api/products?{}", query.join("&"));
    Ok(client::get(&url).timeout(ANSWER_MAX).send()?.json()?)
}
