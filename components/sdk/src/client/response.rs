//! The answer to a call.

use serde::de::DeserializeOwned;

use super::Error;
use crate::bindings::imports::wasi::http::types as host;
use crate::http::{BODY_BYTES_MAX, Body, Headers};

/// The answer to a call.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: Headers,
    body: Body,
    url: String,
}

impl Response {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The header fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body as a document of this type.
    ///
    /// # Errors
    /// [`Error::Status`] unless the status is 2xx; [`Error::Body`] when it is no such document.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        if !(200..300).contains(&self.status) {
            return Err(Error::Status { status: self.status, url: self.url });
        }
        let url = self.url.clone();
        let bytes = self.bytes()?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Body { url, cause: error.to_string() })
    }

    /// The body as a document of this type, or none when the status is 404.
    ///
    /// # Errors
    /// As [`Response::json`].
    pub fn found<T: DeserializeOwned>(self) -> Result<Option<T>, Error> {
        if self.status == 404 {
            return Ok(None);
        }
        self.json().map(Some)
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it breaks off, [`Error::Body`] above
    /// [`BODY_BYTES_MAX`](crate::http::BODY_BYTES_MAX).
    pub fn bytes(mut self) -> Result<Vec<u8>, Error> {
        let read = self.body.read_all(BODY_BYTES_MAX);
        match read.map_err(|error| Error::Unreachable(format!("{}: {error}", self.url)))? {
            Some(bytes) => Ok(bytes),
            None => {
                Err(Error::Body { url: self.url, cause: format!("it has more than {BODY_BYTES_MAX} bytes") })
            }
        }
    }

    /// The body as a stream.
    pub fn into_body(self) -> Body {
        self.body
    }

    pub(super) fn from_host(response: host::IncomingResponse, url: String) -> Self {
        let headers = Headers::from_fields(&response.headers());
        let body = response.consume().ok().and_then(Body::from_host);
        let body = body.unwrap_or_else(|| Body::from_bytes(Vec::new()));
        Self { status: response.status(), headers, body, url }
    }
}
