//! What the service does when it behaves.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hostel_sdk::{Request, Response, Result, discovery};
use serde_json::json;

/// How often this instance was asked for it; another instance begins again.
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// How often this instance was asked to say something.
static SAID: AtomicU32 = AtomicU32::new(0);

/// Who answers.
pub fn ok(_: &Request) -> Result<Response> {
    let me = discovery::who_am_i();
    Response::ok(&json!({ "service": me.service, "version": me.version, "instance": me.instance }))
}

/// Who calls, as the host says it, and what the caller has shown.
pub fn caller(request: &Request) -> Result<Response> {
    let caller = request.caller();
    Response::ok(&json!({
        "subject": caller.subject(),
        "scopes": caller.scopes().collect::<Vec<_>>(),
        "claims": caller.claims::<serde_json::Value>()?,
        "authorization": request.header("authorization"),
        "key": request.header("x-api-key"),
    }))
}

/// The body, streamed back.
pub fn echo(request: &Request) -> Result<Response> {
    Ok(Response::stream(200, "application/octet-stream", request.body()))
}

/// Answers after so many milliseconds.
pub fn slow(request: &Request) -> Result<Response> {
    let ms = request.query_as("ms")?.unwrap_or(100);
    std::thread::sleep(Duration::from_millis(ms));
    Ok(Response::text(200, "slow"))
}

/// Prints numbered lines.
pub fn print(request: &Request) -> Result<Response> {
    let lines: u64 = request.query_as("lines")?.unwrap_or(1);
    for line in 1..=lines {
        println!("probe line {line}");
    }
    Ok(Response::text(200, "printed"))
}

/// Counts.
pub fn counter(_: &Request) -> Result<Response> {
    Response::ok(&(COUNTER.fetch_add(1, Ordering::Relaxed) + 1))
}

/// Says what it is told to: `status`, `body`, and each `header` as `name:value`; `x-count` tells how often it was
/// asked.
pub fn say(request: &Request) -> Result<Response> {
    let count = SAID.fetch_add(1, Ordering::Relaxed) + 1;
    let status = request.query_as("status")?.unwrap_or(200);
    let response = Response::text(status, request.query("body").unwrap_or("said"));
    let fields = request.queries("header").filter_map(|field| field.split_once(':'));
    Ok(fields.fold(response.header("x-count", &count.to_string()), |response, (name, value)| {
        response.header(name, value)
    }))
}
