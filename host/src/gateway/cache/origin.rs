//! Where a client asked, with all that the service is told of it: the part of a key before the path.

use std::fmt::Write;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri};

use crate::gateway::routing::host;

/// The origin of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Scheme, name and port, the same in every spelling.
    meant: String,
    /// The Host field, and what a trusted proxy told in its place: the service may answer by either.
    sent: String,
}

impl Origin {
    /// The origin of a request with these fields; `told_host` and `told_port` are the word of a trusted proxy. None
    /// when it names no host.
    pub fn new(
        scheme: &str,
        headers: &HeaderMap,
        told_host: Option<&HeaderValue>,
        told_port: Option<u16>,
    ) -> Option<Self> {
        let text = |host: &HeaderValue| Some(host.to_str().ok()?.to_ascii_lowercase());
        let (sent, told) = (headers.get(HOST).and_then(text), told_host.and_then(text));
        let meant = meant(scheme, told.as_deref().or(sent.as_deref())?, told_port);
        let mut sent = sent.unwrap_or_default();
        if told.is_some() || told_port.is_some() {
            // Writing to a string cannot fail.
            let _ = write!(sent, " {} {}", told.unwrap_or_default(), told_port.unwrap_or_default());
        }
        Some(Self { meant, sent })
    }

    /// Whether a reference in a response leads to the same origin.
    pub fn is_of(&self, uri: &Uri) -> bool {
        match (uri.scheme_str(), uri.authority()) {
            (None, None) => true,
            (Some(scheme), Some(authority)) => meant(scheme, authority.as_str(), None) == self.meant,
            _ => false,
        }
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        self.meant.len() + self.sent.len()
    }
}

fn meant(scheme: &str, host: &str, port: Option<u16>) -> String {
    let default = if scheme == "https" { 443 } else { 80 };
    let port = port.or_else(|| host::port(host)).unwrap_or(default);
    format!("{scheme}://{}:{port}", host::comparable(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(scheme: &str, sent: &str, told: Option<(&str, u16)>) -> Origin {
        let headers = HeaderMap::from_iter([(HOST, sent.parse().unwrap())]);
        let host = told.map(|(host, _)| host.parse().unwrap());
        Origin::new(scheme, &headers, host.as_ref(), told.map(|(_, port)| port)).unwrap()
    }

    #[test]
    fn all_that_a_service_is_told_makes_a_difference() {
        let all = [
            origin("http", "a", None),
            origin("https", "a", None),
            origin("http", "a:80", None),
            origin("http", "b", None),
            origin("http", "gateway", Some(("a", 80))),
            origin("http", "gateway", Some(("a", 8080))),
            origin("http", "gateway", Some(("b", 80))),
            origin("http", "a", Some(("b", 80))),
            origin("http", "b", Some(("a", 80))),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != one), "{one:?}");
        }
        assert_eq!(origin("http", "Shop.Example", None), origin("http", "shop.example", None));
        assert_eq!(Origin::new("http", &HeaderMap::new(), None, None), None);
    }

    #[test]
    fn references_are_to_where_the_client_asked() {
        let check = |origin: &Origin, uri: &str, expected: bool| {
            assert_eq!(origin.is_of(&uri.parse().unwrap()), expected, "{origin:?} {uri}");
        };
        let plain = origin("http", "a", None);
        check(&plain, "/x", true);
        check(&plain, "http://A:80/x", true);
        check(&plain, "https://a/x", false);
        check(&plain, "http://b/x", false);
        let proxied = origin("https", "gateway", Some(("a", 8443)));
        check(&proxied, "https://a:8443/x", true);
        check(&proxied, "https://a/x", false);
        check(&proxied, "https://gateway/x", false);
    }
}
