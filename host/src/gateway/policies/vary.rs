//! The Vary header: what else than the URL a response depends on (RFC 9110, 12.5.5).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Adds a request header to it, unless it is there already or the response depends on everything.
pub fn add(headers: &mut HeaderMap, name: HeaderName) {
    let fields = headers.get_all(header::VARY).iter().filter_map(|field| field.to_str().ok());
    let mut members = fields.flat_map(|field| field.split(',')).map(str::trim);
    if !members.any(|member| member == "*" || member.eq_ignore_ascii_case(name.as_str())) {
        headers.append(header::VARY, HeaderValue::from_name(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_there_once() {
        for (before, after) in [
            ("accept", vec!["accept", "origin"]),
            ("Accept, ORIGIN", vec!["Accept, ORIGIN"]),
            ("*", vec!["*"]),
            ("x-origin", vec!["x-origin", "origin"]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::VARY, HeaderValue::from_static(before));
            add(&mut headers, header::ORIGIN);
            assert_eq!(headers.get_all(header::VARY).iter().collect::<Vec<_>>(), after);
        }
    }
}
