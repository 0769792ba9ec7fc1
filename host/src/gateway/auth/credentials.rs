//! What a request shows of its caller: a token or an API key in its header.

use http::{HeaderMap, HeaderName, header};

use super::api_keys::KEY_PREFIX;
use super::denial::Denial;
use crate::config::Ways;

/// The header of API keys, for clients that cannot set Authorization.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential<'h> {
    /// What should be a token.
    Token(&'h str),
    /// What should be an API key.
    Key(&'h str),
}

/// What the header shows in the ways that count; none when it shows nothing.
///
/// # Errors
///
/// When it shows several things, since nobody could say whose request it is.
pub fn shown(headers: &HeaderMap, ways: Ways) -> Result<Option<Credential<'_>>, Denial> {
    let bearer = single(headers, &header::AUTHORIZATION)?.and_then(bearer);
    let bearer = bearer.and_then(|text| match text.starts_with(KEY_PREFIX) {
        true if ways.key => Some(Credential::Key(text)),
        _ if ways.token => Some(Credential::Token(text)),
        _ => None,
    });
    let key = if ways.key { single(headers, &API_KEY)?.map(Credential::Key) } else { None };
    match (bearer, key) {
        (Some(_), Some(_)) => Err(Denial::Several),
        (bearer, key) => Ok(bearer.or(key)),
    }
}

/// Takes out everything that could show it.
pub fn remove(headers: &mut HeaderMap) {
    headers.remove(header::AUTHORIZATION);
    headers.remove(API_KEY);
}

/// Takes out what could show an API key.
pub fn remove_keys(headers: &mut HeaderMap) {
    headers.remove(API_KEY);
    let shown = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    if shown.filter_map(bearer).any(|text| text.starts_with(KEY_PREFIX)) {
        headers.remove(header::AUTHORIZATION);
    }
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Denial> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    if values.next().is_some() { Err(Denial::Several) } else { Ok(value) }
}

/// What follows the scheme `Bearer`, whose case does not count (RFC 9110, 11.1).
fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_counts_is_taken_and_only_once() {
        let all = Ways::default();
        let only = |token, key| Ways { token, key, certificate: true, session: true };
        let check = |ways: Ways, fields: &[(&'static str, &'static str)], expected| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, http::HeaderValue::from_static(value));
            }
            assert_eq!(shown(&headers, ways), expected, "{fields:?}");
        };
        check(all, &[], Ok(None));
        check(all, &[("authorization", "Bearer a.b.c")], Ok(Some(Credential::Token("a.b.c"))));
        check(all, &[("authorization", "bEARER  a.b.c")], Ok(Some(Credential::Token("a.b.c"))));
        check(all, &[("authorization", "Bearer hk_a_b")], Ok(Some(Credential::Key("hk_a_b"))));
        check(all, &[("x-api-key", "hk_a_b")], Ok(Some(Credential::Key("hk_a_b"))));
        check(all, &[("x-api-key", "a"), ("authorization", "Basic eA==")], Ok(Some(Credential::Key("a"))));
        for other in ["Basic eA==", "Bearer", "Bearera.b.c", "DPoP a.b.c", ""] {
            check(all, &[("authorization", other)], Ok(None));
        }
        check(all, &[("authorization", "Bearer a"), ("x-api-key", "b")], Err(Denial::Several));
        check(all, &[("authorization", "Bearer a"), ("authorization", "Bearer a")], Err(Denial::Several));
        check(all, &[("x-api-key", "a"), ("x-api-key", "b")], Err(Denial::Several));
        let both = [("authorization", "Bearer a.b.c"), ("x-api-key", "hk_a_b")];
        check(only(true, false), &both, Ok(Some(Credential::Token("a.b.c"))));
        check(only(false, true), &both, Ok(Some(Credential::Key("hk_a_b"))));
        check(only(false, false), &both, Ok(None));
        check(only(true, false), &[("authorization", "Bearer hk_a")], Ok(Some(Credential::Token("hk_a"))));
    }

    #[test]
    fn keys_are_taken_out_and_tokens_stay() {
        for (shown, stays) in [
            ("Bearer a.b.c", true),
            ("Basic eA==", true),
            ("Bearer hk_a_b", false),
            ("bearer  hk_a_b", false),
            ("Basic hk_a_b", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, http::HeaderValue::from_static(shown));
            headers.insert(API_KEY, http::HeaderValue::from_static("hk_a_b"));
            remove_keys(&mut headers);
            assert_eq!(headers.contains_key(header::AUTHORIZATION), stays, "{shown}");
            assert!(!headers.contains_key(API_KEY), "{shown}");
        }
    }
}
