//! Where the provider stands: the name in its tokens, and the address below which all of it lies.

use hostel_sdk::{Error, Result};
use url::{Host, Url};

/// The issuer, an https address without a slash at its end; plain http only on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    text: String,
    origin: String,
    path: String,
}

impl Issuer {
    /// Reads `issuer`.
    ///
    /// # Errors
    /// When it is missing or no such address.
    pub fn read() -> Result<Self> {
        let text = super::required("issuer", "\"http://127.0.0.1:8080/identity\"")?;
        Self::parse(&text).map_err(|reason| Error::internal(format!("`issuer` {text:?} {reason}")))
    }

    /// Exactly as it stands in tokens.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port: what browsers call an origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The path below which every endpoint lies; empty at the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether browsers reach it through TLS.
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// The address of an endpoint.
    pub fn endpoint(&self, name: &str) -> String {
        format!("{}/{name}", self.text)
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "is no address, such as https://shop.example/identity")?;
        if !is_protected(&url) {
            return Err("must begin with https:// (http:// only on 127.0.0.1, [::1] or localhost)");
        }
        let has_more = url.query().is_some() || url.fragment().is_some();
        if has_more || !url.username().is_empty() || url.password().is_some() {
            return Err("must have no user, query or fragment");
        }
        let origin = url.origin().ascii_serialization();
        let path = url.path().trim_end_matches('/').to_owned();
        if text != format!("{origin}{path}") {
            return Err("must be in its plain form: small letters, no slash at its end, no standard port");
        }
        Ok(Self { text: text.to_owned(), origin, path })
    }
}

/// Whether nobody between can read what is sent there: https, or this machine itself.
pub(super) fn is_protected(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

#[cfg(test)]
impl Issuer {
    /// An issuer for tests.
    pub fn for_tests() -> Self {
        Self::parse("https://shop.example/identity").unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_an_address_in_its_plain_form() {
        let good = |text: &str, origin: &str, path: &str| {
            let issuer = Issuer::parse(text).unwrap();
            assert_eq!((issuer.origin(), issuer.path(), issuer.as_str()), (origin, path, text));
        };
        good("https://shop.example/identity", "https://shop.example", "/identity");
        good("https://id.shop.example", "https://id.shop.example", "");
        good("http://127.0.0.1:8080/identity", "http://127.0.0.1:8080", "/identity");
        good("http://[::1]:8080/a/b", "http://[::1]:8080", "/a/b");
        for bad in [
            "",
            "shop.example",
            "http://shop.example/identity",
            "ftp://shop.example",
            "https://shop.example/identity/",
            "https://shop.example/identity?a=b",
            "https://shop.example/#a",
            "https://ada@shop.example",
            "https://Shop.example",
            "https://shop.example:443/identity",
        ] {
            assert!(Issuer::parse(bad).is_err(), "{bad}");
        }
    }
}
