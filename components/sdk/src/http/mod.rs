//! Requests in, responses out.
//!
//! `request`, `response`, `headers` and `body` are what a handler sees; `array` streams long lists; `router` and `pattern` choose it;
//! `incoming` and `outgoing` speak `wasi:http`.

mod headers;
mod body;
mod request;
mod response;
mod array;
mod pattern;
mod router;
mod incoming;
mod outgoing;

pub use body::Body;
pub use headers::Headers;
pub use request::{BODY_BYTES_MAX, Request};
pub use response::{Response, ResponseBody};
pub use router::Router;

pub(crate) use outgoing::write_body;

#[doc(hidden)]
pub use incoming::serve;
