//! A request of the host to a [`Request`], and the [`Response`] back to the host.

use super::outgoing::write_body;
use super::{Body, Headers, Request, Response, ResponseBody, Router};
use crate::bindings::imports::wasi::http::types::{
    ErrorCode, Fields, IncomingRequest, Method, OutgoingResponse, ResponseOutparam,
};
use crate::logging;

/// Answers one request; the export of [`service!`](crate::service) calls it.
pub fn serve(router: &Router, request: IncomingRequest, out: ResponseOutparam) {
    logging::install();
    let response = router.answer(read(request));
    send(response, out);
}

fn read(request: IncomingRequest) -> Request {
    let method = method_name(request.method());
    let target = request.path_with_query().unwrap_or_else(|| "/".to_owned());
    let headers = Headers::from_fields(&request.headers());
    let read = Request::new(&method, &target).with_headers(headers);
    match request.consume().ok().and_then(Body::from_host) {
        Some(body) => read.with_body(body),
        None => read,
    }
}

fn send(response: Response, out: ResponseOutparam) {
    let (status, mut headers, content, trailers) = response.into_parts();
    if let ResponseBody::Bytes(bytes) = &content
        && !matches!(status, 100..=199 | 204 | 304)
        && !bytes.is_empty()
        // A message of HTTP/1.1 with a length has no trailers.
        && trailers.is_empty()
    {
        headers.set("content-length", &bytes.len().to_string());
    }
    let fields = headers.to_fields().unwrap_or_else(|error| {
        log::error!("a header of the response is malformed, all were left out: {error:?}");
        Fields::new()
    });
    let head = OutgoingResponse::new(fields);
    if head.set_status_code(status).is_err() {
        let cause = format!("{status} is no HTTP status");
        return ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some(cause))));
    }
    let Ok(body) = head.body() else {
        let cause = "the response has no body to write to".to_owned();
        return ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some(cause))));
    };
    ResponseOutparam::set(out, Ok(head));
    if let Err(error) = write_body(body, content, &trailers) {
        log::warn!("the response broke off: {error}");
    }
}

fn method_name(method: Method) -> String {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => return name,
    };
    name.to_owned()
}
