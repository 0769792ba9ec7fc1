//! Origins (RFC 6454: scheme, host, port) and host patterns.

use std::fmt;
use std::net::Ipv6Addr;

/// A set of origins that a service may fetch from: one host, or `*.` and all hosts below a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    scheme: &'static str,
    host: String,
    port: u16,
}

impl Origin {
    /// Reads `https://api.example.com`, `http://127.0.0.1:9001` or `https://*.example.com`; an error says
    /// what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let (scheme, port, authority) = if let Some(rest) = lower.strip_prefix("https://") {
            ("https", 443, rest)
        } else if let Some(rest) = lower.strip_prefix("http://") {
            ("http", 80, rest)
        } else {
            return Err("begin with `https://` or `http://`, as in \"https://api.example.com\"".into());
        };
        if authority.contains('@') {
            return Err("take user and password out; give them as `secrets`".into());
        }
        if authority.contains(['/', '?', '#']) {
            return Err(
                "take the path out: only scheme, host and port count, as in \"https://api.example.com\""
                    .into(),
            );
        }
        let (host, port) = split_port(authority, port)?;
        check_host(host)?;
        Ok(Self { scheme, host: host.to_owned(), port })
    }

    /// Whether a request to this scheme, host and port is covered. Case and a final dot of the host do not
    /// count; a pattern covers every name below it, not the name itself.
    pub fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_host = match self.host.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => self.bare_host() == host.trim_start_matches('[').trim_end_matches(']'),
        };
        is_host && self.port == port && self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.scheme
    }

    /// The host in lower case, IPv6 in brackets, or `*.` and a name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also when it is the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it stands for many hosts.
    pub fn is_pattern(&self) -> bool {
        self.host.starts_with('*')
    }

    /// Whether it lies in `.internal`, where this host's own services are.
    pub fn is_internal(&self) -> bool {
        self.host == "internal" || self.host.ends_with(".internal")
    }

    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match (self.scheme, self.port) {
            ("https", 443) | ("http", 80) => Ok(()),
            (_, port) => write!(f, ":{port}"),
        }
    }
}

/// Whether the text is a host in lower case, an IP address (IPv6 in brackets), or `*.` and a host; an error
/// says what would be right.
pub fn check_host(text: &str) -> Result<(), String> {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let is_address = address.parse::<Ipv6Addr>().is_ok();
        return is_address.then_some(()).ok_or_else(|| "write an IPv6 address in the brackets".into());
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    if name.contains('*') {
        return Err("write `*` only as the whole first label, as in \"*.example.com\"".into());
    }
    let is_label = |label: &str| {
        let has_length = (1..=63).contains(&label.len());
        let has_letters =
            label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        has_length && has_letters && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("write a host name such as \"api.example.com\" (letters, digits, `-` and dots)".into());
    }
    Ok(())
}

fn split_port(authority: &str, default: u16) -> Result<(&str, u16), String> {
    let after_brackets = authority.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = authority[after_brackets..].find(':') else {
        return Ok((authority, default));
    };
    let (host, port) = authority.split_at(after_brackets + colon);
    match port[1..].parse() {
        Ok(0) | Err(_) => Err("write a port from 1 to 65535 after the host".into()),
        Ok(port) => Ok((host, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(origin: &str, scheme: &str, host: &str, port: u16) -> bool {
        Origin::parse(origin).unwrap().allows(scheme, host, port)
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert!(allows("https://api.example.com", "https", "API.example.com.", 443));
        assert!(!allows("https://api.example.com", "http", "api.example.com", 443));
        assert!(!allows("https://api.example.com", "https", "api.example.com", 8443));
        assert!(!allows("https://api.example.com", "https", "xapi.example.com", 443));
        assert!(allows("http://127.0.0.1:9001", "http", "127.0.0.1", 9001));
        assert!(allows("http://[::1]:9001", "http", "::1", 9001));
        assert!(allows("http://[::1]:9001", "http", "[::1]", 9001));
    }

    #[test]
    fn a_pattern_covers_what_lies_below() {
        assert!(allows("https://*.example.com", "https", "a.example.com", 443));
        assert!(allows("https://*.example.com", "https", "a.b.example.com", 443));
        assert!(!allows("https://*.example.com", "https", "example.com", 443));
        assert!(!allows("https://*.example.com", "https", ".example.com", 443));
        assert!(!allows("https://*.example.com", "https", "evil-example.com", 443));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for bad in [
            "api.example.com",
            "ftp://a",
            "https://",
            "https://a/b",
            "https://a/",
            "https://u:p@a",
            "https://a:0",
            "https://a:70000",
            "https://*",
            "https://a.*.b",
            "https://a b",
            "https://[::1",
            "https://-a",
            "https://a..b",
            "https://a?b",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
