//! What the shop sells.

use hostel_sdk::{Request, Response, Result, database, params};
use serde::{Deserialize, Serialize};

/// One product as clients see it; the price is in cents.
#[derive(Debug, Serialize, Deserialize)]
pub struct Product {
    sku: String,
    name: String,
    price: i64,
    available: i64,
}

/// `GET /api/products`, all of them or those of `?sku=…&sku=…`.
pub fn list(request: &Request) -> Result<Response> {
    let sql = "SELECT sku, name, price, received - reserved - shipped AS available
               FROM products ORDER BY position";
    let mut products: Vec<Product> = database::query(sql, params![])?;
    let wanted: Vec<&str> = request.queries("sku").collect();
    if !wanted.is_empty() {
        // The catalogue is small; picking here keeps the statement the same for every request.
        products.retain(|product| wanted.contains(&product.sku.as_str()));
    }
    Response::ok(&products)
}
