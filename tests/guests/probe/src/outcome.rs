//! How an attempt went, as JSON: `{"done": …}` or `{"error": kind, "text": …}`. Both are a 200: the service lives.

use hostel_sdk::{Error, Response, Result, client, database, key_value, messaging};
use serde::Serialize;
use serde_json::json;

/// The answer to a request that attempted something.
pub fn answer<T: Serialize, E: Into<Error>>(attempt: Result<T, E>) -> Result<Response> {
    match attempt {
        Ok(done) => Response::ok(&json!({ "done": done })),
        Err(error) => {
            let error = error.into();
            Response::ok(&json!({ "error": kind(&error), "text": error.to_string() }))
        }
    }
}

/// The kind of an error, as the WIT names it.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Database(error) => database_kind(error),
        Error::Messaging(error) => match error {
            messaging::Error::Denied(_) => "denied",
            messaging::Error::Limit(_) => "limit",
            messaging::Error::NoResponder(_) => "no-responder",
            messaging::Error::Timeout(_) => "timeout",
            messaging::Error::Unavailable(_) => "unavailable",
        },
        Error::Call(error) => match error {
            client::Error::Denied(_) => "denied",
            client::Error::Timeout(_) => "timeout",
            client::Error::Unreachable(_) => "unreachable",
            _ => "call",
        },
        Error::KeyValue(error) => match error {
            key_value::Error::AccessDenied => "denied",
            key_value::Error::NoSuchStore => "no-such-store",
            _ => "key-value",
        },
        _ => "other",
    }
}

fn database_kind(error: &database::Error) -> &'static str {
    match error {
        database::Error::Constraint { .. } => "constraint",
        database::Error::Conflict(_) => "conflict",
        database::Error::Statement { .. } => "statement",
        database::Error::Limit(_) => "limit",
        database::Error::Denied(_) => "denied",
        database::Error::Unavailable(_) => "unavailable",
        database::Error::Row(_) => "row",
    }
}
