//! A call of the service `back`, whose answer is passed on.

use crate::answer;
use crate::bindings::exports::wasi::http::incoming_handler::ResponseOutparam;
use crate::bindings::wasi::http::outgoing_handler::handle;
use crate::bindings::wasi::http::types::{ErrorCode, Fields, IncomingResponse, OutgoingRequest, Scheme};

/// What one read of the answer takes at most.
const READ_BYTES: u64 = 64 * 1024;

/// Asks `http://back.internal/` and answers with its body, or with what went wrong.
pub fn pass_on(out: ResponseOutparam) {
    match ask() {
        Ok(response) => answer::text(&body(&response), out),
        Err(error) => ResponseOutparam::set(out, Err(error)),
    }
}

fn ask() -> Result<IncomingResponse, ErrorCode> {
    let request = OutgoingRequest::new(Fields::new());
    let refused = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(Some(&Scheme::Http)).map_err(refused)?;
    request.set_authority(Some("back.internal")).map_err(refused)?;
    request.set_path_with_query(Some("/")).map_err(refused)?;
    let future = handle(request, None)?;
    future.subscribe().block();
    match future.get() {
        Some(Ok(answer)) => answer,
        _ => Err(ErrorCode::InternalError(None)),
    }
}

fn body(response: &IncomingResponse) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(body) = response.consume()
        && let Ok(stream) = body.stream()
    {
        while let Ok(part) = stream.blocking_read(READ_BYTES) {
            bytes.extend(part);
        }
    }
    bytes
}
