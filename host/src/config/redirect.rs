//! Where clients are sent that ask for what has moved.

use http::StatusCode;

use super::key::Key;
use super::origin::Origin;
use super::report::Report;
use super::route_file;
use super::template::Template;

/// The method and the body go along, and the answer may be remembered.
const STATUS: u64 = 308;

/// Where clients are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectConfig {
    /// Scheme, host and port; none: those that the client asked.
    pub origin: Option<String>,
    /// The path.
    pub path: Template,
    /// The query, before that of the request.
    pub query: Option<String>,
    /// The status.
    pub status: StatusCode,
    /// As it is written.
    pub shown: String,
}

/// Checks the redirect of a route with this pattern.
pub fn check(
    written: &route_file::Redirect,
    pattern: &str,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<RedirectConfig> {
    let status = status(written.status.unwrap_or(STATUS), &key.field("status"), report);
    let to = written.to.as_deref()?;
    let (origin, path, query) =
        address(to, pattern).map_err(|remedy| report.refuse(&key.field("to"), remedy)).ok()?;
    Some(RedirectConfig { origin, path, query, status: status?, shown: to.to_owned() })
}

fn status(written: u64, key: &Key, report: &mut Report<'_>) -> Option<StatusCode> {
    let status = u16::try_from(written).ok().filter(|status| [301, 302, 303, 307, 308].contains(status));
    if status.is_none() {
        report.refuse(key, "write 301, 302, 303, 307 or 308 (308 when absent)");
    }
    StatusCode::from_u16(status?).ok()
}

/// Origin, path and query. Parameters stand in the path only: what a client sends never names the host.
fn address(to: &str, pattern: &str) -> Result<(Option<String>, Template, Option<String>), String> {
    let (address, query) = match to.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (to, None),
    };
    if let Some(query) = query
        && !query.bytes().all(|byte| byte.is_ascii_graphic() && !b"#{}\"<>\\".contains(&byte))
    {
        return Err("write the query without blanks and parameters; that of the request goes along".into());
    }
    let query = query.map(str::to_owned);
    if address.starts_with('/') {
        return Ok((None, Template::parse(address, pattern)?, query));
    }
    let begin = address.find("://").map(|colon| colon + 3);
    let begin = begin.ok_or("write a path, or an address such as \"https://new.example.com/{rest}\"")?;
    let end = address[begin..].find('/').map_or(address.len(), |slash| begin + slash);
    let (origin, path) = address.split_at(end);
    let origin = Origin::parse(origin)?;
    if origin.is_pattern() {
        return Err("write one host; clients cannot be sent to a pattern".into());
    }
    let path = if path.is_empty() { "/" } else { path };
    Ok((Some(origin.to_string()), Template::parse(path, pattern)?, query))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_parameters_in_the_path() {
        let read = |to: &str| address(to, "/old/{id}/{*rest}").map(|(origin, _, query)| (origin, query));
        let origin = |text: &str| Some(text.to_owned());
        assert_eq!(read("/new/{id}"), Ok((None, None)));
        assert_eq!(read("https://new.example.com"), Ok((origin("https://new.example.com"), None)));
        assert_eq!(read("http://a:8080/{rest}?x=1"), Ok((origin("http://a:8080"), origin("x=1"))));
        for bad in [
            "",
            "new",
            "//evil",
            "https://{id}/",
            "https://a.{id}.b/",
            "ftp://a/",
            "https://*.a/",
            "/a?{id}",
            "/a#b",
            "/{x}",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
