//! A body that is read: bytes at hand, or a stream of the host.

use std::io::{self, Cursor, Read};

use crate::bindings::imports::wasi::http::types::IncomingBody;
use crate::bindings::imports::wasi::io::streams::{InputStream, StreamError};

/// The most bytes that one read of a stream asks for; the host hands over what is there.
const READ_BYTES_MAX: usize = 64 * 1024;

/// A body of a request that came in or of a response to a call; read it with [`std::io::Read`].
#[derive(Debug)]
pub struct Body(Source);

#[derive(Debug)]
enum Source {
    Bytes(Cursor<Vec<u8>>),
    Stream(Stream),
}

/// The stream is a child of its body and must go first; fields are dropped in this order.
#[derive(Debug)]
struct Stream {
    input: InputStream,
    _body: IncomingBody,
}

impl Body {
    /// A body of bytes at hand.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Source::Bytes(Cursor::new(bytes.into())))
    }

    /// The body of a host's request or response; none when its stream was taken before.
    pub(crate) fn from_host(body: IncomingBody) -> Option<Self> {
        let input = body.stream().ok()?;
        Some(Self(Source::Stream(Stream { input, _body: body })))
    }

    /// All bytes, or none when there are more than `bytes_max`.
    ///
    /// # Errors
    /// When the body breaks off.
    pub fn read_all(&mut self, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        self.take(limit).read_to_end(&mut bytes)?;
        Ok((bytes.len() <= bytes_max).then_some(bytes))
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Bytes(bytes) => bytes.read(buffer),
            Source::Stream(stream) => stream.read(buffer),
        }
    }
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let wanted = buffer.len().min(READ_BYTES_MAX) as u64;
        loop {
            match self.input.blocking_read(wanted) {
                // A wait that ended without a byte is no end.
                Ok(chunk) if chunk.is_empty() => {}
                Ok(chunk) => {
                    buffer[..chunk.len()].copy_from_slice(&chunk);
                    return Ok(chunk.len());
                }
                Err(StreamError::Closed) => return Ok(0),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(io::Error::other(error.to_debug_string()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_up_to_its_limit() {
        assert_eq!(Body::from_bytes(*b"four").read_all(4).unwrap(), Some(b"four".to_vec()));
        assert_eq!(Body::from_bytes(*b"fives").read_all(4).unwrap(), None);
    }
}
