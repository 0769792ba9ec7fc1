//! What the operator says in `gateway.toml`, checked. It is read anew with each request: it is small, and may change.
//!
//! `issuer` is where the provider stands, `client` who may ask it for tokens, `lifetimes` how long things last.

mod issuer;
mod client;
pub mod lifetimes;

pub use client::{Client, Clients, GrantType, audience};
pub use issuer::Issuer;

use hostel_sdk::{Error, Result};

/// A value of `services.identity.config` that must be there.
fn required(key: &str, example: &str) -> Result<String> {
    let missing =
        || Error::internal(format!("`{key}` is missing: add it to the config, as {key} = {example}"));
    hostel_sdk::config::get(key)?.ok_or_else(missing)
}
