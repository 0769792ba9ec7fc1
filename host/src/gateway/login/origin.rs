//! Where a request goes to and where it comes from, as the browser says it.

use std::fmt;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::gateway::context::Context;
use crate::gateway::framing;

/// Scheme, host and port under which a browser sees the gateway (RFC 6454, 4), in lower case and without the port that
/// goes without saying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: &'static str,
    /// The host, with its port where one is written.
    authority: String,
}

impl Origin {
    /// That of a request; none for one that names no host.
    pub fn of(head: &Parts, context: &Context) -> Option<Self> {
        let asked = context.asked_host.as_ref().and_then(|host| host.to_str().ok());
        let mut authority = asked.or_else(|| framing::host_of(head))?.to_ascii_lowercase();
        if let Some(port) =
            context.asked_port.filter(|_| !authority.ends_with(']') && !authority.contains(':'))
        {
            authority = format!("{authority}:{port}");
        }
        let usual = if context.scheme == "https" { ":443" } else { ":80" };
        let authority = authority.strip_suffix(usual).unwrap_or(&authority).to_owned();
        Some(Self { scheme: context.scheme, authority })
    }

    /// Whether it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.scheme == "https"
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// Whether a request may change something or opens a connection that can, so that a cookie alone is not enough: other
/// sites can make a browser send it.
pub fn needs_proof(head: &Parts) -> bool {
    let is_safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    !is_safe || head.headers.contains_key(header::UPGRADE)
}

/// Whether the browser says that a page of this very origin has asked (Fetch Metadata, 2.3; else RFC 6454, 7). Saying
/// nothing proves nothing.
pub fn is_from_here(headers: &HeaderMap, origin: &Origin) -> bool {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(HeaderValue::as_bytes);
        value.filter(|_| values.next().is_none())
    };
    if headers.contains_key("sec-fetch-site") {
        return only("sec-fetch-site") == Some(b"same-origin");
    }
    only("origin").is_some_and(|said| said.eq_ignore_ascii_case(origin.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(scheme: &'static str, authority: &str) -> Origin {
        Origin { scheme, authority: authority.into() }
    }

    #[test]
    fn only_a_page_of_the_same_origin_proves_itself() {
        let here = origin("https", "shop.example");
        let check = |fields: &[(&'static str, &'static str)], expected: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_from_here(&headers, &here), expected, "{fields:?}");
        };
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("origin", "https://shop.example")], true);
        check(&[("origin", "https://SHOP.example")], true);
        check(&[], false);
        for other in ["same-site", "cross-site", "none", "", "same-origin, same-origin"] {
            let fields = [("sec-fetch-site", other), ("origin", "https://shop.example")];
            check(&fields, false);
        }
        for other in [
            "null",
            "http://shop.example",
            "https://shop.example:8443",
            "https://shop.example.evil",
            "https://a.shop.example",
            "",
        ] {
            check(&[("origin", other)], false);
        }
        check(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false);
        check(&[("origin", "https://evil"), ("origin", "https://shop.example")], false);
    }

    #[test]
    fn what_may_change_something_needs_a_proof() {
        let check = |method: &str, upgrade: bool| {
            let mut request = http::Request::builder().method(method).uri("/");
            if upgrade {
                request = request.header("upgrade", "websocket");
            }
            needs_proof(&request.body(()).unwrap().into_parts().0)
        };
        assert!(!check("GET", false) && !check("HEAD", false) && !check("OPTIONS", false));
        assert!(
            check("POST", false) && check("DELETE", false) && check("X-ODD", false) && check("GET", true)
        );
    }
}
