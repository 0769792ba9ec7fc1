//! Chooses one of several services by weight, and keeps a client with the one it had.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::config::{Share, SplitConfig, Sticky};
use crate::names::ServiceName;

/// A cookie value that clients send back is hashed up to here; the gateway's own are far shorter.
const KEY_BYTES_MAX: usize = 256;

/// The service that was chosen for a request.
#[derive(Debug)]
pub struct Choice<'s> {
    /// The service.
    pub service: &'s ServiceName,
    /// The cookie by which the client will be known again, when it has none yet.
    cookie: Option<(&'s str, u128)>,
}

impl<'s> Choice<'s> {
    /// Chooses for a request of this client.
    pub fn make(split: &'s SplitConfig, headers: &HeaderMap, client: IpAddr) -> Self {
        let mut cookie = None;
        let point = match &split.sticky {
            None => rand::random(),
            Some(Sticky::Address) => hash(client.to_canonical().to_string().as_bytes()),
            Some(Sticky::Header(name)) => {
                headers.get(name).map_or_else(rand::random, |value| hash(value.as_bytes()))
            }
            Some(Sticky::Cookie(name)) => match cookie_value(headers, name) {
                Some(value) => hash(value.as_bytes()),
                None => {
                    let id = rand::random::<u128>();
                    cookie = Some((name.as_str(), id));
                    hash(cookie_text(id).as_bytes())
                }
            },
        };
        Self { service: pick(&split.shares, point), cookie }
    }

    /// Gives the client its cookie, where it needs one. Scripts have no use for it, and other sites send it only with
    /// a navigation.
    pub fn remember(&self, headers: &mut HeaderMap, is_secure: bool) {
        let Some((name, id)) = self.cookie else { return };
        let secure = if is_secure { "; Secure" } else { "" };
        let cookie = format!("{name}={}; Path=/; HttpOnly; SameSite=Lax{secure}", cookie_text(id));
        if let Ok(value) = HeaderValue::try_from(cookie) {
            headers.append(header::SET_COOKIE, value);
        }
    }
}

/// The service whose share a point of the circle lies in. A shift of weights moves only the clients of the share that
/// it shifts.
fn pick(shares: &[Share], point: u64) -> &ServiceName {
    let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
    let place = (u128::from(point) * u128::from(total)) >> u64::BITS;
    let mut end = 0;
    let share = shares.iter().find(|share| {
        end += u128::from(share.weight);
        place < end
    });
    // The configuration has at least one share above 0, so that one is always found.
    &share.unwrap_or(&shares[0]).service
}

/// The same on every host and in every release.
fn hash(key: &[u8]) -> u64 {
    let digest = Sha256::digest(&key[..key.len().min(KEY_BYTES_MAX)]);
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

fn cookie_text(id: u128) -> String {
    format!("{id:032x}")
}

/// The value of a cookie (RFC 6265, 5.4); the first of several.
fn cookie_value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, value)| *known == name && !value.is_empty()).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: u64 = 20_000;

    fn shares(weights: &[u32]) -> Vec<Share> {
        let named = weights.iter().enumerate();
        named
            .map(|(index, weight)| Share { service: format!("s{index}").parse().unwrap(), weight: *weight })
            .collect()
    }

    fn served(shares: &[Share]) -> Vec<&str> {
        (0..CLIENTS).map(|client| pick(shares, hash(&client.to_be_bytes())).as_str()).collect()
    }

    #[test]
    fn services_get_their_shares() {
        for weights in [&[90, 10][..], &[1, 1, 2], &[0, 1], &[1, 0], &[10_000, 10_000]] {
            let shares = shares(weights);
            let served = served(&shares);
            let total: u32 = weights.iter().sum();
            for share in &shares {
                let expected = f64::from(share.weight) / f64::from(total);
                let count = served.iter().filter(|name| **name == share.service.as_str()).count();
                let seen = count as f64 / CLIENTS as f64;
                assert!((seen - expected).abs() < 0.02, "{weights:?} {share:?}: {seen}");
                assert!(share.weight > 0 || count == 0, "{weights:?} {share:?}");
            }
        }
        let edges = shares(&[1, 0]);
        assert_eq!(pick(&edges, u64::MAX).as_str(), "s0");
        assert_eq!(pick(&edges, 0).as_str(), "s0");
    }

    #[test]
    fn a_shift_of_weights_moves_only_its_share() {
        let (before, after) = (shares(&[90, 10]), shares(&[80, 20]));
        let moved = served(&before).iter().zip(served(&after)).filter(|(one, other)| **one != *other).count();
        assert!((moved as f64 / CLIENTS as f64 - 0.1).abs() < 0.02, "{moved}");
    }

    #[test]
    fn a_client_stays_with_its_service() {
        let split = |sticky| SplitConfig { shares: shares(&[1, 1]), sticky: Some(sticky) };
        let by_cookie = split(Sticky::Cookie("side".into()));
        let by_header = split(Sticky::Header("x-user".parse().unwrap()));
        let by_address = split(Sticky::Address);
        for client in 0..100u8 {
            let address = IpAddr::from([192, 0, 2, client]);
            let first = Choice::make(&by_cookie, &HeaderMap::new(), address);
            let mut given = HeaderMap::new();
            first.remember(&mut given, true);
            let given = given["set-cookie"].to_str().unwrap().to_owned();
            assert!(given.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{given}");
            let mut headers = HeaderMap::new();
            let sent = format!("a=b; {}; c", given.split(';').next().unwrap());
            headers.insert("cookie", sent.parse().unwrap());
            headers.insert("x-user", u16::from(client).into());
            let again = Choice::make(&by_cookie, &headers, address);
            assert_eq!(first.service, again.service, "{given}");
            assert!(again.cookie.is_none());
            for split in [&by_header, &by_address] {
                let service = Choice::make(split, &headers, address).service;
                assert_eq!(service, Choice::make(split, &headers, address).service);
            }
        }
    }

    #[test]
    fn cookies_are_read_by_their_whole_name() {
        let check = |fields: &[&'static str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append("cookie", HeaderValue::from_static(field));
            }
            assert_eq!(cookie_value(&headers, "side"), expected, "{fields:?}");
        };
        check(&["side=a"], Some("a"));
        check(&["x=1; side=a=b; y=2"], Some("a=b"));
        check(&["x=1", "side=a"], Some("a"));
        check(&["xside=a; Side=b; side"], None);
        check(&["side="], None);
        check(&[], None);
    }
}
