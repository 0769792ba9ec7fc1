//! Stock follows the orders: reserved when placed, released when declined, shipped when shipped.
//!
//! Each handler begins with `this-delivery`, and its effect and its event are one transaction, so that
//! it happens once however often the message comes.

use std::collections::HashMap;

use hostel_sdk::database::{self, OnceKey, Transaction};
use hostel_sdk::{Delivery, Message, Outcome, Problem, Result, params};
use serde::Deserialize;

use crate::event::{Line, OrderEvent};

/// What is left of one product.
#[derive(Debug, Deserialize)]
struct Shelf {
    name: String,
    available: i64,
}

/// `order.placed`: holds what was ordered, all of it or nothing.
pub fn reserve(delivery: &Delivery) -> Result<Outcome> {
    let mut order: OrderEvent = delivery.json()?;
    let Some(transaction) = database::begin_once(&OnceKey::ThisDelivery)? else {
        return Ok(Outcome::Done);
    };
    let shelves = shelves(&transaction, &order.lines)?;
    order.reason = shortage(&order.lines, &shelves);
    let topic = if order.reason.is_none() {
        hold(&transaction, &order)?;
        "stock.reserved"
    } else {
        "stock.refused"
    };
    transaction.publish(topic, &Message::json(&order)?.key(&order.order))?;
    transaction.commit()?;
    Ok(Outcome::Done)
}

/// `payment.declined`: what was held is available again.
pub fn release(delivery: &Delivery) -> Result<Outcome> {
    let take_back = "UPDATE products SET reserved = reserved - $2 WHERE sku = $1";
    settle(delivery, "released", take_back)
}

/// `shipment.shipped`: what was held has left the house.
pub fn ship(delivery: &Delivery) -> Result<Outcome> {
    let hand_over = "UPDATE products SET reserved = reserved - $2, shipped = shipped + $2 WHERE sku = $1";
    settle(delivery, "shipped", hand_over)
}

fn shelves(transaction: &Transaction, lines: &[Line]) -> Result<HashMap<String, Shelf>> {
    let sql = "SELECT name, received - reserved - shipped AS available FROM products WHERE sku = $1";
    let mut shelves = HashMap::new();
    for line in lines {
        if let Some(shelf) = transaction.query_first(sql, params![&line.sku])? {
            shelves.insert(line.sku.clone(), shelf);
        }
    }
    Ok(shelves)
}

/// Why the order can not be served, in words for the customer.
fn shortage(lines: &[Line], shelves: &HashMap<String, Shelf>) -> Option<String> {
    lines.iter().find_map(|line| match shelves.get(&line.sku) {
        None => Some(format!("{} is no longer sold.", line.sku)),
        Some(shelf) if shelf.available == 0 => Some(format!("{} is sold out.", shelf.name)),
        Some(shelf) if shelf.available < line.quantity => {
            Some(format!("Only {} of {} are left.", shelf.available, shelf.name))
        }
        Some(_) => None,
    })
}

fn hold(transaction: &Transaction, order: &OrderEvent) -> Result<()> {
    let take = "UPDATE products SET reserved = reserved + $2 WHERE sku = $1";
    let remember = "INSERT INTO reservations (order_id, sku, quantity, state)
                    VALUES ($1, $2, $3, 'reserved')";
    for line in &order.lines {
        transaction.execute(take, params![&line.sku, line.quantity])?;
        transaction.execute(remember, params![&order.order, &line.sku, line.quantity])?;
    }
    Ok(())
}

/// Ends the reservations of an order, in this state and with this change of the products.
fn settle(delivery: &Delivery, state: &str, change: &str) -> Result<Outcome> {
    let OrderEvent { order, .. } = delivery.json()?;
    let Some(transaction) = database::begin_once(&OnceKey::ThisDelivery)? else {
        return Ok(Outcome::Done);
    };
    let held = "SELECT sku, quantity FROM reservations WHERE order_id = $1 AND state = 'reserved'";
    let held: Vec<(String, i64)> = transaction.query(held, params![&order])?;
    if held.is_empty() {
        return Err(Problem::conflict(format!("Nothing is reserved for order {order}.")).into());
    }
    for (sku, quantity) in held {
        transaction.execute(change, params![sku, quantity])?;
    }
    let end = "UPDATE reservations SET state = $2 WHERE order_id = $1 AND state = 'reserved'";
    transaction.execute(end, params![&order, state])?;
    transaction.commit()?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(name: &str, available: i64) -> (String, Shelf) {
        (name.to_owned(), Shelf { name: name.to_owned(), available })
    }

    #[test]
    fn an_order_is_served_whole_or_refused_with_a_reason() {
        let shelves = HashMap::from([shelf("mug", 5), shelf("pen", 0)]);
        let check = |wanted: &[(&str, i64)], expected: Option<&str>| {
            let line =
                |(sku, quantity): &(&str, i64)| Line { sku: (*sku).into(), quantity: *quantity, price: 1 };
            let lines: Vec<Line> = wanted.iter().map(line).collect();
            assert_eq!(shortage(&lines, &shelves).as_deref(), expected, "{wanted:?}");
        };
        check(&[("mug", 5)], None);
        check(&[("mug", 6)], Some("Only 5 of mug are left."));
        check(&[("mug", 1), ("pen", 1)], Some("pen is sold out."));
        check(&[("hat", 1)], Some("hat is no longer sold."));
    }
}
