//! Outgoing HTTP of WASI 0.2: the same way as `http_out`, begun in the task of the guest that asks.
//!
//! A service of this host has mostly answered before the guest goes on; a task in between would cost two wake-ups. What
//! takes longer goes on in a task of its own, while the guest sends its body or asks others.

use std::pin::Pin;

use http::header::{CONTENT_LENGTH, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, poll_noop, spawn};
use wasmtime_wasi_http::p2::HttpResult;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Method, Scheme};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{RequestOptions, WasiBody};

use crate::interfaces::WASI_VERSION;
use crate::interfaces::guest::GuestState;

/// The interface.
const OUTGOING_HANDLER: &str = "wasi:http/outgoing-handler";

type Asked = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);

/// Adds the interface, in the place of the one of wasmtime-wasi-http.
///
/// # Errors
///
/// Never, as the interface is shadowed.
pub fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.instance(&format!("{OUTGOING_HANDLER}@{WASI_VERSION}"))?.func_wrap(
        "handle",
        |mut store, asked: Asked| {
            let answer = handle(store.data_mut(), asked);
            // An error that is no word for the guest is a trap.
            answer.map(|future| (Ok(future),)).or_else(|error| Ok((Err(error.downcast()?),)))
        },
    )
}

fn handle(state: &mut GuestState, asked: Asked) -> HttpResult<Resource<HostFutureIncomingResponse>> {
    let (request, options) = asked;
    let options = options.and_then(|options| state.table.get(&options).ok()).cloned();
    let request = to_http(state.table.delete(request)?)?;
    // An early answer to a request whose body is still to come would close the body under the guest that writes it.
    let comes_whole = request.method().is_safe() || request.body().is_end_stream();
    let mut sending = state.outbound.send(request, options);
    let sent = comes_whole.then(|| poll_noop(Pin::new(&mut sending))).flatten();
    let response = match sent {
        Some(sent) => HostFutureIncomingResponse::Ready(sent.map(received)),
        None => HostFutureIncomingResponse::Pending(spawn(async { sending.await.map(received) })),
    };
    Ok(state.table.push(response)?)
}

/// A response as the interface wants it: with a task behind its body, which none of ours needs.
fn received(response: http::Response<WasiBody>) -> (http::Response<WasiBody>, AbortOnDropJoinHandle<()>) {
    (response, spawn(std::future::ready(())))
}

/// A request as the guest has put it together.
fn to_http(request: HostOutgoingRequest) -> Result<http::Request<WasiBody>, ErrorCode> {
    let HostOutgoingRequest { method, scheme, authority, path_with_query, headers, body } = request;
    let mut headers: HeaderMap = headers.into();
    let is_empty = headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0");
    if body.is_none() && !is_empty {
        return Err(ErrorCode::HttpRequestBodySize(Some(0)));
    }
    let invalid = |_| ErrorCode::HttpRequestUriInvalid;
    let authority = authority.unwrap_or_default();
    let host = HeaderValue::try_from(&authority).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    headers.insert(HOST, host);
    let mut uri = Uri::builder()
        .scheme(to_http_scheme(scheme)?)
        .authority(Authority::try_from(authority).map_err(invalid)?);
    if let Some(path) = path_with_query {
        uri = uri.path_and_query(path);
    }
    let nothing = || Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut request = http::Request::new(body.unwrap_or_else(nothing));
    *request.method_mut() = to_http_method(method)?;
    *request.uri_mut() = uri.build().map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn to_http_scheme(scheme: Option<Scheme>) -> Result<http::uri::Scheme, ErrorCode> {
    match scheme {
        Some(Scheme::Http) => Ok(http::uri::Scheme::HTTP),
        Some(Scheme::Https) | None => Ok(http::uri::Scheme::HTTPS),
        Some(Scheme::Other(_)) => Err(ErrorCode::HttpProtocolError),
    }
}

fn to_http_method(method: Method) -> Result<http::Method, ErrorCode> {
    Ok(match method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
        Method::Connect => http::Method::CONNECT,
        Method::Options => http::Method::OPTIONS,
        Method::Trace => http::Method::TRACE,
        Method::Patch => http::Method::PATCH,
        Method::Other(name) => {
            http::Method::try_from(&*name).map_err(|_| ErrorCode::HttpRequestMethodInvalid)?
        }
    })
}

#[cfg(test)]
mod tests {
    use wasmtime_wasi_http::FieldMap;

    use super::*;

    fn request(
        path: Option<&str>,
        fields: &[(&'static str, &str)],
    ) -> Result<http::Request<WasiBody>, ErrorCode> {
        let mut headers = FieldMap::new_mutable(1024);
        for (name, value) in fields {
            headers.append_raw(http::HeaderName::from_static(name), value.parse().unwrap()).unwrap();
        }
        to_http(HostOutgoingRequest {
            method: Method::Get,
            scheme: Some(Scheme::Http),
            authority: Some("stock.internal".into()),
            path_with_query: path.map(str::to_owned),
            headers,
            body: None,
        })
    }

    #[test]
    fn a_request_goes_where_its_guest_says_and_names_the_host() {
        for (path, target) in
            [("/goods?a=1", "http://stock.internal/goods?a=1"), ("", "http://stock.internal/")]
        {
            let request = request(Some(path), &[("x-kept", "1")]).unwrap();
            assert_eq!(request.uri().to_string(), target);
            assert_eq!(
                (&request.headers()["host"], &request.headers()["x-kept"]),
                (&"stock.internal".parse().unwrap(), &"1".parse().unwrap())
            );
            assert!(request.body().is_end_stream());
        }
    }

    #[test]
    fn what_cannot_be_sent_is_an_error_of_the_guest() {
        assert!(matches!(request(Some("no path"), &[]), Err(ErrorCode::HttpRequestUriInvalid)));
        let announced = request(Some("/"), &[("content-length", "5")]);
        assert!(matches!(announced, Err(ErrorCode::HttpRequestBodySize(Some(0)))), "a length without a body");
        assert!(request(Some("/"), &[("content-length", "0")]).is_ok());
    }
}
