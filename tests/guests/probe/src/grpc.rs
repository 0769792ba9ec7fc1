//! The health service of gRPC by hand: framed messages in, framed messages out, the status in the trailers.

use hostel_sdk::{Problem, Request, Response, Result};

/// The one service besides all (the empty name) that is known.
const KNOWN: &[u8] = b"shop";

/// A message's frame: no compression, and four bytes of length.
const FRAME_BYTES: usize = 5;

/// The first field of `HealthCheckRequest`, a text.
const SERVICE_TAG: u8 = 0x0a;

/// A `HealthCheckResponse` that says serving, in its frame.
const SERVING: [u8; 7] = [0, 0, 0, 0, 2, 0x08, 1];

/// `Check`: the known services serve; the status of others, 5, stands in the trailers.
pub fn check(request: &Request) -> Result<Response> {
    let message = request.bytes()?;
    let message = message.get(FRAME_BYTES..).ok_or_else(|| Problem::bad_request("a frame has five bytes"))?;
    let name = match message {
        [SERVICE_TAG, length, name @ ..] if usize::from(*length) == name.len() => name,
        _ => b"",
    };
    if name.is_empty() || name == KNOWN {
        return Ok(answer(SERVING.to_vec(), 0));
    }
    Ok(answer(Vec::new(), 5))
}

fn answer(message: Vec<u8>, status: u8) -> Response {
    let response = Response::bytes(200, "application/grpc", message);
    response.trailer("grpc-status", &status.to_string()).trailer("grpc-message", "told by the guest")
}
