//! Transactions used as they should not be.

use std::sync::Mutex;
use std::time::Duration;

use hostel_sdk::database::{self, OnceKey, Transaction, begin, begin_once, begin_read_only};
use hostel_sdk::{Error, Message, Problem, Request, Response, Result, client, messaging, params};

use crate::outcome::answer;

/// The longest a request inside of a transaction would wait.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(1);

/// A transaction that outlives its call, or tries to.
static KEPT: Mutex<Option<Transaction>> = Mutex::new(None);

/// Begins, writes `text`, and keeps the transaction past the call.
pub fn keep(request: &Request) -> Result<Response> {
    let transaction = begin()?;
    note(&transaction, request.query("text").unwrap_or("kept"))?;
    *kept()? = Some(transaction);
    Ok(Response::text(200, "kept"))
}

/// Writes with the kept transaction and commits it.
pub fn use_kept(_: &Request) -> Result<Response> {
    let transaction = kept()?.take().ok_or_else(|| Problem::conflict("Nothing is kept here."))?;
    answer(note(&transaction, "too late").and_then(|_| transaction.commit()))
}

/// Begins a second transaction beside an open one.
pub fn begin_twice(_: &Request) -> Result<Response> {
    let first = begin()?;
    note(&first, "first")?;
    let second = begin();
    // The open one is as good as before.
    first.commit()?;
    answer(second.map(drop))
}

/// Executes beside an open transaction.
pub fn execute_beside(_: &Request) -> Result<Response> {
    let _open = begin()?;
    answer(database::execute("INSERT INTO notes (text) VALUES ('beside')", params![]))
}

/// Calls the service `name` from inside a transaction.
pub fn call_inside(request: &Request) -> Result<Response> {
    let name = request.query("name").unwrap_or("innocent");
    let _open = begin()?;
    answer(client::get(&format!("http://{name}.internal/{name}/ok")).send().map(|response| response.status()))
}

/// Asks by message from inside a transaction.
pub fn request_inside(_: &Request) -> Result<Response> {
    let _open = begin()?;
    answer(messaging::request("probe.work", &Message::new("done"), REQUEST_TIME_MAX).map(drop))
}

/// Publishes in a read-only transaction.
pub fn publish_read_only(_: &Request) -> Result<Response> {
    answer(begin_read_only()?.publish("probe.work", &Message::new("done")))
}

/// Writes in a read-only transaction.
pub fn write_read_only(_: &Request) -> Result<Response> {
    answer(note(&begin_read_only()?, "read-only"))
}

/// Begins once for a delivery that is not there.
pub fn this_delivery(_: &Request) -> Result<Response> {
    answer(begin_once(&OnceKey::ThisDelivery).map(|transaction| transaction.is_some()))
}

/// Notes `text` at most once under `key`; answers whether it did.
pub fn once(request: &Request) -> Result<Response> {
    let key = request.query("key").unwrap_or("key").to_owned();
    let Some(transaction) = begin_once(&OnceKey::Named { scope: "probe".into(), key: key.clone() })? else {
        return answer(Ok::<_, Error>(false));
    };
    note(&transaction, &key)?;
    answer(transaction.commit().map(|()| true))
}

/// How many notes have the text `text`.
pub fn notes(request: &Request) -> Result<Response> {
    let text = request.query("text").unwrap_or("kept");
    answer(database::query_first::<i64>("SELECT count(*) FROM notes WHERE text = $1", params![text]))
}

fn note(transaction: &Transaction, text: &str) -> Result<u64, database::Error> {
    transaction.execute("INSERT INTO notes (text) VALUES ($1)", params![text])
}

fn kept() -> Result<std::sync::MutexGuard<'static, Option<Transaction>>> {
    KEPT.lock().map_err(Error::internal)
}
