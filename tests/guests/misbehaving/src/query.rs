//! The parameters of a request.

use std::str::FromStr;

/// The parameters of a request.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// From the text behind the question mark.
    pub fn new(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// Each value of `name`.
    pub fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// The first value of `name`, or nothing.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The first value of `name` as a number.
    pub fn number<T: FromStr>(&self, name: &str, absent: T) -> T {
        self.text(name).parse().unwrap_or(absent)
    }
}
