//! The request fields that choose between the responses of one URL (RFC 9111, 4.1).

use http::header::{ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, VARY};
use http::{HeaderMap, HeaderName};

use crate::names::is_claim;

/// Lists in which space around commas has no meaning, as clients write it in several ways. All other fields, and
/// these in everything else, must be equal to the byte: a service may read them less broadly than a standard.
static NORMALISED: [HeaderName; 4] = [ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE];

/// Fields that the gateway sets itself beside those that nobody believes a client: what the client sent under these
/// names never reached the service.
const SET_HERE: [&str; 2] = ["traceparent", "tracestate"];

/// What the request of a kept response had in the fields that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Vec<(HeaderName, Option<Vec<u8>>)>);

impl Selection {
    /// What `request` has in the fields that the response names, and in those of the operator. None when no
    /// other request can match: the response varies by everything, or by what no look-up can see.
    pub fn new(response: &HeaderMap, key_headers: &[HeaderName], request: &HeaderMap) -> Option<Self> {
        let mut names = key_headers.to_vec();
        for value in response.get_all(VARY) {
            for name in value.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                if name == "*" {
                    return None;
                }
                let name: HeaderName = name.parse().ok()?;
                if is_claim(&name) || SET_HERE.contains(&name.as_str()) {
                    return None;
                }
                names.push(name);
            }
        }
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        Some(Self(names.into_iter().map(|name| (name.clone(), value(request, &name))).collect()))
    }

    /// Whether another request has the same there.
    pub fn matches(&self, request: &HeaderMap) -> bool {
        self.0.iter().all(|(name, wanted)| value(request, name) == *wanted)
    }

    /// Whether two other requests agree in the fields that count here.
    pub fn agree(&self, one: &HeaderMap, other: &HeaderMap) -> bool {
        self.0.iter().all(|(name, _)| value(one, name) == value(other, name))
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.as_str().len() + value.as_ref().map_or(0, Vec::len)).sum()
    }
}

/// All lines of a field in the form in which they are compared; none when there is no line.
fn value(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(name).iter().map(|line| line.as_bytes());
    let mut joined = lines.next()?.to_vec();
    for line in lines {
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(line);
    }
    if !NORMALISED.contains(name) || joined.contains(&b'"') {
        return Some(joined);
    }
    let members: Vec<&[u8]> = joined.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
    Some(members.join(&b','))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_equal_requests_match() {
        let check = |vary: &str, one: &[(&'static str, &str)], other: &[(&'static str, &str)], same: bool| {
            let selection = Selection::new(&headers(&[("vary", vary)]), &[], &headers(one)).unwrap();
            assert_eq!(selection.matches(&headers(other)), same, "{vary}: {one:?} and {other:?}");
            assert_eq!(
                selection.agree(&headers(one), &headers(other)),
                same,
                "{vary}: {one:?} and {other:?}"
            );
        };
        let gzip = [("accept-encoding", "gzip, br")];
        check("", &gzip, &[], true);
        check("Accept-Encoding", &gzip, &gzip, true);
        check("accept-encoding", &gzip, &[("accept-encoding", "gzip ,br")], true);
        check("accept-encoding", &gzip, &[("accept-encoding", "GZIP, br")], false);
        check("accept-encoding", &gzip, &[("accept-encoding", "g zip, br")], false);
        check("accept-encoding", &gzip, &[("accept-encoding", "gzip"), ("accept-encoding", "br")], true);
        check("accept-encoding", &gzip, &[("accept-encoding", "br, gzip")], false);
        check("accept-encoding", &gzip, &[], false);
        check("accept-encoding", &[], &[("accept-encoding", "")], false);
        check("x-tenant", &[("x-tenant", "a")], &[("x-tenant", "A")], false);
        check("x-tenant", &[("x-tenant", "a, b")], &[("x-tenant", "a,b")], false);
        check("x-tenant", &[("x-tenant", "a")], &[("x-tenant", "a"), ("x-tenant", "b")], false);
        check("accept-encoding, Cookie", &[("cookie", "a=1")], &[("cookie", "a=2")], false);
        check("accept-encoding, Cookie", &[("cookie", "a=1")], &[("cookie", "a=1"), ("x", "1")], true);
    }

    #[test]
    fn what_no_look_up_can_see_matches_nothing() {
        for vary in ["*", "accept, *", "a b", "X-Forwarded-For", "hostel-subject", "traceparent"] {
            assert_eq!(Selection::new(&headers(&[("vary", vary)]), &[], &HeaderMap::new()), None, "{vary}");
        }
        let mut two = headers(&[("vary", "accept")]);
        two.append("vary", "*".parse().unwrap());
        assert_eq!(Selection::new(&two, &[], &HeaderMap::new()), None);
    }

    #[test]
    fn the_operators_headers_count_beside_vary() {
        let tenant = HeaderName::from_static("x-tenant");
        let selection = Selection::new(&HeaderMap::new(), &[tenant], &headers(&[("x-tenant", "a")])).unwrap();
        assert!(selection.matches(&headers(&[("x-tenant", "a")])));
        assert!(!selection.matches(&headers(&[("x-tenant", "b")])));
        assert!(!selection.matches(&HeaderMap::new()));
    }
}
