//! Content codings: which one a client takes (RFC 9110, 12.5.3).

use std::cmp::Reverse;

use http::{HeaderMap, HeaderValue, header};

/// A coding in which responses are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// Gzip (RFC 1952).
    Gzip,
}

/// What is negotiated for one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The coding.
    pub coding: Coding,
    /// Whether the client does not take the plain form.
    pub insists: bool,
}

/// All codings, the smallest result first: what is preferred among those that a client rates the same.
pub const CODINGS: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

/// What a client says of codings.
#[derive(Debug, Clone, Copy)]
pub struct Accepted {
    /// The best first.
    ranked: [(Quality, Coding); CODINGS.len()],
    /// How it rates the plain form; none when it does not say.
    plain: Option<Quality>,
}

/// A quality in thousandths, as finely as it can be written.
type Quality = u16;

const QUALITY_MAX: Quality = 1000;

impl Accepted {
    /// Reads Accept-Encoding.
    pub fn of(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
        let entries: Vec<(&str, Quality)> =
            fields.flat_map(|field| field.split(',')).filter_map(entry).collect();
        let rated = |is: &dyn Fn(&str) -> bool| {
            entries.iter().find(|(name, _)| is(name)).map(|(_, quality)| *quality)
        };
        let any = rated(&|name| name == "*");
        let quality = |coding: Coding| rated(&|name| coding.is(name)).or(any).unwrap_or(0);
        let mut ranked = CODINGS.map(|coding| (quality(coding), coding));
        ranked.sort_by_key(|(quality, _)| Reverse(*quality));
        // Plain is taken unless it is refused, but only a client that names it can want it more than a coding.
        let plain =
            rated(&|name| name.eq_ignore_ascii_case("identity")).or(any.filter(|quality| *quality == 0));
        Self { ranked, plain }
    }

    /// The codings that the client takes at least as gladly as the plain form, the best first.
    pub fn codings(&self) -> impl Iterator<Item = Coding> + use<> {
        let plain = self.plain.unwrap_or(0);
        let wanted = move |(quality, _): &(Quality, Coding)| *quality > 0 && *quality >= plain;
        self.ranked.into_iter().filter(wanted).map(|(_, coding)| coding)
    }

    /// The best coding; none when the client takes none or rates the plain response higher.
    pub fn choice(&self) -> Option<Choice> {
        self.codings().next().map(|coding| Choice { coding, insists: self.plain == Some(0) })
    }
}

impl Coding {
    /// One letter for it, where a key is made of it.
    pub fn letter(self) -> char {
        match self {
            Self::Brotli => 'b',
            Self::Zstd => 'z',
            Self::Gzip => 'g',
        }
    }

    /// The name in Content-Encoding.
    pub fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        })
    }

    /// What the name of a file in this coding has at its end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zst",
            Self::Gzip => "gz",
        }
    }

    fn is(self, name: &str) -> bool {
        match self {
            Self::Brotli => name.eq_ignore_ascii_case("br"),
            Self::Zstd => name.eq_ignore_ascii_case("zstd"),
            Self::Gzip => name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip"),
        }
    }
}

/// A coding and its quality; none for what is none.
fn entry(text: &str) -> Option<(&str, Quality)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    Some((name, weight.map_or(Some(QUALITY_MAX), thousandths)?))
}

fn thousandths(text: &str) -> Option<Quality> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: Quality = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(QUALITY_MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_what_it_rates_highest() {
        use Coding::{Brotli, Gzip, Zstd};
        let check = |accept: &str, expected: Option<Coding>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
            assert_eq!(Accepted::of(&headers).choice().map(|choice| choice.coding), expected, "{accept}");
        };
        check("gzip, deflate, br, zstd", Some(Brotli));
        check("deflate, gzip, zstd", Some(Zstd));
        check("GZIP", Some(Gzip));
        check("x-gzip", Some(Gzip));
        check("gzip;q=1.0, br;q=0.9", Some(Gzip));
        check("br;q=0.001, gzip ; q=0.002", Some(Gzip));
        check("br;q=0, *", Some(Zstd));
        check("*", Some(Brotli));
        check("*;q=0, gzip", Some(Gzip));
        check("*;q=0", None);
        check("gzip;q=0", None);
        check("gzip;q=0.000", None);
        check("identity", None);
        check("identity, gzip;q=0.5", None);
        check("identity;q=0.5, gzip;q=0.5", Some(Gzip));
        check("identity;q=0, gzip;q=0.1", Some(Gzip));
        check("deflate", None);
        check("", None);
        check(", ,gzip,", Some(Gzip));
        for broken in
            ["gzip;q=2", "gzip;q=x", "gzip;q=", "gzip;q=-1", "gzip;q=1.001", "gzip;q=0.0001", "gzip;q=.5"]
        {
            check(broken, None);
        }
        assert_eq!(Accepted::of(&HeaderMap::new()).choice(), None);
    }

    #[test]
    fn all_that_a_client_takes_is_ranked() {
        use Coding::{Brotli, Gzip, Zstd};
        let check = |fields: &[&'static str], expected: &[Coding]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(field));
            }
            assert_eq!(Accepted::of(&headers).codings().collect::<Vec<_>>(), expected, "{fields:?}");
        };
        check(&["gzip, deflate, br, zstd"], &[Brotli, Zstd, Gzip]);
        check(&["gzip", "BR"], &[Brotli, Gzip]);
        check(&["gzip;q=1.0, br;q=0.5"], &[Gzip, Brotli]);
        check(&["br ; q=0.5 , gzip;q=0.501"], &[Gzip, Brotli]);
        check(&["*;q=0.1, br;q=0"], &[Zstd, Gzip]);
        check(&["gzip;q=0.5, identity"], &[]);
        check(&["gzip;q=NaN"], &[]);
        check(&["identity;q=0, gzip"], &[Gzip]);
    }

    #[test]
    fn a_client_may_refuse_the_plain_form() {
        for (accept, insists) in [
            ("gzip", false),
            ("gzip, identity;q=0", true),
            ("gzip, *;q=0", true),
            ("gzip, *;q=0, identity;q=0.1", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accept));
            assert_eq!(
                Accepted::of(&headers).choice(),
                Some(Choice { coding: Coding::Gzip, insists }),
                "{accept}"
            );
        }
    }

    #[test]
    fn several_fields_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0.5"));
        headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static("br;q=0.4"));
        assert_eq!(Accepted::of(&headers).choice().map(|choice| choice.coding), Some(Coding::Gzip));
    }
}
