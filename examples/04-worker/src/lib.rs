//! Worker: a route publishes letters as messages, a handler delivers them: at once, at a later attempt, or never.

use hostel_sdk::database::{self, OnceKey};
use hostel_sdk::{
    Delivery, Message, Outcome, Problem, Request, Response, Result, Router, Subscriptions, messaging, params,
};
use serde::{Deserialize, Serialize};

hostel_sdk::service! {
    http: routes,
    messages: subscriptions,
    migrations: [include_str!("../migrations/001_letters.sql")],
}

/// What the client sends and the message carries.
#[derive(Serialize, Deserialize)]
struct Letter {
    recipient: String,
    text: String,
}

/// A letter that has arrived, and at which attempt.
#[derive(Serialize, Deserialize)]
struct Delivered {
    recipient: String,
    text: String,
    attempt: i64,
}

fn routes() -> Router {
    Router::new().put("/people/{name}", register).post("/letters", send).get("/letters", list)
}

fn subscriptions() -> Subscriptions {
    Subscriptions::new().on("letter.sent", deliver)
}

fn register(request: &Request) -> Result<Response> {
    let sql = "INSERT INTO people (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
    database::execute(sql, params![request.parameter("name")?])?;
    Ok(Response::no_content())
}

fn send(request: &Request) -> Result<Response> {
    let letter: Letter = request.json()?;
    // Durable when this returns: the letter will be handled even if the host stops now.
    messaging::publish("letter.sent", &Message::json(&letter)?.key(&letter.recipient))?;
    Response::json(202, &letter)
}

fn list(_request: &Request) -> Result<Response> {
    let sql = "SELECT recipient, text, attempt FROM delivered ORDER BY position";
    let delivered: Vec<Delivered> = database::query(sql, params![])?;
    Response::ok(&delivered)
}

fn deliver(delivery: &Delivery) -> Result<Outcome> {
    let Letter { recipient, text } = delivery.json()?;
    // Its effect happens once, however often the message comes.
    let Some(transaction) = database::begin_once(&OnceKey::ThisDelivery)? else {
        return Ok(Outcome::Done);
    };
    let known: Option<String> =
        transaction.query_first("SELECT name FROM people WHERE name = $1", params![&recipient])?;
    if known.is_none() {
        // The letter is at fault: to the dead letters, where an operator finds it.
        return Ok(Outcome::Reject(format!("nobody knows {recipient}")));
    }
    if text.contains("heavy") && delivery.attempt == 1 {
        // Not the letter's fault: it comes again after the back-off, as after any other error.
        return Err(Problem::unavailable("the post is on strike").into());
    }
    let sql = "INSERT INTO delivered (recipient, text, attempt) VALUES ($1, $2, $3)";
    transaction.execute(sql, params![recipient, text, i64::from(delivery.attempt)])?;
    transaction.commit()?;
    Ok(Outcome::Done)
}
