//! Which requests the cache handles at all, and under which key.

use http::header::{
    CONNECTION, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, UPGRADE,
};
use http::{HeaderMap, HeaderName, Method};
use http_body::Body as _;

use super::Asked;
use super::status::Forwarded;
use super::store::Key;
use crate::body::Request;

/// What may stand in Connection: other names are taken out before the service sees the request, so that it
/// answers another request than the one that was looked up.
const CONNECTION_TOKENS: [&str; 4] = ["close", "keep-alive", "te", "upgrade"];

/// Fields by which frameworks let a client change method or target. They are no part of the key.
static OVERRIDES: [HeaderName; 5] = [
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// Fields that the service decides on.
static DECIDED_BY_SERVICE: [HeaderName; 3] = [IF_MATCH, IF_UNMODIFIED_SINCE, UPGRADE];

/// Fields by which a client asks for a part of a response, or for none if it has it.
pub static CONDITIONS: [HeaderName; 4] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE];

/// The key of a request, or why the cache has no part in it.
pub fn key(asked: &Asked<'_>, request: &Request) -> Result<Key, Forwarded> {
    if *request.method() != Method::GET && *request.method() != Method::HEAD {
        return Err(Forwarded::Method);
    }
    let headers = request.headers();
    let origin = asked.origin.ok_or(Forwarded::Bypass)?;
    // The service sees the path as it was sent, and may read another spelling as something else: whoever sends
    // one must not choose what those get who send the normal one.
    let is_normal = request.uri().path() == asked.path;
    let is_plain = request.body().is_end_stream()
        && !has_any(headers, &DECIDED_BY_SERVICE)
        && !has_any(headers, &OVERRIDES)
        && has_plain_connection(headers);
    if is_normal && is_plain {
        Ok(Key::new(origin.clone(), asked.path, request.uri().query()))
    } else {
        Err(Forwarded::Bypass)
    }
}

/// Whether the request has one of these fields.
pub fn has_any(headers: &HeaderMap, names: &[HeaderName]) -> bool {
    names.iter().any(|name| headers.contains_key(name))
}

fn has_plain_connection(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().all(|value| {
        let tokens = value.to_str().unwrap_or("?").split(',').map(str::trim);
        tokens.into_iter().all(|token| {
            token.is_empty() || CONNECTION_TOKENS.iter().any(|plain| token.eq_ignore_ascii_case(plain))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;
    use crate::gateway::cache::RouteCache;
    use crate::gateway::cache::origin::Origin;

    fn check(method: &str, target: &str, path: &str, fields: &[(&str, &str)]) -> Result<Key, Forwarded> {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(body::empty()).unwrap();
        let origin = Origin::new("http", request.headers(), None, None);
        let (route, service) = (RouteCache::default().into(), "shop".parse().unwrap());
        let (origin, is_identified) = (origin.as_ref(), false);
        key(&Asked { route: &route, service: &service, origin, path, is_identified }, &request)
    }

    #[test]
    fn requests_whose_answer_is_not_that_of_their_url_pass_by() {
        let host = ("host", "a");
        assert_eq!(check("POST", "/x", "/x", &[host]), Err(Forwarded::Method));
        assert_eq!(check("GET", "/%78", "/x", &[host]), Err(Forwarded::Bypass));
        assert_eq!(check("GET", "/x", "/x", &[]), Err(Forwarded::Bypass));
        for field in [
            ("if-match", "\"a\""),
            ("if-unmodified-since", "x"),
            ("upgrade", "websocket"),
            ("x-original-url", "/y"),
            ("x-http-method-override", "DELETE"),
            ("connection", "accept-language"),
            ("connection", "close, cookie"),
        ] {
            assert_eq!(check("GET", "/x", "/x", &[host, field]), Err(Forwarded::Bypass), "{field:?}");
        }
        for field in [("connection", "close"), ("connection", "Keep-Alive, TE"), ("if-none-match", "*")] {
            assert!(check("HEAD", "/x", "/x", &[host, field]).is_ok(), "{field:?}");
        }
    }

    #[test]
    fn keys_differ_by_host_port_path_and_query() {
        let key = |host: &str, target: &str| {
            check("GET", target, target.split('?').next().unwrap(), &[("host", host)]).unwrap()
        };
        assert_eq!(key("Shop.example", "/x?b"), key("shop.example", "/x?b"));
        for other in
            [key("other", "/x"), key("a:81", "/x"), key("a", "/X"), key("a", "/x?"), key("a", "/x?a")]
        {
            assert_ne!(key("a", "/x"), other);
        }
    }
}
