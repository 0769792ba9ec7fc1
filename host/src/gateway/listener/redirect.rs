//! The clear-text listener beside TLS: every request is sent to https.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use hyper::body::Incoming;

use super::connection::Busy;
use super::peer::Peer;
use crate::body::{self, Response};
use crate::gateway::account::{Account, AccountedBody};
use crate::gateway::context::Context;
use crate::gateway::framing;
use crate::gateway::pipeline;
use crate::gateway::reply::Refusal;
use crate::gateway::routing::host;

/// The port that `https` means when none is written.
const HTTPS_PORT: u16 = 443;

/// Answers one request with the same address under https at this port.
pub fn handle(
    request: http::Request<Incoming>,
    peer: &Arc<Peer>,
    port: u16,
    busy: Busy,
) -> http::Response<AccountedBody> {
    let account = Account::open(Context::begin(&request, peer), busy);
    let (mut head, _) = request.into_parts();
    let answer = framing::check(&mut head).and_then(|()| location(&head, port)).map(moved);
    pipeline::finish(answer, account, None)
}

fn location(head: &Parts, port: u16) -> Result<HeaderValue, Refusal> {
    let named = framing::host_of(head).ok_or(Refusal::Malformed("there is no Host field"))?;
    let host = host::comparable(named);
    let target = match head.uri.path_and_query().map(|target| target.as_str()) {
        // `OPTIONS *` is what a proxy makes of a target without a path (RFC 9112, 3.2.4).
        Some("*") | None => "",
        Some(target) => target,
    };
    let location = match port {
        HTTPS_PORT => format!("https://{host}{target}"),
        port => format!("https://{host}:{port}{target}"),
    };
    HeaderValue::try_from(location).map_err(|_| Refusal::Malformed("the target cannot stand in a header"))
}

/// 308 and not 301, so that a form is sent again as it is.
fn moved(location: HeaderValue) -> Response {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_and_the_target_stay() {
        for (target, host, port, expected) in [
            ("/a?b=1", "Shop.example:8080", 443, "https://shop.example/a?b=1"),
            ("/", "shop.example", 8443, "https://shop.example:8443/"),
            ("/", "[::1]:80", 8443, "https://[::1]:8443/"),
            ("http://shop.example/a", "shop.example", 443, "https://shop.example/a"),
        ] {
            let request = http::Request::get(target).header("host", host).body(()).unwrap();
            let mut head = request.into_parts().0;
            framing::check(&mut head).unwrap();
            assert_eq!(location(&head, port).unwrap(), expected);
        }
    }
}
