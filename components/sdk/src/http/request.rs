//! A request as a handler sees it.

use std::cell::{OnceCell, RefCell};
use std::str::FromStr;

use serde::de::DeserializeOwned;

use super::{Body, Headers};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::json;
use crate::problem::Problem;

/// The largest body that [`Request::bytes`] and [`Request::json`] hold in memory; larger ones are for
/// [`Request::body`], which streams.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One HTTP request.
#[derive(Debug)]
pub struct Request {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Headers,
    parameters: Vec<(String, String)>,
    body: RefCell<Option<Body>>,
    bytes: OnceCell<Vec<u8>>,
}

impl Request {
    /// A request with this method and target (`/api/orders?customer=7`), for tests of handlers; the
    /// host makes the real ones.
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: Headers::new(),
            parameters: Vec::new(),
            body: RefCell::new(Some(Body::from_bytes(Vec::new()))),
            bytes: OnceCell::new(),
        }
    }

    /// The same request with these headers.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// The same request with this body.
    #[must_use]
    pub fn with_body(self, body: Body) -> Self {
        Self { body: RefCell::new(Some(body)), ..self }
    }

    pub(crate) fn with_parameters(mut self, parameters: Vec<(String, String)>) -> Self {
        self.parameters = parameters;
        self
    }

    /// The method in capitals: `GET`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path as the client sent it, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The header fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// What stands in the path in the place of `{name}`, decoded.
    ///
    /// # Errors
    /// [`Error::Internal`] when the pattern of the route has no such name.
    pub fn parameter(&self, name: &str) -> Result<&str> {
        let found = self.parameters.iter().find(|(given, _)| given == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| Error::internal(format!("the route of {} has no {{{name}}}", self.path)))
    }

    /// The same as a number or any other type that reads from text.
    ///
    /// # Errors
    /// 404 when it is not of this type: then there can be nothing under this path.
    pub fn parameter_as<T: FromStr>(&self, name: &str) -> Result<T> {
        let text = self.parameter(name)?;
        text.parse().map_err(|_| Problem::not_found(format!("{text:?} is no {name}.")).into())
    }

    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.queries(name).next()
    }

    /// Every value of a query parameter, in order.
    pub fn queries(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a query parameter as a number or any other type that reads from text.
    ///
    /// # Errors
    /// 400 when it is not of this type.
    pub fn query_as<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.query(name) else {
            return Ok(None);
        };
        let problem = || Problem::bad_request(format!("The parameter {name} can not be {text:?}."));
        text.parse().map(Some).map_err(|_| problem().into())
    }

    /// The whole body; it can be asked for again.
    ///
    /// # Errors
    /// 413 above [`BODY_BYTES_MAX`]; 400 when it breaks off.
    pub fn bytes(&self) -> Result<&[u8]> {
        if let Some(bytes) = self.bytes.get() {
            return Ok(bytes);
        }
        let read = self.body().read_all(BODY_BYTES_MAX);
        let read = read.map_err(|error| Problem::bad_request(format!("The body broke off: {error}.")))?;
        let bytes = read.ok_or_else(|| {
            Problem::content_too_large(format!("The body is larger than {BODY_BYTES_MAX} bytes."))
        })?;
        Ok(self.bytes.get_or_init(|| bytes))
    }

    /// The body as a document of this type.
    ///
    /// # Errors
    /// 400 when it is no JSON, 422 when it is JSON of another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        json::parse(self.bytes()?)
    }

    /// The body as a stream, for what is larger than memory. It can be taken once; later it is empty.
    pub fn body(&self) -> Body {
        self.body.borrow_mut().take().unwrap_or_else(|| Body::from_bytes(Vec::new()))
    }

    /// Who is calling.
    pub fn caller(&self) -> Caller<'_> {
        Caller::new(&self.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_decoded() {
        let request = Request::new("GET", "/p?sku=a%20b&sku=c+d&n=7&x=");
        assert_eq!(request.queries("sku").collect::<Vec<_>>(), ["a b", "c d"]);
        assert_eq!(request.query_as::<u8>("n").unwrap(), Some(7));
        assert_eq!(request.query_as::<u8>("absent").unwrap(), None);
        assert_eq!(request.query_as::<u8>("x").unwrap_err().into_problem().status(), 400);
    }

    #[test]
    fn the_body_can_be_asked_for_again() {
        let request = Request::new("POST", "/").with_body(Body::from_bytes(*b"[1]"));
        assert_eq!(request.bytes().unwrap(), b"[1]");
        assert_eq!(request.json::<Vec<u8>>().unwrap(), [1]);
    }
}
