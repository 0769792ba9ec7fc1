//! The contracts of the back ends, tested without a host.

mod database;
mod messaging;
