//! A message on its way to this service, and what becomes of it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Message;
use crate::bindings::messages::exports::hostel::service::message_handler as host;
use crate::error::Result;
use crate::json;

pub use host::{Delivery, Outcome, ReplyMessage};

impl Delivery {
    /// The body as a document of this type.
    ///
    /// # Errors
    /// A problem when it is none; returned from a handler it sends the message to the dead letters.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        json::parse(&self.body)
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Outcome {
    /// A reply that is a JSON document, for who waits for one.
    ///
    /// # Errors
    /// When the value can not be written as JSON.
    pub fn reply_json<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let message = Message::json(value)?;
        Ok(Self::Reply(ReplyMessage { headers: message.header_pairs(), body: message.body().to_owned() }))
    }
}
