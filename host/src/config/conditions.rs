//! Conditions on the header and the query, by which routes of one path differ.

use http::{HeaderName, HeaderValue};

use super::file::{self, Text};
use super::header_rules;
use super::key::Key;
use super::report::Report;

/// What stands for any value.
const ANY: &str = "*";

/// What a request must have beside host, path and method; empty for most routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Header fields with their values; none: any value.
    pub headers: Vec<(HeaderName, Option<HeaderValue>)>,
    /// Parameters of the query with their values, decoded; none: any value.
    pub query: Vec<(String, Option<String>)>,
}

impl Conditions {
    /// Whether every request meets them.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty()
    }

    /// The more of them the more specific; among as many those with more exact values.
    pub fn weight(&self) -> (usize, usize) {
        let exact = self.headers.iter().filter(|(_, value)| value.is_some()).count()
            + self.query.iter().filter(|(_, value)| value.is_some()).count();
        (self.headers.len() + self.query.len(), exact)
    }

    /// Whether a request can meet both, and neither are the more specific ones.
    pub fn is_equal_to(&self, other: &Self) -> bool {
        self.weight() == other.weight()
            && !differ(&self.headers, &other.headers)
            && !differ(&self.query, &other.query)
    }
}

/// Checks the conditions of the route under the key.
pub fn check(written: &file::Route, key: &Key, report: &mut Report<'_>) -> Conditions {
    let mut conditions = Conditions::default();
    for (name, Text(value)) in written.headers.iter().flatten() {
        if let Some((name, value)) = header(name, value, &key.field("headers").field(name), report) {
            conditions.headers.push((name, value));
        }
    }
    for (name, Text(value)) in written.query.iter().flatten() {
        if name.is_empty() {
            report.refuse(&key.field("query").field(name), "name the parameter of the query");
        }
        conditions.query.push((name.clone(), (value != ANY).then(|| value.clone())));
    }
    conditions
}

fn header(
    name: &str,
    value: &str,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<(HeaderName, Option<HeaderValue>)> {
    let parsed = match header_rules::name(name).and_then(header_rules::of_client) {
        Ok(parsed) => parsed,
        Err(remedy) => {
            report.refuse(key, remedy);
            return None;
        }
    };
    if value == ANY {
        return Some((parsed, None));
    }
    match header_rules::value(value) {
        Ok(value) => Some((parsed, Some(value))),
        Err(remedy) => {
            report.refuse(key, remedy);
            None
        }
    }
}

/// Whether one name has two exact values, so that no request meets both.
fn differ<N: PartialEq, V: PartialEq>(one: &[(N, Option<V>)], other: &[(N, Option<V>)]) -> bool {
    one.iter().any(|(name, value)| {
        let mut same = other.iter().filter(|(other, _)| other == name);
        same.any(|(_, other)| value.is_some() && other.is_some() && value != other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(headers: &[(&'static str, &str)], query: &[(&str, &str)]) -> Conditions {
        let exact = |value: &str| (value != ANY).then(|| value.to_owned());
        Conditions {
            headers: headers
                .iter()
                .map(|(name, value)| {
                    (HeaderName::from_static(name), exact(value).map(|value| value.parse().unwrap()))
                })
                .collect(),
            query: query.iter().map(|(name, value)| ((*name).to_owned(), exact(value))).collect(),
        }
    }

    #[test]
    fn conditions_are_equal_when_one_request_meets_both_and_neither_are_more_specific() {
        let version = |value| conditions(&[("x-version", value)], &[]);
        for (one, other, equal) in [
            (Conditions::default(), Conditions::default(), true),
            (Conditions::default(), version("1"), false),
            (version("1"), version("1"), true),
            (version("1"), version("2"), false),
            (version("1"), version("*"), false),
            (version("1"), conditions(&[("x-other", "1")], &[]), true),
            (version("1"), conditions(&[], &[("version", "1")]), true),
            (version("1"), conditions(&[("x-version", "1")], &[("beta", "*")]), false),
            (
                conditions(&[("x-version", "1")], &[("a", "1")]),
                conditions(&[("x-version", "2")], &[("b", "1")]),
                false,
            ),
        ] {
            assert_eq!(one.is_equal_to(&other), equal, "{one:?} {other:?}");
            assert_eq!(other.is_equal_to(&one), equal, "{other:?} {one:?}");
        }
    }
}
