//! A path with parameters of the route's path in it, filled from the path of a request.

use super::pattern;

/// A path with parameters in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The segment of the request's path, counted from 0.
    Segment(usize),
    /// Everything from this segment on.
    Rest(usize),
}

impl Template {
    /// Reads a path that may name the parameters of this pattern; an error says what would be right.
    pub fn parse(text: &str, pattern: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("begin the path with `/`: \"/{text}\""));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(start);
            let inner = after.strip_prefix('{').and_then(|after| after.split_once('}'));
            let Some((name, after)) = inner else {
                return Err(format!("write each parameter as `{{name}}` in {text:?}"));
            };
            check_text(before)?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(parameter(name, pattern)?);
            rest = after;
        }
        check_text(rest)?;
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        check_segments(text)?;
        Ok(Self(pieces))
    }

    /// The path with the parameters of a request's path, which matches the pattern and is in normal form.
    pub fn fill(&self, path: &str) -> String {
        let below = path.strip_prefix('/').unwrap_or(path);
        let mut filled = String::with_capacity(path.len());
        for piece in &self.0 {
            filled.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Segment(index) => below.split('/').nth(*index).unwrap_or_default(),
                Piece::Rest(index) => below.splitn(index + 1, '/').nth(*index).unwrap_or_default(),
            });
        }
        filled
    }
}

/// `{rest}` and `{*rest}` name the same parameter.
fn parameter(written: &str, pattern: &str) -> Result<Piece, String> {
    let wanted = written.strip_prefix('*').unwrap_or(written);
    for (index, segment) in pattern.split('/').skip(1).enumerate() {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match name {
            Some(name) if name.strip_prefix('*') == Some(wanted) => return Ok(Piece::Rest(index)),
            Some(name) if name == wanted => return Ok(Piece::Segment(index)),
            _ => {}
        }
    }
    Err(format!("name a parameter of the route's path {pattern:?}: `{{{written}}}` is none"))
}

fn check_text(text: &str) -> Result<(), String> {
    if text.chars().any(|char| char.is_whitespace() || char.is_control() || "?#%\\*".contains(char)) {
        return Err(format!("write `{text}` without blanks, `?`, `#`, `%`, `\\` and `*`"));
    }
    Ok(())
}

/// Every segment but an empty last one says something, and none of them goes up.
fn check_segments(text: &str) -> Result<(), String> {
    let segments: Vec<&str> = text.split('/').skip(1).collect();
    let last = segments.len() - 1;
    match segments
        .iter()
        .enumerate()
        // What follows a `;` is cut by some programs (see the gateway's normal form of paths).
        .map(|(index, text)| (index, text.split(';').next().unwrap_or_default()))
        .find(|(index, text)| (text.is_empty() && *index != last) || *text == "." || *text == "..")
    {
        Some((_, segment)) => Err(format!("take out the segment `{segment}` of {text:?}")),
        None => Ok(()),
    }
}

/// Whether the pattern begins with these literal segments; how many they are. An error says what would be right.
pub fn prefix_segments(prefix: &str, pattern: &str) -> Result<usize, String> {
    check_prefix(prefix)?;
    let mut of_pattern = pattern.split('/').skip(1);
    let mut segments = 0;
    for segment in prefix.split('/').skip(1) {
        if of_pattern.next() != Some(segment) {
            return Err(format!("write what the route's path {pattern:?} begins with, in whole segments"));
        }
        segments += 1;
    }
    Ok(segments)
}

/// Whether the text can stand before a path: literal segments, without a slash at the end.
pub fn check_prefix(prefix: &str) -> Result<(), String> {
    pattern::check(prefix)?;
    if prefix.contains('{') || prefix.ends_with('/') {
        return Err(format!(
            "write a prefix such as \"/api\", without parameters and a slash at its end, not {prefix:?}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_filled_from_the_path() {
        let check = |text: &str, pattern: &str, path: &str, expected: &str| {
            assert_eq!(
                Template::parse(text, pattern).unwrap().fill(path),
                expected,
                "{text} {pattern} {path}"
            );
        };
        check("/", "/old", "/old", "/");
        check("/new/{id}", "/old/{id}", "/old/7", "/new/7");
        check("/{b}/{a}", "/x/{a}/{b}", "/x/1/2", "/2/1");
        check("/v-{id}.html", "/x/{id}", "/x/7", "/v-7.html");
        check("/new/{*rest}", "/old/{*rest}", "/old/a/b/", "/new/a/b/");
        check("/new/{rest}", "/old/{*rest}", "/old", "/new/");
        check("/new{rest}", "/old/{*rest}", "/old/", "/new");
        check("/{rest}/{id}", "/old/{id}/{*rest}", "/old/7/a/b", "/a/b/7");
        check("/{rest}", "/{*rest}", "//x", "//x");
    }

    #[test]
    fn what_is_no_template_of_the_pattern_is_refused() {
        for bad in [
            "", "x", "/{", "/}", "/{id", "/{}", "/{other}", "/a b", "/a?b", "/a#b", "/%61", "/a//b", "/../x",
            "/.",
        ] {
            assert!(Template::parse(bad, "/old/{id}").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_is_what_the_pattern_begins_with() {
        assert_eq!(prefix_segments("/api", "/api/{*rest}"), Ok(1));
        assert_eq!(prefix_segments("/api/v1", "/api/v1/x"), Ok(2));
        assert_eq!(prefix_segments("/api", "/api"), Ok(1));
        for (prefix, pattern) in [
            ("/ap", "/api/x"),
            ("/api/", "/api/x"),
            ("/", "/x"),
            ("", "/x"),
            ("/{id}", "/{id}"),
            ("/api/x", "/api"),
        ] {
            assert!(prefix_segments(prefix, pattern).is_err(), "{prefix} {pattern}");
        }
    }
}
