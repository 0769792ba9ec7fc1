//! The one body type of requests and responses, from listener to guest, always streamed.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};

/// A streamed body.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A request with a streamed body.
pub type Request = http::Request<Body>;

/// A response with a streamed body.
pub type Response = http::Response<Body>;

/// Why a body broke off.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// The sender went away or broke the protocol.
    #[error("the body broke off: {0}")]
    Broken(String),
    /// It was longer than allowed.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// No byte came in time.
    #[error("no byte of the body came in time")]
    Idle,
    /// The service failed after the response had begun, so the response is cut.
    #[error("the service failed while it sent the body: {0}")]
    Guest(String),
}

/// A body without a byte.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is wholly in memory.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The request with an empty body.
pub fn copy_head(request: &Request) -> Request {
    let mut copy = Request::new(empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// A body that keeps something until it is dropped.
pub fn keeping<E: 'static>(
    body: UnsyncBoxBody<Bytes, E>,
    kept: impl Send + 'static,
) -> UnsyncBoxBody<Bytes, E> {
    let hold = move |error| {
        let _kept = &kept;
        error
    };
    body.map_err(hold).boxed_unsync()
}
