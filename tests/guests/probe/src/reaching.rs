//! Attempts to reach what may not be granted.

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use hostel_sdk::key_value::Bucket;
use hostel_sdk::{Error, Message, Problem, Request, Response, Result, client, messaging};
use serde_json::json;

use crate::outcome::answer;

/// Reads the file `path`, and writes one beside it.
pub fn file(request: &Request) -> Result<Response> {
    let path = required(request, "path")?;
    let read = fs::read_to_string(path).map_err(|error| error.to_string());
    let written = fs::write(format!("{path}.probe"), "probe").map_err(|error| error.to_string());
    Response::ok(&json!({ "read": read.err(), "written": written.err() }))
}

/// Connects to `address`.
pub fn socket(request: &Request) -> Result<Response> {
    let address = required(request, "address")?;
    answer(TcpStream::connect(address).map(drop).map_err(Error::internal))
}

/// Every variable and argument that there is.
pub fn environment(_: &Request) -> Result<Response> {
    let variables: Vec<_> = std::env::vars().collect();
    let arguments: Vec<_> = std::env::args().collect();
    Response::ok(&json!({ "variables": variables, "arguments": arguments }))
}

/// Fetches `url`; answers its status.
pub fn fetch(request: &Request) -> Result<Response> {
    let url = required(request, "url")?;
    answer(client::get(url).send().map(|response| response.status()))
}

/// Calls the service `name` for `path`, and waits at most `ms` where it is told; answers its status.
pub fn sibling(request: &Request) -> Result<Response> {
    let name = required(request, "name")?;
    let path = request.query("path").unwrap_or("ok");
    let call = client::get(&format!("http://{name}.internal/{name}/{path}"));
    let call = match request.query_as("ms")? {
        Some(ms) => call.timeout(Duration::from_millis(ms)),
        None => call,
    };
    answer(call.send().map(|response| response.status()))
}

/// Publishes `body` on `topic`; answers the id of the message.
pub fn publish(request: &Request) -> Result<Response> {
    let topic = required(request, "topic")?;
    let body = request.query("body").unwrap_or("done");
    answer(messaging::publish(topic, &Message::new(body)))
}

/// Writes to the bucket `name` and reads it back.
pub fn bucket(request: &Request) -> Result<Response> {
    let name = required(request, "name")?;
    let written = Bucket::open(name).and_then(|bucket| {
        bucket.set("probe", b"here")?;
        bucket.get("probe")
    });
    answer(written.map(|value| value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())))
}

fn required<'r>(request: &'r Request, name: &str) -> Result<&'r str> {
    Ok(request
        .query(name)
        .ok_or_else(|| Problem::bad_request(format!("The parameter {name} is missing.")))?)
}
