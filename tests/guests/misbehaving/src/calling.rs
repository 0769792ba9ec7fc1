//! Requests to others.

use std::time::Duration;

use wasip2::http::outgoing_handler::{self, FutureIncomingResponse};
use wasip2::http::types::{ErrorCode, Fields, OutgoingRequest, Scheme};

use crate::query::Query;

/// Sends `count` requests to `authority` at once, waits `ms`, and answers how many were refused, and why.
pub fn send(query: &Query) -> String {
    let begin = || request(query.text("authority"), query.text("path"));
    let begun: Vec<_> = (0..query.number("count", 1)).map(|_| begin()).collect();
    std::thread::sleep(Duration::from_millis(query.number("ms", 0)));
    let refused = begun.iter().filter_map(|begun| match begun {
        // Only who is asked whether it is ready notes that it is.
        Ok(future) if future.subscribe().ready() => match future.get() {
            Some(Ok(Err(error))) => Some(format!("{error:?}")),
            _ => None,
        },
        Ok(_) => None,
        Err(error) => Some(format!("{error:?}")),
    });
    let refused: Vec<_> = refused.collect();
    if !query.text("keep").is_empty() {
        std::mem::forget(begun);
    }
    format!("{} {}", refused.len(), refused.first().map(String::as_str).unwrap_or_default())
}

/// Sends one request to `authority` and answers the status, or why there is none; with `trap` it traps instead.
pub fn reach(query: &Query) -> String {
    let response = request(query.text("authority"), query.text("path")).map(|future| {
        future.subscribe().block();
        future.get()
    });
    assert!(query.text("trap").is_empty(), "the guest traps, as it was asked to");
    match response {
        Ok(Some(Ok(Ok(response)))) => response.status().to_string(),
        Ok(Some(Ok(Err(error)))) | Err(error) => format!("{error:?}"),
        Ok(other) => format!("{}", other.is_some()),
    }
}

fn request(authority: &str, path: &str) -> Result<FutureIncomingResponse, ErrorCode> {
    let request = OutgoingRequest::new(Fields::new());
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(Some(&Scheme::Http)).map_err(invalid)?;
    request.set_authority(Some(authority)).map_err(invalid)?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(invalid)?;
    outgoing_handler::handle(request, None)
}
