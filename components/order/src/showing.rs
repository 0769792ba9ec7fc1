//! Showing orders.

use std::vec;

use hostel_sdk::{Problem, Request, Response, Result};

use crate::order::Order;
use crate::{OPERATORS, buyer, store};

/// `GET /api/orders/{id}`.
pub fn show(request: &Request) -> Result<Response> {
    let id = request.parameter("id")?;
    let order = store::find(id)?.ok_or_else(|| Problem::not_found(format!("There is no order {id}.")))?;
    request.caller().require_owner(&order.customer, OPERATORS)?;
    Response::ok(&order)
}

/// `GET /api/orders`, the caller's own, or `?customer={id}`: all of them, oldest first. They are read page by
/// page while they are sent, so that a customer of many years fits into memory.
pub fn list(request: &Request) -> Result<Response> {
    let customer = buyer::of(&request.caller(), request.query("customer"))?.to_owned();
    let mut orders = Orders { customer, page: Vec::new().into_iter(), last: None };
    // What fails on the first page can still be told with a status.
    orders.turn()?;
    Ok(Response::list(orders))
}

/// The orders of a customer, page by page.
struct Orders {
    customer: String,
    page: vec::IntoIter<Order>,
    /// Time and id of the last order of the page: the next page begins behind it.
    last: Option<(i64, String)>,
}

impl Orders {
    fn turn(&mut self) -> Result<()> {
        let page = store::page(&self.customer, self.last.take())?;
        self.last = page.last().map(|order| (order.placed_ms, order.id.clone()));
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Orders {
    type Item = Result<Order>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0
            && self.last.is_some()
            && let Err(error) = self.turn()
        {
            return Some(Err(error));
        }
        self.page.next().map(Ok)
    }
}
