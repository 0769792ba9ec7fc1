//! Calls to other services and to outside hosts.
//!
//! A service is reached at `http://<service>.internal/…`; `calls` in `gateway.toml` grants it, and
//! `fetches` grants outside hosts. Call before you begin a read-write transaction: while one is open,
//! calls fail at once.
//!
//! ```no_run
//! use hostel_sdk::client;
//!
//! #[derive(serde::Deserialize)]
//! struct Customer {
//!     name: String,
//! }
//!
//! # fn main() -> hostel_sdk::Result<()> {
//! let url = format!("http://customer.internal/api/customers/{}", client::segment("7"));
//! let customer: Option<Customer> = client::get(&url).send()?.found()?;
//! # Ok(())
//! # }
//! ```

mod url;
mod error;
mod request;
mod response;

pub use error::Error;
pub use request::Request;
pub use response::Response;
pub use url::segment;

/// A call with GET.
pub fn get(url: &str) -> Request {
    Request::new("GET", url)
}

/// A call with POST.
pub fn post(url: &str) -> Request {
    Request::new("POST", url)
}

/// A call with PUT.
pub fn put(url: &str) -> Request {
    Request::new("PUT", url)
}

/// A call with DELETE.
pub fn delete(url: &str) -> Request {
    Request::new("DELETE", url)
}
