//! Taking an order.

use hostel_sdk::database::Transaction;
use hostel_sdk::{Message, Request, Response, Result, id, idempotency};
use serde::Serialize;

use crate::draft::{Draft, unknown_customer};
use crate::order::{Line, Order};
use crate::{buyer, neighbours, store};

/// `order.placed`, the beginning of the saga. Amounts are cents.
#[derive(Debug, Serialize)]
struct Placed<'a> {
    order: &'a str,
    customer: &'a str,
    lines: &'a [Line],
    total: i64,
}

/// `POST /api/orders`. With an Idempotency-Key the same request gives the same order, also when it comes
/// twice at once.
pub fn place(request: &Request) -> Result<Response> {
    let once = idempotency::of(request, "orders")?;
    if let Some(answer) = once.answered()? {
        return Ok(answer);
    }
    let draft: Draft = request.json()?;
    draft.check()?;
    let caller = request.caller();
    let customer = buyer::of(&caller, draft.customer.as_deref())?;
    // Neighbours are asked first: an open transaction waits for nobody but the disk.
    if !neighbours::is_customer(customer)? {
        return Err(unknown_customer(customer).into());
    }
    let catalogue = neighbours::products(draft.lines.iter().map(|wish| wish.sku.as_str()))?;
    let (lines, total) = draft.price(&catalogue)?;
    let order = Order::place(id::new(), customer.to_owned(), lines, total);
    once.run(|transaction| keep(transaction, &order))
}

/// The order and its event are one transaction: neither is ever there without the other.
fn keep(transaction: &Transaction, order: &Order) -> Result<Response> {
    store::add(transaction, order)?;
    let placed =
        Placed { order: &order.id, customer: &order.customer, lines: &order.lines, total: order.total };
    transaction.publish("order.placed", &Message::json(&placed)?.key(&order.id))?;
    Response::created(&format!("/api/orders/{}", order.id), order)
}
