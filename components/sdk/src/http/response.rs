//! A response as a handler makes it.

use std::fmt;
use std::io::Read;

use serde::Serialize;

use super::Headers;
use super::array::ArrayReader;
use crate::error::{Error, Result};
use crate::json;
use crate::problem::Problem;

/// One HTTP response.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: Headers,
    body: ResponseBody,
    trailers: Headers,
}

/// What follows the head of a response.
pub enum ResponseBody {
    /// Bytes at hand; the length is sent along.
    Bytes(Vec<u8>),
    /// Whatever the reader yields, in chunks. When it fails, the client sees the response break off.
    Stream(Box<dyn Read>),
}

impl Response {
    /// A response without a body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Headers::new(),
            body: ResponseBody::Bytes(Vec::new()),
            trailers: Headers::new(),
        }
    }

    /// 200 with a JSON document.
    ///
    /// # Errors
    /// When the value can not be written as JSON.
    pub fn ok<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        Self::json(200, value)
    }

    /// 201 with a JSON document and the path under which it will be found.
    ///
    /// # Errors
    /// When the value can not be written as JSON.
    pub fn created<T: Serialize + ?Sized>(location: &str, value: &T) -> Result<Self> {
        Ok(Self::json(201, value)?.header("location", location))
    }

    /// 204.
    pub fn no_content() -> Self {
        Self::new(204)
    }

    /// A JSON document under any status.
    ///
    /// # Errors
    /// When the value can not be written as JSON.
    pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> Result<Self> {
        Ok(Self::bytes(status, "application/json", json::write(value)?))
    }

    /// Plain text in UTF-8.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// Bytes of this media type.
    pub fn bytes(status: u16, content_type: &str, bytes: Vec<u8>) -> Self {
        let response = Self::new(status).header("content-type", content_type);
        Self { body: ResponseBody::Bytes(bytes), ..response }
    }

    /// A stream of this media type, sent while it is read.
    pub fn stream(status: u16, content_type: &str, reader: impl Read + 'static) -> Self {
        let response = Self::new(status).header("content-type", content_type);
        Self { body: ResponseBody::Stream(Box::new(reader)), ..response }
    }

    /// 200 with a JSON array that is sent while its items are found, so that a list of any length fits
    /// into memory; a [`Cursor`](crate::database::Cursor) is such a list. An item that is an error
    /// breaks the response off.
    pub fn list<I, T, E>(items: I) -> Self
    where
        I: IntoIterator<Item = Result<T, E>>,
        I::IntoIter: 'static,
        T: Serialize,
        E: Into<Error>,
    {
        Self::stream(200, "application/json", ArrayReader::new(items.into_iter()))
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Sets a field that follows the body (RFC 9110, 6.5), such as `grpc-status`.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.set(name, value);
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The header fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body.
    pub fn body(&self) -> &ResponseBody {
        &self.body
    }

    pub(crate) fn into_parts(self) -> (u16, Headers, ResponseBody, Headers) {
        (self.status, self.headers, self.body, self.trailers)
    }

    pub(crate) fn without_body(self) -> Self {
        Self { body: ResponseBody::Bytes(Vec::new()), ..self }
    }
}

impl From<&Problem> for Response {
    fn from(problem: &Problem) -> Self {
        Self {
            status: problem.status(),
            headers: problem.headers().clone(),
            body: ResponseBody::Bytes(problem.to_json().to_string().into_bytes()),
            trailers: Headers::new(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stream(_) => f.write_str("a stream"),
        }
    }
}
