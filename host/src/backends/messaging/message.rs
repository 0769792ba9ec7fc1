//! Messages and replies as their senders give them.

use bytes::Bytes;
use uuid::Uuid;

/// The longest message with its headers: messages carry events, not files.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The longest id and the longest key; both stand in indexes.
pub const ID_BYTES_MAX: usize = 512;

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// A second message of the same service with the same id is dropped; none: the host makes one.
    pub id: Option<String>,
    /// Messages with the same key are handled in order; none: no order.
    pub key: Option<String>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Its content.
    pub body: Bytes,
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Names and values that travel along.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Bytes,
}

impl Message {
    /// Its id, or a new one, ordered by time (UUID version 7, RFC 9562).
    pub fn id_or_new(&self) -> String {
        self.id.clone().unwrap_or_else(|| Uuid::now_v7().simple().to_string())
    }

    /// Checks its size; the error names the limit.
    pub fn check(&self, bytes_max: usize) -> Result<(), String> {
        for (what, text) in [("id", &self.id), ("key", &self.key)] {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > ID_BYTES_MAX) {
                return Err(format!("the {what} of a message has 1 to {ID_BYTES_MAX} bytes"));
            }
        }
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = self.body.len() + headers;
        if bytes > bytes_max {
            return Err(format!(
                "a message has at most {bytes_max} bytes with its headers, this one has {bytes}"
            ));
        }
        Ok(())
    }
}
