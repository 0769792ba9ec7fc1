//! Whether a request meets the conditions of a route on header and query.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::percent_decode_str;

use crate::config::Conditions;

/// What conditions are held against.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'r> {
    /// The header.
    pub headers: &'r HeaderMap,
    /// The query as sent.
    pub query: Option<&'r str>,
    /// Whether they are those of a preflight, which only names the header of the request that it asks about.
    pub is_promise: bool,
}

impl<'r> Facts<'r> {
    /// Those of a request.
    pub fn of(head: &'r Parts) -> Self {
        Self { headers: &head.headers, query: head.uri.query(), is_promise: false }
    }

    /// Those of the request that a preflight asks about, as far as it tells them.
    pub fn promised(head: &'r Parts) -> Self {
        Self { is_promise: true, ..Self::of(head) }
    }

    /// Whether the conditions are met. An exact value must be the only one of its name: of several, one program
    /// reads the first and another the last.
    pub fn meet(&self, conditions: &Conditions) -> bool {
        let of_headers = conditions.headers.iter();
        let mut of_query = conditions.query.iter();
        of_headers.into_iter().all(|(name, wanted)| {
            let values = self.headers.get_all(name).iter().map(HeaderValue::as_bytes);
            self.promises(name) || is_met(values, wanted.as_ref().map(HeaderValue::as_bytes))
        }) && of_query.all(|(name, wanted)| {
            let values = parameters(self.query).filter(|(known, _)| known == name).map(|(_, value)| value);
            is_met(values, wanted.clone())
        })
    }
}

impl Facts<'_> {
    /// Whether a preflight says that the request will have this header; its value is then seen with the request.
    fn promises(&self, name: &HeaderName) -> bool {
        let lines = self.headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let mut names = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
        self.is_promise && names.any(|asked| asked.trim().eq_ignore_ascii_case(name.as_str()))
    }
}

fn is_met<V: PartialEq>(mut values: impl Iterator<Item = V>, wanted: Option<V>) -> bool {
    match (values.next(), wanted) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(value), Some(wanted)) => value == wanted && values.next().is_none(),
    }
}

/// The parameters of a query, decoded as those of a form (WHATWG URL, 5.1).
fn parameters(query: Option<&str>) -> impl Iterator<Item = (String, String)> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_met_by_exactly_one_value_or_any() {
        let check = |condition: (&str, &str), headers: &[&str], query: &str, expected: bool| {
            let (name, value) = condition;
            let exact = (value != "*").then_some(value);
            let conditions = match name.strip_prefix('?') {
                Some(name) => Conditions {
                    query: vec![(name.into(), exact.map(String::from))],
                    ..Conditions::default()
                },
                None => Conditions {
                    headers: vec![(
                        name.parse::<HeaderName>().unwrap(),
                        exact.map(|text| text.parse().unwrap()),
                    )],
                    ..Conditions::default()
                },
            };
            let mut fields = HeaderMap::new();
            for field in headers {
                let (name, value) = field.split_once('=').unwrap();
                fields.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
            let facts = Facts { headers: &fields, query: Some(query), is_promise: false };
            assert_eq!(facts.meet(&conditions), expected, "{condition:?} {headers:?} {query}");
        };
        check(("x-version", "2"), &["X-Version=2"], "", true);
        check(("x-version", "2"), &["x-version=22"], "", false);
        check(("x-version", "2"), &[], "", false);
        check(("x-version", "2"), &["x-version=2", "x-version=1"], "", false);
        check(("x-version", "2"), &["x-version=1, 2"], "", false);
        check(("x-version", "*"), &["x-version=1", "x-version=2"], "", true);
        check(("x-version", "*"), &["x-other=1"], "", false);
        check(("?beta", "1"), &[], "a=2&beta=1", true);
        check(("?beta", "1"), &[], "%62eta=%31", true);
        check(("?beta", "a b"), &[], "beta=a+b", true);
        check(("?beta", "1"), &[], "beta=1&beta=2", false);
        check(("?beta", "1"), &[], "Beta=1", false);
        check(("?beta", "1"), &[], "beta=", false);
        check(("?beta", "*"), &[], "beta", true);
        check(("?beta", "*"), &[], "", false);
        check(("?beta", ""), &[], "&&beta&", true);
    }

    #[test]
    fn a_preflight_meets_conditions_by_the_names_that_it_asks_about() {
        let check = |asked: &'static str, is_promise: bool, expected: bool| {
            let headers = HeaderMap::from_iter([(
                header::ACCESS_CONTROL_REQUEST_HEADERS,
                HeaderValue::from_static(asked),
            )]);
            let version = (HeaderName::from_static("x-version"), Some(HeaderValue::from_static("2")));
            let conditions = Conditions { headers: vec![version], ..Conditions::default() };
            let facts = Facts { headers: &headers, query: None, is_promise };
            assert_eq!(facts.meet(&conditions), expected, "{asked}");
        };
        check("content-type, X-Version", true, true);
        check("x-version", false, false);
        check("x-version-2", true, false);
        check("", true, false);
    }
}
