//! Where a request comes from, as the gateway vouches for it.

use std::net::{IpAddr, Ipv6Addr};

use hostel_sdk::Request;

/// The address of the client; of IPv6 the network, since one household has all addresses of it.
pub fn of(request: &Request) -> String {
    // The gateway removes what clients claim and writes the one address that it believes.
    network(request.header("x-forwarded-for").unwrap_or_default())
}

fn network(text: &str) -> String {
    let last = text.rsplit(',').next().unwrap_or_default().trim();
    match last.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.to_string(),
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        // Calls of other services: they share one account.
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_address_counts() {
        let check = |text: &str, expected: &str| assert_eq!(network(text), expected, "{text}");
        check("192.0.2.7", "192.0.2.7");
        check("1.1.1.1, 192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        check("", "unknown");
        check("nonsense", "unknown");
    }
}
