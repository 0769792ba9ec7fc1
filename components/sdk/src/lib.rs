//! Services on Hostel, in Rust: write business code, not bindings.
//!
//! A complete service that counts visits, with a database of its own:
//!
//! ```
//! use hostel_sdk::{Problem, Request, Response, Result, Router, database, params};
//! use serde::{Deserialize, Serialize};
//!
//! hostel_sdk::service! {
//!     http: routes,
//!     migrations: ["CREATE TABLE visits (name TEXT PRIMARY KEY, count BIGINT NOT NULL)"],
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Visits {
//!     name: String,
//!     count: i64,
//! }
//!
//! fn routes() -> Router {
//!     Router::new().post("/visits/{name}", visit).get("/visits/{name}", show)
//! }
//!
//! fn visit(request: &Request) -> Result<Response> {
//!     let name = request.parameter("name")?;
//!     let sql = "INSERT INTO visits (name, count) VALUES ($1, 1)
//!                ON CONFLICT (name) DO UPDATE SET count = visits.count + 1";
//!     database::execute(sql, params![name])?;
//!     show(request)
//! }
//!
//! fn show(request: &Request) -> Result<Response> {
//!     let name = request.parameter("name")?;
//!     let sql = "SELECT name, count FROM visits WHERE name = $1";
//!     let visits: Option<Visits> = database::query_first(sql, params![name])?;
//!     let visits = visits.ok_or_else(|| Problem::not_found(format!("{name} was never here.")))?;
//!     Response::ok(&visits)
//! }
//! # fn main() {}
//! ```
//!
//! ```toml
//! # Cargo.toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]    # the component, and a library for unit tests
//!
//! # gateway.toml
//! [services.visits]
//! component = "target/wasm32-wasip2/release/visits.wasm"
//! build     = "cargo build --release --target wasm32-wasip2 -p visits"
//! database  = "embedded"
//! ```
//!
//! | for | see |
//! | --- | --- |
//! | what a component exports | [`service!`] |
//! | requests and responses | [`http`], [`Router`], [`Request`], [`Response`] |
//! | what clients are told when it fails | [`Problem`], [`Error`] |
//! | rows, transactions, inbox and outbox | [`database`] |
//! | the same request twice | [`idempotency`] |
//! | messages | [`messaging`], [`Message`], [`Subscriptions`], [`Delivery`] |
//! | calls to other services | [`client`] |
//! | buckets, configuration, registry | [`key_value`], [`config`], [`discovery`] |
//! | the log | the macros of the `log` crate: `log::info!` |
//!
//! A component imports only what it calls, so a service asks for no right that it does not use.

pub mod service;
pub mod http;
pub mod problem;
pub mod error;
pub mod caller;
pub mod idempotency;
pub mod database;
pub mod messaging;
pub mod client;
pub mod key_value;
pub mod config;
pub mod discovery;
pub mod json;
pub mod id;
pub mod time;
pub mod logging;

#[doc(hidden)]
pub mod bindings;

pub use bindings::migrations::exports::hostel::service::migrations::Dialect;
pub use caller::Caller;
pub use error::{Error, Result};
pub use http::{Request, Response, Router};
pub use messaging::{Delivery, Message, Outcome, Subscriptions};
pub use problem::Problem;

pub use log;
