//! Header fields in their order; names compare without case.

use crate::bindings::imports::wasi::http::types::{Fields, HeaderError};

/// The header fields of a request or a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first value under this name, if it is text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value under this name that is text.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
            .filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a field of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    /// Sets the field to this one value.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(given, _)| !given.eq_ignore_ascii_case(name));
        self.append(name, value.as_bytes());
    }

    /// Adds a value and keeps those that are there.
    pub fn append(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    pub(crate) fn from_fields(fields: &Fields) -> Self {
        Self(fields.entries())
    }

    pub(crate) fn to_fields(&self) -> Result<Fields, HeaderError> {
        Fields::from_list(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case() {
        let mut headers = Headers::new();
        headers.append("Accept", b"a");
        headers.append("accept", b"b");
        assert_eq!(headers.all("ACCEPT").collect::<Vec<_>>(), ["a", "b"]);
        headers.set("aCCept", "c");
        assert_eq!(headers.all("accept").collect::<Vec<_>>(), ["c"]);
    }
}
