//! The path that a service sees, where a route changes it.

use http::Uri;
use http::uri::PathAndQuery;

use crate::config::Rewrite;
use crate::gateway::reply::Refusal;
use crate::gateway::routing::path;

/// A path that was changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The target for the service: the new path, and the query as sent.
    pub target: Uri,
    /// What was taken away at the begin of the path.
    pub stripped: Option<String>,
}

/// Changes a target. The change is made on the normal form of the path, on which the route was found, and makes one
/// again: no change turns a sound path into one that programs read differently.
///
/// # Errors
///
/// When the new path has no normal form.
pub fn apply(rewrite: &Rewrite, target: &Uri) -> Result<Rewritten, Refusal> {
    let normal = path::normal_form(target.path()).map_err(Refusal::Path)?;
    let mut stripped = None;
    let changed = match rewrite {
        Rewrite::Strip { segments } => {
            let (prefix, rest) = split_at(&normal, *segments);
            stripped = Some(prefix.to_owned());
            if rest.is_empty() { "/".to_owned() } else { rest.to_owned() }
        }
        Rewrite::Add { prefix } => format!("{prefix}{normal}"),
        Rewrite::Replace { segments, prefix } => format!("{prefix}{}", split_at(&normal, *segments).1),
        Rewrite::Path(template) => template.fill(&normal),
    };
    let changed = path::normal_form(&changed).map_err(|_| Refusal::AmbiguousPath)?;
    Ok(Rewritten { target: with_path(&changed, target.query())?, stripped })
}

/// The path before and behind its first segments.
fn split_at(path: &str, segments: usize) -> (&str, &str) {
    let end = path.match_indices('/').nth(segments).map_or(path.len(), |(slash, _)| slash);
    path.split_at(end)
}

fn with_path(path: &str, query: Option<&str>) -> Result<Uri, Refusal> {
    let target = match query {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    // A path in normal form and a query that came with a request make a target, unless they are too long for one.
    target.map(Uri::from).map_err(|_| Refusal::TargetTooLong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Template;

    fn check(rewrite: &Rewrite, sent: &'static str, expected: &str) {
        let rewritten = apply(rewrite, &Uri::from_static(sent));
        let seen = rewritten.map_or_else(|refusal| refusal.name().to_owned(), |new| new.target.to_string());
        assert_eq!(seen, expected, "{rewrite:?} {sent}");
    }

    #[test]
    fn prefixes_are_stripped_added_and_replaced() {
        let strip = Rewrite::Strip { segments: 1 };
        check(&strip, "/api/orders/7?a=1", "/orders/7?a=1");
        check(&strip, "/%61pi/orders", "/orders");
        check(&strip, "/api/", "/");
        check(&strip, "/api", "/");
        check(&strip, "/api?a=%2e%2e/", "/?a=%2e%2e/");
        check(&strip, "/api/a%20b/", "/a%20b/");
        check(&Rewrite::Strip { segments: 2 }, "/api/v1/x", "/x");
        let add = Rewrite::Add { prefix: "/v1".into() };
        check(&add, "/orders", "/v1/orders");
        check(&add, "/", "/v1/");
        let replace = Rewrite::Replace { segments: 1, prefix: "/v1/ä".into() };
        check(&replace, "/api/x/", "/v1/%C3%A4/x/");
        check(&replace, "/api", "/v1/%C3%A4");
        let path = Rewrite::Path(Template::parse("/x/{id}", "/orders/{id}").unwrap());
        check(&path, "/orders/7?a", "/x/7?a");
    }

    #[test]
    fn no_change_makes_an_ambiguous_path() {
        let strip = Rewrite::Strip { segments: 1 };
        for sent in ["/api//x", "/api//", "/api//evil.example"] {
            check(&strip, sent, "ambiguous-path");
        }
        let rest = Rewrite::Path(Template::parse("/{rest}", "/x/{*rest}").unwrap());
        check(&rest, "/x//y", "ambiguous-path");
        let dots = Rewrite::Path(Template::parse("/.{a}/{b}", "/{a}/{b}").unwrap());
        check(&dots, "/.;/x", "ambiguous-path");
        check(&dots, "/;/x", "ambiguous-path");
        check(&dots, "/a/x", "/.a/x");
    }

    #[test]
    fn what_was_stripped_is_told() {
        let stripped = |rewrite: &Rewrite| apply(rewrite, &Uri::from_static("/%61pi/x")).unwrap().stripped;
        assert_eq!(stripped(&Rewrite::Strip { segments: 1 }).as_deref(), Some("/api"));
        assert_eq!(stripped(&Rewrite::Add { prefix: "/v1".into() }), None);
    }
}
