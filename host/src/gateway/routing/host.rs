//! The host that a request names: checked strictly (RFC 9110, 7.2), compared without case and port.

use std::borrow::Cow;

/// The longest host name (RFC 1035, 2.3.4), with room for brackets and a port.
const HOST_BYTES_MAX: usize = 270;

/// Whether a Host field or authority is one host with an optional port: no list, no user info, no path.
pub fn is_valid(host: &str) -> bool {
    if host.is_empty() || host.len() > HOST_BYTES_MAX {
        return false;
    }
    let Some((name, port)) = split_port(host) else {
        return false;
    };
    let name_valid = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(is_name_byte),
    };
    name_valid && port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// The name in the form in which hosts are compared: lower case, without port and final dot.
pub fn comparable(host: &str) -> Cow<'_, str> {
    let name = split_port(host).map_or(host, |(name, _)| name);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// The port, when one is written.
pub fn port(host: &str) -> Option<u16> {
    split_port(host).and_then(|(_, port)| port?.parse().ok())
}

/// Whether two authorities name the same host and port, where no port means that of `http`.
pub fn same(one: &str, other: &str) -> bool {
    let port = |host: &str| match split_port(host) {
        Some((_, Some(port))) if !port.is_empty() => port.to_owned(),
        _ => "80".to_owned(),
    };
    comparable(one) == comparable(other) && port(one) == port(other)
}

fn split_port(host: &str) -> Option<(&str, Option<&str>)> {
    let name_end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, rest) = host.split_at_checked(name_end)?;
    match rest.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some((name, Some(port))),
        Some(_) => None,
        None if rest.is_empty() => Some((name, None)),
        None => None,
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_name_and_a_port() {
        for good in ["a", "A.example", "a.example.", "a:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:8080"] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a,b",
            "a, b",
            "u@a",
            "u:p@a",
            "a/x",
            "a?x",
            "a#x",
            "a b",
            "a:b",
            "a:0",
            "a:65536",
            "a:80:80",
            "[::1",
            "[x]",
            "[::1]x",
            "a%2fb",
            "a\\b",
            "é",
            &"a".repeat(271),
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn hosts_compare_without_case_port_and_final_dot() {
        assert_eq!(comparable("Shop.Example.:8080"), "shop.example");
        assert_eq!(comparable("[::1]:80"), "[::1]");
        assert!(same("a", "A:80"));
        assert!(!same("a:81", "a"));
        assert!(!same("a", "b"));
    }
}
