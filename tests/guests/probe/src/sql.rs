//! Any SQL, run as a guest would.

use hostel_sdk::database::{self, Value};
use hostel_sdk::{Request, Response, Result};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::outcome::answer;

/// How many rows a cursor reads of what may be endless.
const CURSOR_ROWS: usize = 3;

/// What to run and how.
#[derive(Deserialize)]
struct Order {
    sql: String,
    #[serde(default)]
    parameters: Vec<Json>,
    #[serde(default)]
    run: How,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum How {
    #[default]
    Query,
    Execute,
    /// In a read-write transaction that is committed.
    Transaction,
    Cursor,
}

/// Runs a statement; answers its rows, or how many it changed.
pub fn run(request: &Request) -> Result<Response> {
    let Order { sql, parameters, run } = request.json()?;
    let parameters: Vec<Value> = parameters.into_iter().map(value).collect();
    match run {
        How::Query => answer(database::query::<Vec<Json>>(&sql, &parameters)),
        How::Execute => answer(database::execute(&sql, &parameters)),
        How::Transaction => answer(in_transaction(&sql, &parameters)),
        How::Cursor => answer(first_rows(&sql, &parameters)),
    }
}

fn in_transaction(sql: &str, parameters: &[Value]) -> Result<u64, database::Error> {
    let transaction = database::begin()?;
    let changed = transaction.execute(sql, parameters)?;
    transaction.commit()?;
    Ok(changed)
}

fn first_rows(sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Json>>, database::Error> {
    database::cursor::<Vec<Json>>(sql, parameters)?.take(CURSOR_ROWS).collect()
}

fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(value),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Real(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::Text(text),
        other => Value::Text(other.to_string()),
    }
}
