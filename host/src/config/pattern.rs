//! Path patterns of routes: `{name}` is one segment, `{*rest}` the rest, which may be empty.

use std::collections::BTreeSet;

/// The longest path pattern.
pub const PATTERN_BYTES_MAX: usize = 1_024;

/// What one segment of a pattern matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment<'p> {
    Literal(&'p str),
    One(&'p str),
    Rest(&'p str),
}

/// Whether the pattern is one; an error says what would be right.
pub fn check(pattern: &str) -> Result<(), String> {
    let Some(segments) = pattern.strip_prefix('/') else {
        return Err(format!("begin the path with `/`: \"/{pattern}\""));
    };
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("write a path of at most {PATTERN_BYTES_MAX} bytes"));
    }
    let segments: Vec<&str> = segments.split('/').collect();
    let mut names = BTreeSet::new();
    for (index, text) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        let name = match read(text)? {
            Segment::Literal(literal) => {
                check_literal(literal, is_last)?;
                continue;
            }
            Segment::Rest(_) if !is_last => {
                return Err(format!("let `{text}` stand at the end: nothing can follow the rest of a path"));
            }
            Segment::One(name) | Segment::Rest(name) => name,
        };
        if !names.insert(name) {
            return Err(format!("give the second `{{{name}}}` another name"));
        }
    }
    Ok(())
}

/// The pattern without the names of its parameters: equal shapes match the same paths.
pub fn shape(pattern: &str) -> String {
    let segments = pattern.split('/').map(|text| match read(text) {
        Ok(Segment::One(_)) => "{}",
        Ok(Segment::Rest(_)) => "{*}",
        Ok(Segment::Literal(_)) | Err(_) => text,
    });
    segments.collect::<Vec<&str>>().join("/")
}

/// Whether it ends in `{*rest}` and has no other parameter, as the paths of files do.
pub fn is_folder(pattern: &str) -> bool {
    let shape = shape(pattern);
    shape.ends_with("/{*}") && !shape.contains("{}")
}

fn read(segment: &str) -> Result<Segment<'_>, String> {
    if !segment.contains(['{', '}']) {
        return Ok(Segment::Literal(segment));
    }
    let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let Some(inner) = inner.filter(|inner| !inner.contains(['{', '}'])) else {
        return Err(format!(
            "write `{segment}` as one parameter or as plain text: a parameter such as `{{id}}` is a whole segment"
        ));
    };
    let name = inner.strip_prefix('*').unwrap_or(inner);
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if !is_name {
        return Err(format!(
            "name the parameter `{segment}` with letters, digits, `-` and `_`, as in `{{id}}`"
        ));
    }
    Ok(if inner.starts_with('*') { Segment::Rest(name) } else { Segment::One(name) })
}

/// The gateway compares the normal form of a path (RFC 3986, 6.2.2), so a pattern is in it too.
fn check_literal(literal: &str, is_last: bool) -> Result<(), String> {
    if literal.is_empty() && !is_last {
        return Err("take out the empty segment `//`".into());
    }
    if literal == "." || literal == ".." {
        return Err(format!("take out the segment `{literal}`"));
    }
    if literal.contains(';') {
        return Err(format!(
            "take the `;` out of `{literal}`: some programs cut segments there, so that no request with one is let through"
        ));
    }
    if literal.chars().any(|char| char.is_whitespace() || char.is_control() || "?#%\\*".contains(char)) {
        return Err(format!(
            "write `{literal}` without blanks, `?`, `#`, `%`, `\\` and `*`; a query is no part of a path"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_whole_segments_and_the_rest_at_the_end() {
        for good in ["/", "/x", "/x/", "/x/{id}", "/{a}/{b-2}/c", "/{*rest}", "/x/{*rest}", "/a.b/~c", "/ä"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "x",
            "//",
            "/x//y",
            "/x/../y",
            "/.",
            "/x{id}",
            "/{a}{b}",
            "/{}",
            "/{*}",
            "/{*rest}/x",
            "/{a b}",
            "/{a}/{a}",
            "/{a}/{*a}",
            "/x?y",
            "/x#y",
            "/%61",
            "/a b",
            "/*",
            "/{",
            "/}",
            "/{{x}}",
            "/a\\b",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shapes_forget_the_names() {
        assert_eq!(shape("/a/{id}/{*rest}"), shape("/a/{key}/{*path}"));
        assert_ne!(shape("/a/{id}"), shape("/a/{*id}"));
        assert_ne!(shape("/a"), shape("/a/"));
    }
}
