//! What stands behind the interfaces: databases, message brokers and buckets, all durable on this machine.
//!
//! Knows nothing of Wasm, WIT and HTTP. Only here may `rusqlite` be named, and none of its types leaves
//! this folder, so that other drivers can stand behind the same names.

/// A service's own relational database.
pub mod database;
/// A domain's message broker.
pub mod messaging;
/// Buckets of keys and values.
pub mod key_value;
mod sqlite;
