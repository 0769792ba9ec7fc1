//! The answers: a text, many bytes, or how many bytes came.

use crate::bindings::exports::wasi::http::incoming_handler::{IncomingRequest, ResponseOutparam};
use crate::bindings::wasi::http::types::{Fields, OutgoingBody, OutgoingResponse};
use crate::bindings::wasi::io::streams::{OutputStream, StreamError};

/// What one write of `blocking-write-and-flush` may hold, by the interface.
const CHUNK_BYTES: usize = 4096;

/// What one read takes at most.
const READ_BYTES: u64 = 64 * 1024;

/// Answers with one text.
pub fn text(text: &[u8], out: ResponseOutparam) {
    respond(text.len() as u64, out, |stream| stream.blocking_write_and_flush(text));
}

/// Answers with so many bytes.
pub fn bytes(length: u64, out: ResponseOutparam) {
    respond(length, out, |stream| {
        let chunk = [b'x'; CHUNK_BYTES];
        let mut left = length;
        while left > 0 {
            let part = left.min(CHUNK_BYTES as u64);
            stream.blocking_write_and_flush(&chunk[..part as usize])?;
            left -= part;
        }
        Ok(())
    });
}

/// Answers with the number of bytes in the body of the request.
pub fn count(request: &IncomingRequest, out: ResponseOutparam) {
    let mut count = 0;
    if let Ok(body) = request.consume()
        && let Ok(stream) = body.stream()
    {
        while let Ok(bytes) = stream.blocking_read(READ_BYTES) {
            count += bytes.len();
        }
    }
    text(format!("{count}\n").as_bytes(), out);
}

fn respond(length: u64, out: ResponseOutparam, write: impl FnOnce(&OutputStream) -> Result<(), StreamError>) {
    let fields = [
        ("content-type".to_owned(), b"text/plain".to_vec()),
        ("content-length".to_owned(), length.to_string().into_bytes()),
    ];
    let Ok(headers) = Fields::from_list(&fields) else { return };
    let response = OutgoingResponse::new(headers);
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    let Ok(stream) = body.write() else { return };
    // A client that has left is no fault of the answer.
    let _ = write(&stream);
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}
