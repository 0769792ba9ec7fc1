//! Messages: publishing, asking, handling.
//!
//! To publish together with a change of the database use
//! [`Transaction::publish`](crate::database::Transaction::publish).

mod message;
mod error;
mod pattern;
mod delivery;
mod subscriptions;

use std::time::Duration;

use crate::bindings::imports::hostel::service::messaging as host;

pub use delivery::{Delivery, Outcome, ReplyMessage};
pub use error::Error;
pub use message::Message;
pub use subscriptions::Subscriptions;

#[doc(hidden)]
pub use subscriptions::handle;

/// Publishes a message; answers its id when it is durable.
///
/// # Errors
/// [`Error::Denied`] for a topic that `publishes` of `gateway.toml` does not grant.
pub fn publish(topic: &str, message: &Message) -> Result<String, Error> {
    Ok(host::publish(topic, &message.to_host())?)
}

/// Sends a message to one subscriber of the topic and waits for its reply. The request is not stored:
/// who asks tries again.
///
/// # Errors
/// [`Error::NoResponder`] when nobody subscribes, [`Error::Timeout`] when no answer came in time.
pub fn request(topic: &str, message: &Message, timeout: Duration) -> Result<Message, Error> {
    let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    Ok(Message::from_host(host::request(topic, &message.to_host(), timeout_ms)?))
}
