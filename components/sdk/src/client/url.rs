//! URLs of calls.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Error;

/// What RFC 3986 calls unreserved stays, everything else is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The parts of a URL that `wasi:http` wants one by one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) scheme: Scheme,
    pub(super) authority: &'a str,
    pub(super) target: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// Text from elsewhere as one segment of a path, or one value of a query: `a/b` becomes `a%2Fb`.
pub fn segment(text: &str) -> String {
    match text {
        // Dots alone would be a step in the tree.
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => utf8_percent_encode(text, ENCODED).to_string(),
    }
}

impl<'a> Url<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Error> {
        let malformed = || Error::Url(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(malformed)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(malformed()),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.is_empty() || authority.contains('@') {
            return Err(malformed());
        }
        let target = target.split('#').next().unwrap_or_default();
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { scheme, authority, target: format!("{slash}{target}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = Url::parse(text).ok();
            let found = found.as_ref().map(|url| (url.authority, url.target.as_str()));
            assert_eq!(found, expected, "{text}");
        };
        check("http://stock.internal/a?b=c#d", Some(("stock.internal", "/a?b=c")));
        check("https://example.com:8443", Some(("example.com:8443", "/")));
        check("http://example.com?a", Some(("example.com", "/?a")));
        check("ftp://example.com", None);
        check("http:///a", None);
        check("http://me@example.com", None);
        check("/a", None);
    }

    #[test]
    fn a_segment_stays_one_segment() {
        assert_eq!(segment("a/b?c#d e"), "a%2Fb%3Fc%23d%20e");
        assert_eq!(segment("0192-ab_c.~"), "0192-ab_c.~");
        assert_eq!(segment(".."), "%2E%2E");
    }
}
