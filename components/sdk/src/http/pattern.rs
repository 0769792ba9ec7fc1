//! Path patterns: `{name}` is one segment, `{*name}` at the end is the rest, which may be empty.

use percent_encoding::percent_decode_str;

/// A pattern of paths, `/api/orders/{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Exact(String),
    One(String),
    Rest(String),
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        let part = |segment: &str| match segment.strip_prefix('{').and_then(|open| open.strip_suffix('}')) {
            Some(name) => match name.strip_prefix('*') {
                Some(rest) => Part::Rest(rest.to_owned()),
                None => Part::One(name.to_owned()),
            },
            None => Part::Exact(segment.to_owned()),
        };
        Self(segments(text).map(part).collect())
    }

    /// The names and their decoded values, when the path is one of these.
    pub(crate) fn matches(&self, path: &str) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        let mut given = segments(path);
        for part in &self.0 {
            match part {
                Part::Exact(text) => {
                    if decode(given.next()?)? != *text {
                        return None;
                    }
                }
                Part::One(name) => {
                    let value = decode(given.next()?)?;
                    if value.is_empty() {
                        return None;
                    }
                    found.push((name.clone(), value));
                }
                Part::Rest(name) => {
                    let rest: Option<Vec<String>> = given.by_ref().map(decode).collect();
                    found.push((name.clone(), rest?.join("/")));
                }
            }
        }
        given.next().is_none().then_some(found)
    }

    /// Sorts the most specific pattern first: segment by segment an exact one before `{name}` before
    /// the rest.
    pub(crate) fn rank(&self) -> Vec<u8> {
        let rank = |part: &Part| match part {
            Part::Exact(_) => 0,
            Part::One(_) => 1,
            Part::Rest(_) => 2,
        };
        self.0.iter().map(rank).collect()
    }
}

/// The segments of a path; one slash at its end makes no difference.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').filter(move |_| !path.is_empty())
}

fn decode(segment: &str) -> Option<String> {
    Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_by_segment() {
        let check = |pattern: &str, path: &str, expected: Option<&[(&str, &str)]>| {
            let found = Pattern::new(pattern).matches(path);
            let expected = expected.map(|pairs| {
                pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{pattern} {path}");
        };
        check("/", "/", Some(&[]));
        check("/", "/a", None);
        check("/a/b", "/a/b", Some(&[]));
        check("/a/b", "/a/b/", Some(&[]));
        check("/a/b", "/a", None);
        check("/a/{id}", "/a/7", Some(&[("id", "7")]));
        check("/a/{id}", "/a/x%2Fy%20z", Some(&[("id", "x/y z")]));
        check("/a/{id}", "/a/", None);
        check("/a/{id}", "/a//", None);
        check("/a/{id}", "/a/7/8", None);
        check("/a/{id}", "/a/%ff", None);
        check("/a/{id}/b", "/a/7/b", Some(&[("id", "7")]));
        check("/a/{*rest}", "/a", Some(&[("rest", "")]));
        check("/a/{*rest}", "/a/b/c", Some(&[("rest", "b/c")]));
    }
}
