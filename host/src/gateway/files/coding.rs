//! Files that lie compressed beside their originals, and which of them a client takes.

use http::{HeaderMap, header};

/// The codings, the one that packs best first, with the ends of their files' names.
pub const CODINGS: [Coding; 3] = [
    Coding { name: "br", extension: "br" },
    Coding { name: "zstd", extension: "zst" },
    Coding { name: "gzip", extension: "gz" },
];

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coding {
    /// As in Content-Encoding.
    pub name: &'static str,
    /// What a file's name has at its end.
    pub extension: &'static str,
}

/// A full quality, in thousandths.
const QUALITY_MAX: u16 = 1000;

/// The codings that a client takes at least as gladly as none, the best first (RFC 9110, 12.5.3).
pub fn accepted(headers: &HeaderMap) -> Vec<Coding> {
    let fields = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
    let members: Vec<(&str, u16)> = fields.flat_map(|field| field.split(',')).filter_map(member).collect();
    let quality = |name: &str| {
        members.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, quality)| *quality)
    };
    let plain = quality("identity").unwrap_or(0);
    let mut accepted: Vec<(u16, Coding)> = CODINGS
        .into_iter()
        .map(|coding| (quality(coding.name).or_else(|| quality("*")).unwrap_or(0), coding))
        .filter(|(quality, _)| *quality > 0 && *quality >= plain)
        .collect();
    accepted.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    accepted.into_iter().map(|(_, coding)| coding).collect()
}

/// A coding and its quality in thousandths; one that cannot be read is not wanted.
fn member(text: &str) -> Option<(&str, u16)> {
    let (name, parameter) = match text.split_once(';') {
        Some((name, parameter)) => (name.trim(), Some(parameter.trim())),
        None => (text.trim(), None),
    };
    let quality = match parameter {
        None => QUALITY_MAX,
        Some(parameter) => {
            let text = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
            let quality: f32 = text.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?;
            (quality * f32::from(QUALITY_MAX)) as u16
        }
    };
    (!name.is_empty()).then_some((name, quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_taken_by_quality() {
        let check = |fields: &[&'static str], expected: &[&str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::ACCEPT_ENCODING, field.parse().unwrap());
            }
            let names: Vec<&str> = accepted(&headers).iter().map(|coding| coding.name).collect();
            assert_eq!(names, expected, "{fields:?}");
        };
        check(&[], &[]);
        check(&[""], &[]);
        check(&["identity"], &[]);
        check(&["gzip, deflate, br, zstd"], &["br", "zstd", "gzip"]);
        check(&["gzip", "BR"], &["br", "gzip"]);
        check(&["gzip;q=1.0, br;q=0.5"], &["gzip", "br"]);
        check(&["br ; q=0.5 , gzip;q=0.501"], &["gzip", "br"]);
        check(&["*"], &["br", "zstd", "gzip"]);
        check(&["*;q=0.1, br;q=0"], &["zstd", "gzip"]);
        check(&["gzip;q=0, *;q=0"], &[]);
        check(&["gzip;q=0.5, identity"], &[]);
        check(&["gzip;q=x, br;q=2, zstd;q=-1"], &[]);
        check(&["gzip;q=NaN"], &[]);
        check(&["identity;q=0, gzip"], &["gzip"]);
    }
}
