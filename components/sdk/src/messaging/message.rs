//! What is published.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::imports::hostel::service::types;
use crate::error::Result;
use crate::http::Headers;
use crate::json;

/// One message.
///
/// ```
/// # use hostel_sdk::Message;
/// # fn main() -> hostel_sdk::Result<()> {
/// let message = Message::json(&["any", "value"])?.key("order-7");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    id: Option<String>,
    key: Option<String>,
    headers: Headers,
    body: Vec<u8>,
}

impl Message {
    /// A message of these bytes.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// A message that is a JSON document.
    ///
    /// # Errors
    /// When the value can not be written as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        Ok(Self::new(json::write(value)?).header("content-type", "application/json"))
    }

    /// Messages with the same key are handled in order; without one there is no order.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Identifies the message: a second one of this service with the same id is dropped. Without one
    /// the host makes one.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.set(name, value);
        self
    }

    /// The headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The bytes as a document of this type.
    ///
    /// # Errors
    /// When they are no such document.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        json::parse(&self.body)
    }

    pub(crate) fn to_host(&self) -> types::Message {
        types::Message {
            id: self.id.clone(),
            key: self.key.clone(),
            headers: self.header_pairs(),
            body: self.body.clone(),
        }
    }

    pub(crate) fn from_host(message: types::Message) -> Self {
        let mut headers = Headers::new();
        for (name, value) in &message.headers {
            headers.append(name, value.as_bytes());
        }
        Self { id: message.id, key: message.key, headers, body: message.body }
    }

    pub(crate) fn header_pairs(&self) -> Vec<(String, String)> {
        let pair =
            |(name, value): (&str, &[u8])| (name.to_owned(), String::from_utf8_lossy(value).into_owned());
        self.headers.iter().map(pair).collect()
    }
}
