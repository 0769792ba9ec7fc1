//! The security headers that a browser should see, set where a service has set none.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// One year, as the preload lists ask for; other hosts below the name are not this gateway's to decide on.
const TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// A type is what the service says; no frame of another page; an origin is all that other sites learn; devices
/// and payments only for pages that ask their service to allow them; no window of another origin has a handle.
const PRESET: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Adds what is missing. Strict-Transport-Security means something only over TLS (RFC 6797, 7.2).
pub fn add(headers: &mut HeaderMap, over_tls: bool) {
    for (name, value) in PRESET {
        headers.entry(name).or_insert(value);
    }
    if over_tls {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(TRANSPORT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_has_set_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
        add(&mut headers, false);
        assert_eq!(headers["x-frame-options"], "SAMEORIGIN");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers.len(), PRESET.len());
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn only_tls_is_made_strict() {
        let mut headers = HeaderMap::new();
        add(&mut headers, true);
        assert_eq!(headers["strict-transport-security"], "max-age=31536000");
    }
}
