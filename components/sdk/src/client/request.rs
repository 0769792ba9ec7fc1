//! A call before it is sent.

use std::time::Duration;

use serde::Serialize;

use super::url::{Scheme, Url};
use super::{Error, Response};
use crate::bindings::imports::wasi::http::outgoing_handler;
use crate::bindings::imports::wasi::http::types as host;
use crate::error::Result;
use crate::http::{Headers, ResponseBody, write_body};
use crate::json;

/// A call to be sent.
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Request {
    method: &'static str,
    url: String,
    headers: Headers,
    body: Vec<u8>,
    timeout: Option<Duration>,
}

impl Request {
    pub(super) fn new(method: &'static str, url: &str) -> Self {
        Self { method, url: url.to_owned(), headers: Headers::new(), body: Vec::new(), timeout: None }
    }

    /// Sets a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Sends a JSON document.
    ///
    /// # Errors
    /// When the value can not be written as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        let body = json::write(value)?;
        Ok(Self { body, ..self.header("content-type", "application/json") })
    }

    /// Sends these bytes.
    pub fn body(self, content_type: &str, body: Vec<u8>) -> Self {
        Self { body, ..self.header("content-type", content_type) }
    }

    /// Waits at most this long for the answer's head; the host has limits of its own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends the call and waits for the head of the answer. Any status is an answer; see
    /// [`Response::json`] and [`Response::found`].
    ///
    /// # Errors
    /// When there is no answer.
    pub fn send(mut self) -> Result<Response, Error> {
        if !self.body.is_empty() {
            self.headers.set("content-length", &self.body.len().to_string());
        }
        let head = self.head()?;
        let unreachable = |cause: &str| Error::Unreachable(format!("{}: {cause}", self.url));
        let body = head.body().map_err(|()| unreachable("the call has no body to write to"))?;
        let answer = outgoing_handler::handle(head, self.options()?)
            .map_err(|code| Error::from_code(code, &self.url))?;
        // The answer may come before the body has been taken, so a failed write is no failed call.
        if let Err(error) = write_body(body, ResponseBody::Bytes(self.body), &Headers::new()) {
            log::debug!("{}: the body of the call broke off: {error}", self.url);
        }
        answer.subscribe().block();
        match answer.get() {
            Some(Ok(Ok(response))) => Ok(Response::from_host(response, self.url)),
            Some(Ok(Err(code))) => Err(Error::from_code(code, &self.url)),
            Some(Err(())) | None => Err(Error::Unreachable(format!("{}: no answer", self.url))),
        }
    }

    fn head(&self) -> Result<host::OutgoingRequest, Error> {
        let malformed = || Error::Url(self.url.clone());
        let url = Url::parse(&self.url)?;
        let method = match self.method {
            "GET" => host::Method::Get,
            "POST" => host::Method::Post,
            "PUT" => host::Method::Put,
            "DELETE" => host::Method::Delete,
            other => host::Method::Other(other.to_owned()),
        };
        let scheme = match url.scheme {
            Scheme::Http => host::Scheme::Http,
            Scheme::Https => host::Scheme::Https,
        };
        let head = host::OutgoingRequest::new(self.headers.to_fields().map_err(|_| malformed())?);
        head.set_method(&method).map_err(|()| malformed())?;
        head.set_scheme(Some(&scheme)).map_err(|()| malformed())?;
        head.set_authority(Some(url.authority)).map_err(|()| malformed())?;
        head.set_path_with_query(Some(&url.target)).map_err(|()| malformed())?;
        Ok(head)
    }

    fn options(&self) -> Result<Option<host::RequestOptions>, Error> {
        let Some(timeout) = self.timeout else {
            return Ok(None);
        };
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let unsupported = |()| Error::Unreachable("the host sets no time-outs".to_owned());
        let options = host::RequestOptions::new();
        options.set_connect_timeout(Some(timeout_ns)).map_err(unsupported)?;
        options.set_first_byte_timeout(Some(timeout_ns)).map_err(unsupported)?;
        Ok(Some(options))
    }
}
