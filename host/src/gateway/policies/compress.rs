//! Which responses are compressed, and what their headers then say (RFC 9110, 8.4 and 8.8.3).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::compressed_body::CompressedBody;
use super::vary;
use crate::body::Response;
use crate::gateway::coding::{Accepted, Choice};
use crate::gateway::part;

/// A shorter response fits into one packet with its head: compressing it gains nothing.
const LENGTH_MIN: u64 = 1024;

/// Types that are text whatever their name says. Other formats are compressed in themselves.
const TYPES: [&str; 6] = [
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/wasm",
    "application/x-ndjson",
];

/// Digests of the bytes as the service sent them.
static DIGESTS: [HeaderName; 2] =
    [HeaderName::from_static("content-digest"), HeaderName::from_static("repr-digest")];

/// What is known of a request when its response comes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Negotiated {
    /// The coding; none when its client takes none or forbids it.
    choice: Option<Choice>,
    /// Whether the client has a copy under a weak tag, as compressed responses have.
    has_weak: bool,
}

/// What this request lets be done to its response.
pub fn negotiate(headers: &HeaderMap) -> Negotiated {
    if forbids_transforming(headers) {
        return Negotiated::default();
    }
    let has_weak = part::any_tag(headers, header::IF_NONE_MATCH, |tag| tag.starts_with(b"W/"));
    Negotiated { choice: Accepted::of(headers).choice(), has_weak }
}

/// Compresses a response where that is allowed and gains something.
pub fn compress(response: Response, negotiated: Negotiated) -> Response {
    let choice = negotiated.choice;
    let (mut head, body) = response.into_parts();
    if head.status == StatusCode::NOT_MODIFIED {
        // It speaks of what a 200 would have been, whose type it does not tell: its client has that one.
        vary::add(&mut head.headers, header::ACCEPT_ENCODING);
        if choice.is_some() && negotiated.has_weak {
            weaken(&mut head.headers);
        }
        return Response::from_parts(head, body);
    }
    let insists = choice.is_some_and(|choice| choice.insists) && !body.is_end_stream();
    if !may_be_compressed(&head) || !(insists || gains(&head.headers, body.size_hint().exact())) {
        return Response::from_parts(head, body);
    }
    vary::add(&mut head.headers, header::ACCEPT_ENCODING);
    let Some(Choice { coding, .. }) = choice else {
        return Response::from_parts(head, body);
    };
    let headers = &mut head.headers;
    headers.insert(header::CONTENT_ENCODING, coding.name());
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    weaken(headers);
    // The response to HEAD has the head of that to GET, and nothing to compress.
    let body = if body.is_end_stream() { body } else { CompressedBody::new(body, coding).boxed_unsync() };
    Response::from_parts(head, body)
}

/// Whether nothing speaks against another form of the response.
fn may_be_compressed(head: &response::Parts) -> bool {
    let headers = &head.headers;
    let is_plain = !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_RANGE)
        && !DIGESTS.iter().any(|name| headers.contains_key(name));
    has_whole_content(head.status) && is_plain && !forbids_transforming(headers)
}

/// Whether it becomes much shorter. `length` is that of the body, if known.
fn gains(headers: &HeaderMap, length: Option<u64>) -> bool {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    has_text(headers) && announced.or(length).is_none_or(|length: u64| length >= LENGTH_MIN)
}

fn has_whole_content(status: StatusCode) -> bool {
    let without = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::PARTIAL_CONTENT];
    !status.is_informational() && !without.contains(&status)
}

fn has_text(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let media = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // gRPC compresses its messages one by one.
    let is_grpc = media.starts_with("application/grpc");
    let ends_with_text = media.ends_with("+json") || media.ends_with("+xml");
    !is_grpc && (media.starts_with("text/") || ends_with_text || TYPES.contains(&media.as_str()))
}

/// RFC 9111, 5.2.1.6 and 5.2.2.6.
fn forbids_transforming(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|part| part.trim().eq_ignore_ascii_case("no-transform"))
}

/// The bytes are no longer those that a strong validator stands for.
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else {
        return;
    };
    match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        Ok(weak) => headers.insert(header::ETAG, weak),
        Err(_) => headers.remove(header::ETAG),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;
    use crate::gateway::coding::Coding;

    fn response(status: u16, fields: &[(&str, &str)], length: usize) -> Response {
        let mut response = http::Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(body::full(vec![b'x'; length])).unwrap()
    }

    const GZIP: Negotiated = taking(Coding::Gzip, false);

    const fn taking(coding: Coding, insists: bool) -> Negotiated {
        Negotiated { choice: Some(Choice { coding, insists }), has_weak: false }
    }

    const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

    fn is_compressed(response: Response) -> bool {
        let response = compress(response, GZIP);
        response.headers().get("content-encoding").is_some_and(|coding| coding == "gzip")
    }

    #[test]
    fn text_is_compressed_and_the_head_says_so() {
        let fields = [
            HTML,
            ("content-length", "5000"),
            ("etag", "\"7\""),
            ("accept-ranges", "bytes"),
            ("vary", "Origin"),
        ];
        let response = compress(response(200, &fields, 5000), taking(Coding::Brotli, false));
        let headers = response.headers();
        assert_eq!(
            (&headers["content-encoding"], &headers["etag"]),
            (&"br".parse().unwrap(), &"W/\"7\"".parse().unwrap())
        );
        let vary: Vec<_> = headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(vary, ["Origin", "accept-encoding"]);
        assert!(!headers.contains_key("content-length") && !headers.contains_key("accept-ranges"));
        assert_eq!(response.body().size_hint().exact(), None);
    }

    #[test]
    fn only_types_that_gain_are_compressed() {
        let by_type = |media: &str| is_compressed(response(200, &[("content-type", media)], 5000));
        for media in [
            "text/plain",
            "TEXT/CSS",
            "application/json",
            "application/problem+json",
            "image/svg+xml",
            "application/javascript ; charset=utf-8",
            "application/wasm",
            "text/event-stream",
            "application/xml",
        ] {
            assert!(by_type(media), "{media}");
        }
        for media in [
            "image/png",
            "application/zip",
            "video/mp4",
            "application/grpc+json",
            "application/octet-stream",
            "",
            "textual",
        ] {
            assert!(!by_type(media), "{media}");
        }
        assert!(!is_compressed(response(200, &[], 5000)));
    }

    #[test]
    fn what_must_not_be_touched_is_not() {
        for (status, field) in [
            (200, ("content-encoding", "br")),
            (200, ("cache-control", "public, No-Transform")),
            (200, ("content-range", "bytes 0-1/2")),
            (200, ("content-digest", "sha-256=:x:")),
            (200, ("content-length", "1023")),
            (206, ("x-any", "1")),
            (204, ("x-any", "1")),
            (205, ("x-any", "1")),
            (101, ("x-any", "1")),
        ] {
            let response = compress(response(status, &[HTML, field, ("etag", "\"7\"")], 5000), GZIP);
            let headers = response.headers();
            let coding = headers.get("content-encoding").map(|coding| coding.to_str().unwrap());
            assert_ne!(coding, Some("gzip"), "{status} {field:?}");
            assert_eq!(headers["etag"], "\"7\"", "{status} {field:?}");
            assert_eq!(response.body().size_hint().exact(), Some(5000), "{status} {field:?}");
        }
        assert!(!is_compressed(response(200, &[HTML], 1023)));
        assert!(is_compressed(response(200, &[HTML], 1024)));
        assert!(is_compressed(response(404, &[HTML], 5000)));
        let insisting = taking(Coding::Gzip, true);
        let image = compress(response(200, &[("content-type", "image/png")], 10), insisting);
        assert_eq!(image.headers()["content-encoding"], "gzip", "its client does not take it plain");
    }

    #[test]
    fn who_gets_it_plain_is_told_that_others_do_not() {
        let plain = compress(response(200, &[HTML, ("etag", "\"7\"")], 5000), Negotiated::default());
        assert_eq!(
            (&plain.headers()["vary"], &plain.headers()["etag"]),
            (&"accept-encoding".parse().unwrap(), &"\"7\"".parse().unwrap())
        );
        assert!(!plain.headers().contains_key("content-encoding"));
        let head = compress(response(200, &[HTML, ("content-length", "5000")], 0), GZIP);
        assert_eq!(head.headers()["content-encoding"], "gzip");
        assert!(head.body().is_end_stream());
        let mut asked = HeaderMap::new();
        asked.insert("accept-encoding", HeaderValue::from_static("gzip"));
        assert_eq!(negotiate(&asked).choice, GZIP.choice);
        asked.insert("cache-control", HeaderValue::from_static("no-transform"));
        assert_eq!(negotiate(&asked).choice, None);
    }

    #[test]
    fn a_304_has_the_tag_of_the_copy_that_its_client_has() {
        let check = |copy: &str, expected: &str| {
            let mut asked = HeaderMap::new();
            asked.insert("accept-encoding", HeaderValue::from_static("gzip"));
            asked.insert("if-none-match", copy.parse().unwrap());
            let unchanged = compress(response(304, &[("etag", "\"7\"")], 0), negotiate(&asked));
            assert_eq!(unchanged.headers()["etag"], expected, "{copy}");
        };
        check("\"7\"", "\"7\"");
        check("W/\"7\"", "W/\"7\"");
        check("\"6\", W/\"7\"", "W/\"7\"");
        check("\"W/7\", \"7\"", "\"7\"");
    }
}
