//! Messages: the body says what becomes of the delivery.

use hostel_sdk::database::{self, OnceKey, begin_once};
use std::time::Duration;

use hostel_sdk::{
    Delivery, Message, Outcome, Request, Response, Result, Subscriptions, discovery, messaging, params,
};
use serde::{Deserialize, Serialize};

use crate::outcome::answer;

/// How long to wait for a reply.
const REPLY_TIME_MAX: Duration = Duration::from_secs(2);

/// What was delivered, and how often.
#[derive(Serialize, Deserialize)]
struct Delivered {
    id: String,
    body: String,
    attempts: i64,
    effects: i64,
}

/// Everything under `probe.`.
pub fn subscriptions() -> Subscriptions {
    Subscriptions::new().on("probe.*", handle)
}

/// Every delivery that came, oldest first.
pub fn deliveries(_: &Request) -> Result<Response> {
    let sql = "SELECT id, body, attempts, effects FROM deliveries ORDER BY rowid";
    answer(database::query::<Delivered>(sql, params![]))
}

/// Asks whoever subscribes to `topic`; answers the reply.
pub fn ask(request: &Request) -> Result<Response> {
    let topic = request.query("topic").unwrap_or("probe.question");
    let body = request.query("body").unwrap_or("who");
    let reply = messaging::request(topic, &Message::new(body), REPLY_TIME_MAX);
    answer(reply.map(|reply| String::from_utf8_lossy(reply.body()).into_owned()))
}

fn handle(delivery: &Delivery) -> Result<Outcome> {
    let body = String::from_utf8_lossy(&delivery.body);
    count(delivery, &body)?;
    match &*body {
        "retry" => return Ok(Outcome::Retry(Some(10))),
        "who" => return Outcome::reply_json(&discovery::who_am_i().service),
        "reject" => return Ok(Outcome::Reject("the probe rejects, as it was asked to".into())),
        "trap" => panic!("the probe traps, as it was asked to"),
        _ => {}
    }
    if let Some(transaction) = begin_once(&OnceKey::ThisDelivery)? {
        let sql = "UPDATE deliveries SET effects = effects + 1 WHERE id = $1";
        transaction.execute(sql, params![&delivery.id])?;
        transaction.commit()?;
    }
    Ok(Outcome::Done)
}

fn count(delivery: &Delivery, body: &str) -> Result<()> {
    let sql = "INSERT INTO deliveries (id, body, attempts, effects) VALUES ($1, $2, 1, 0)
               ON CONFLICT (id) DO UPDATE SET attempts = deliveries.attempts + 1";
    database::execute(sql, params![&delivery.id, body])?;
    Ok(())
}
