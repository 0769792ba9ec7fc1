//! Writing a body to the host, in the portions that it takes.

use std::io::Read;

use super::{Headers, ResponseBody};
use crate::bindings::imports::wasi::http::types::OutgoingBody;
use crate::bindings::imports::wasi::io::streams::{OutputStream, StreamError};

/// How much of a reader is held at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// Why a body was not written to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("its source failed: {0}")]
    Source(#[from] std::io::Error),
    #[error("the other side failed: {0}")]
    Stream(String),
    #[error("the host does not take it")]
    Refused,
}

/// Writes and ends the body. On an error it is dropped without its end, which the host shows to the
/// receiver as a break. A receiver who has gone away is no error: nobody waits for the rest.
pub(crate) fn write_body(
    body: OutgoingBody,
    content: ResponseBody,
    trailers: &Headers,
) -> Result<(), WriteError> {
    let stream = body.write().map_err(|()| WriteError::Refused)?;
    let delivered = match content {
        ResponseBody::Bytes(bytes) if bytes.is_empty() => true,
        ResponseBody::Bytes(bytes) => write_all(&stream, &bytes)? && flush(&stream)?,
        ResponseBody::Stream(reader) => write_from(&stream, reader)? && flush(&stream)?,
    };
    // The stream is a child of the body and must go first.
    drop(stream);
    if !delivered {
        return Ok(());
    }
    let fields = (!trailers.is_empty()).then(|| trailers.to_fields()).transpose();
    let fields = fields.map_err(|error| WriteError::Stream(format!("a trailer is malformed: {error:?}")))?;
    OutgoingBody::finish(body, fields).map_err(|error| WriteError::Stream(format!("{error:?}")))
}

fn write_from(stream: &OutputStream, mut reader: Box<dyn Read>) -> Result<bool, WriteError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = reader.read(&mut chunk)?;
        if length == 0 {
            return Ok(true);
        }
        if !write_all(stream, &chunk[..length])? {
            return Ok(false);
        }
    }
}

/// False when the receiver has gone away.
fn write_all(stream: &OutputStream, mut bytes: &[u8]) -> Result<bool, WriteError> {
    while !bytes.is_empty() {
        let permitted = match stream.check_write() {
            Ok(permitted) => usize::try_from(permitted).unwrap_or(usize::MAX),
            Err(error) => return gone(error),
        };
        if permitted == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at(permitted.min(bytes.len()));
        if let Err(error) = stream.write(now) {
            return gone(error);
        }
        bytes = later;
    }
    Ok(true)
}

fn flush(stream: &OutputStream) -> Result<bool, WriteError> {
    match stream.blocking_flush() {
        Ok(()) => Ok(true),
        Err(error) => gone(error),
    }
}

fn gone(error: StreamError) -> Result<bool, WriteError> {
    match error {
        StreamError::Closed => Ok(false),
        StreamError::LastOperationFailed(error) => Err(WriteError::Stream(error.to_debug_string())),
    }
}
