//! Keys, and what they sign.
//!
//! `vault` encrypts under the operator's secret, `signing_key` is one key, `ring` all of them and when each signs, `jws`
//! the form of what is signed.

mod vault;
mod signing_key;
mod schedule;
mod ring;
mod jws;

pub use jws::TokenType;
pub use ring::Ring;
pub use signing_key::SigningKey;
pub use vault::Vault;
