//! Sends clients elsewhere, with the parameters of the path and the query that they asked.

use http::{HeaderValue, Uri, header};

use super::reply::Refusal;
use super::routing::path;
use crate::body::{self, Response};
use crate::config::RedirectConfig;

/// The answer that sends a client on.
///
/// # Errors
///
/// When the path that it would be sent to has no normal form: `//host` would leave for another host.
pub fn answer(redirect: &RedirectConfig, target: &Uri) -> Result<Response, Refusal> {
    let location = HeaderValue::try_from(location(redirect, target)?).map_err(|_| Refusal::AmbiguousPath)?;
    let mut response = Response::new(body::empty());
    *response.status_mut() = redirect.status;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

fn location(redirect: &RedirectConfig, target: &Uri) -> Result<String, Refusal> {
    let normal = path::normal_form(target.path()).map_err(Refusal::Path)?;
    let filled = redirect.path.fill(&normal);
    let path = path::normal_form(&filled).map_err(|_| Refusal::AmbiguousPath)?;
    let mut location = redirect.origin.clone().unwrap_or_default();
    location.push_str(&path);
    let queries = redirect.query.as_deref().into_iter().chain(target.query());
    for (mark, query) in ['?', '&'].into_iter().zip(queries) {
        location.push(mark);
        location.push_str(query);
    }
    Ok(location)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::config::Template;

    #[test]
    fn parameters_and_query_go_along() {
        let check = |origin: &str, path: &str, query: &str, sent: &'static str, expected: &str| {
            let redirect = RedirectConfig {
                origin: (!origin.is_empty()).then(|| origin.to_owned()),
                path: Template::parse(path, "/old/{id}/{*rest}").unwrap(),
                query: (!query.is_empty()).then(|| query.to_owned()),
                status: StatusCode::PERMANENT_REDIRECT,
                shown: String::new(),
            };
            let seen = location(&redirect, &Uri::from_static(sent));
            let seen = seen.unwrap_or_else(|refusal| refusal.name().to_owned());
            assert_eq!(seen, expected, "{origin} {path} {query} {sent}");
        };
        check("https://new.example", "/{rest}", "", "/old/7/a/b?x=1&y", "https://new.example/a/b?x=1&y");
        check("https://new.example", "/{id}", "", "/old/7/a", "https://new.example/7");
        check("", "/new/{id}/", "from=old", "/old/7/?x=1", "/new/7/?from=old&x=1");
        check("", "/new", "from=old", "/old/7/", "/new?from=old");
        check("", "/{id}", "", "/old/%C3%A4%20/x", "/%C3%A4%20");
        check("", "/{rest}", "", "/old/7", "/");
        // What begins with two slashes names another host.
        check("", "/{rest}", "", "/old/7//evil.example", "ambiguous-path");
        check("", "/{rest}", "", "/old/7/..", "ambiguous-path");
    }
}
