//! What a request's head says, checked strictly for both versions of HTTP: target, host, sizes. `wire` has
//! checked before how it is written.

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri, Version, header};

use super::reply::Refusal;
use super::routing::host;

/// The longest request line, with method and version (RFC 9112, 3, asks for at least 8,000 bytes).
pub const REQUEST_LINE_BYTES_MAX: usize = 8 * 1024;

/// All header fields together: enough for large cookies and tokens, little enough to hold for each
/// connection.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Header fields of one request.
pub const HEADER_FIELDS_MAX: usize = 100;

/// Bytes that stand around each field (`: ` and the line end).
const FIELD_FRAME_BYTES: usize = 4;

/// Bytes of a request line beside method and target (two spaces and `HTTP/1.1`).
const REQUEST_LINE_FRAME_BYTES: usize = 10;

/// Digits of a Content-Length: more do not fit into 64 bits.
const LENGTH_DIGITS_MAX: usize = 19;

/// Checks the head and brings it into one form: the target is a path with its query, the host stands in
/// the Host field. HTTP/1.0 may name no host.
pub fn check(head: &mut Parts) -> Result<(), Refusal> {
    if head.version == Version::HTTP_2 {
        join_cookies(head);
    }
    check_sizes(head)?;
    check_length(head)?;
    if head.method == Method::CONNECT {
        return Err(Refusal::Malformed("CONNECT is not served here"));
    }
    if head.method == Method::TRACE {
        return Err(Refusal::NoMethod);
    }
    check_target(head)?;
    check_host(head)?;
    check_expectation(head)
}

/// The host that the request names, after [`check`].
pub fn host_of(head: &Parts) -> Option<&str> {
    head.headers.get(header::HOST).and_then(|host| host.to_str().ok())
}

/// HTTP/2 clients may send each cookie as a field of its own; everybody behind expects one (RFC 9113, 8.2.3).
fn join_cookies(head: &mut Parts) {
    let crumbs: Vec<&[u8]> = head.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        head.headers.insert(header::COOKIE, joined);
    }
}

/// One length or none (RFC 9110, 8.6): what HTTP/2 lets pass would reach services as two.
fn check_length(head: &Parts) -> Result<(), Refusal> {
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(());
    };
    let is_number =
        (1..=LENGTH_DIGITS_MAX).contains(&length.len()) && length.as_bytes().iter().all(u8::is_ascii_digit);
    if !is_number || lengths.next().is_some() {
        return Err(Refusal::Malformed("there is not one valid Content-Length"));
    }
    Ok(())
}

fn check_sizes(head: &Parts) -> Result<(), Refusal> {
    let line = head.method.as_str().len() + target_bytes(&head.uri) + REQUEST_LINE_FRAME_BYTES;
    if line > REQUEST_LINE_BYTES_MAX {
        return Err(Refusal::TargetTooLong);
    }
    let fields = head.headers.iter();
    let bytes: usize =
        fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_FRAME_BYTES).sum();
    if head.headers.len() > HEADER_FIELDS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(())
}

fn target_bytes(uri: &Uri) -> usize {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    path + authority
}

/// `*` is for OPTIONS only (RFC 9112, 3.2.4); everything else has a path.
fn check_target(head: &Parts) -> Result<(), Refusal> {
    if head.uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(Refusal::Malformed("the scheme of the target is not http"));
    }
    match head.uri.path_and_query().map(PathAndQuery::as_str) {
        Some("*") if head.method == Method::OPTIONS => Ok(()),
        Some(path) if path.starts_with('/') => Ok(()),
        _ => Err(Refusal::Malformed("the target of the request is not a path")),
    }
}

fn check_host(head: &mut Parts) -> Result<(), Refusal> {
    let mut fields = head.headers.get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(Refusal::Malformed("there is more than one Host field"));
    }
    // In HTTP/1.1 the field is due even where the target names the host (RFC 9112, 3.2).
    match head.version {
        Version::HTTP_09 | Version::HTTP_10 if field.is_none() && head.uri.authority().is_none() => {
            return Ok(());
        }
        Version::HTTP_11 if field.is_none() => return Err(Refusal::Malformed("there is no Host field")),
        _ if field.is_none() && head.uri.authority().is_none() => {
            return Err(Refusal::Malformed("there is no Host field"));
        }
        _ => {}
    }
    let malformed = Refusal::Malformed("the host is not one host with an optional port");
    let field = match field.map(HeaderValue::to_str) {
        Some(Ok(text)) if host::is_valid(text) => Some(text),
        Some(_) => return Err(malformed),
        None => None,
    };
    let Some(authority) = head.uri.authority() else {
        return Ok(());
    };
    if !host::is_valid(authority.as_str()) {
        return Err(malformed);
    }
    if field.is_some_and(|field| !host::same(field, authority.as_str())) {
        return Err(Refusal::Malformed("the Host field and the target disagree"));
    }
    if field.is_none() {
        let value = HeaderValue::from_str(authority.as_str()).map_err(|_| malformed)?;
        head.headers.insert(header::HOST, value);
    }
    // The authority has moved to the Host field, so that every later phase looks in one place.
    if let Some(path) = head.uri.path_and_query().cloned() {
        head.uri = Uri::from(path);
    }
    Ok(())
}

/// Only `100-continue` is defined (RFC 9110, 10.1.1); hyper answers it when the body is first read.
fn check_expectation(head: &Parts) -> Result<(), Refusal> {
    match head.headers.get(header::EXPECT) {
        Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Err(Refusal::UnknownExpectation)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_head(method: &str, target: &str, hosts: &[&str], version: Version) -> Result<Parts, Refusal> {
        let mut request = http::Request::builder().method(method).uri(target).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        let mut head = request.body(()).unwrap().into_parts().0;
        check(&mut head).map(|()| head)
    }

    #[test]
    fn what_the_library_lets_through_is_refused() {
        let cases: [(&str, &str, &[&str]); 13] = [
            ("GET", "/", &[]),
            ("GET", "http://a/", &[]),
            ("GET", "/", &["a", "a"]),
            ("GET", "/", &["a, b"]),
            ("GET", "/", &["u@a"]),
            ("GET", "/", &["a/x"]),
            ("GET", "/", &[""]),
            ("CONNECT", "a:443", &["a:443"]),
            ("GET", "*", &["a"]),
            ("GET", "a:80", &["a"]),
            ("GET", "http://a/", &["b"]),
            ("GET", "http://u@a/", &["a"]),
            ("GET", "ftp://a/", &["a"]),
        ];
        for (method, target, hosts) in cases {
            let refused = check_head(method, target, hosts, Version::HTTP_11);
            assert!(matches!(refused, Err(Refusal::Malformed(_))), "{method} {target} {hosts:?}");
        }
    }

    #[test]
    fn the_host_stands_in_one_place_afterwards() {
        let head = check_head("GET", "http://Shop.example:80/x?y", &["shop.example"], Version::HTTP_11);
        let head = head.unwrap();
        assert_eq!(head.uri, "/x?y");
        assert_eq!(host_of(&head), Some("shop.example"));
        let head = check_head("GET", "http://shop.example/x", &[], Version::HTTP_2).unwrap();
        assert_eq!(host_of(&head), Some("shop.example"));
        assert!(check_head("GET", "/", &[], Version::HTTP_10).is_ok());
        assert!(check_head("OPTIONS", "*", &["a"], Version::HTTP_11).is_ok());
    }

    #[test]
    fn cookies_of_http_2_become_one_field() {
        let request = http::Request::builder().version(Version::HTTP_2).uri("http://a/");
        let request = request.header("cookie", "a=1").header("x", "1").header("cookie", "b=2; c=3");
        let mut head = request.body(()).unwrap().into_parts().0;
        check(&mut head).unwrap();
        let cookies: Vec<_> = head.headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
        let many = (0..HEADER_FIELDS_MAX * 2)
            .fold(http::Request::builder().version(Version::HTTP_2).uri("http://a/"), |request, number| {
                request.header("cookie", format!("c{number}=1"))
            });
        assert!(check(&mut many.body(()).unwrap().into_parts().0).is_ok(), "crumbs are one field");
    }

    #[test]
    fn a_length_is_one_number() {
        for lengths in
            [&["5", "5"] as &[&str], &[""], &["+5"], &["5, 5"], &["0x5"], &["99999999999999999999"]]
        {
            let mut request = http::Request::builder().version(Version::HTTP_2).uri("http://a/");
            for length in lengths {
                request = request.header("content-length", *length);
            }
            let mut head = request.body(()).unwrap().into_parts().0;
            assert!(matches!(check(&mut head), Err(Refusal::Malformed(_))), "{lengths:?}");
        }
    }

    #[test]
    fn sizes_are_limited() {
        let long = format!("/{}", "x".repeat(REQUEST_LINE_BYTES_MAX));
        assert!(matches!(check_head("GET", &long, &["a"], Version::HTTP_11), Err(Refusal::TargetTooLong)));
        let mut request = http::Request::builder().uri("/").header("host", "a");
        for index in 0..HEADER_FIELDS_MAX {
            request = request.header(format!("x-{index}"), "1");
        }
        let mut head = request.body(()).unwrap().into_parts().0;
        assert!(matches!(check(&mut head), Err(Refusal::HeadTooLarge)));
    }
}
