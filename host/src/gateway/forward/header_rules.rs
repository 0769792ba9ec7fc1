//! Fields that a route sets, adds and removes in a header.

use http::HeaderMap;

use crate::config::HeaderRules;

/// Changes a header by the rules of a route, when it has any.
pub fn apply(rules: Option<&HeaderRules>, headers: &mut HeaderMap) {
    let Some(rules) = rules else { return };
    for name in &rules.remove {
        headers.remove(name);
    }
    for (name, value) in &rules.set {
        headers.insert(name, value.clone());
    }
    for (name, value) in &rules.add {
        headers.append(name, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let field = |name: &'static str, value: &'static str| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in
            [field("a", "1"), field("a", "2"), field("b", "1"), field("c", "1"), field("d", "1")]
        {
            headers.append(name, value);
        }
        let rules = HeaderRules {
            remove: vec![HeaderName::from_static("a"), HeaderName::from_static("d")],
            set: vec![field("b", "set"), field("d", "set"), field("e", "set")],
            add: vec![field("c", "added"), field("e", "added")],
        };
        apply(Some(&rules), &mut headers);
        let seen = |name: &str| {
            headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(seen("a"), [""; 0]);
        assert_eq!(seen("b"), ["set"]);
        assert_eq!(seen("c"), ["1", "added"]);
        assert_eq!(seen("d"), ["set"]);
        assert_eq!(seen("e"), ["set", "added"]);
    }
}
