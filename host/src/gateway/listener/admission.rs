//! How many connections there may be: in all, and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bits of an IPv6 address that one client owns (RFC 6177); it may take any address below them.
const IPV6_CLIENT_BITS: u32 = 64;

/// Counts open connections.
#[derive(Debug, Default)]
pub struct Admission {
    open: Mutex<Open>,
}

/// The connections that are open. Addresses without one are forgotten, so that the map stays bounded.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are too many in all.
    Gateway,
    /// There are too many from this address.
    Client,
}

/// The right to one connection; dropping it gives it back.
#[derive(Debug)]
pub struct Pass {
    admission: Arc<Admission>,
    client: IpAddr,
}

impl Admission {
    /// Lets a connection in unless a limit is reached.
    pub fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        all_max: usize,
        by_client_max: usize,
    ) -> Result<Pass, Full> {
        let client = client_of(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= all_max {
            return Err(Full::Gateway);
        }
        if open.by_client.get(&client).is_some_and(|count| *count >= by_client_max) {
            return Err(Full::Client);
        }
        open.all += 1;
        *open.by_client.entry(client).or_default() += 1;
        Ok(Pass { admission: self.clone(), client })
    }
}

impl Pass {
    /// Counts the connection for the client that a proxy named, no longer for the proxy.
    pub fn pass_on(mut self, address: IpAddr, by_client_max: usize) -> Result<Self, Full> {
        let client = client_of(address);
        if client == self.client {
            return Ok(self);
        }
        let admission = self.admission.clone();
        let mut open = admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.by_client.get(&client).is_some_and(|count| *count >= by_client_max) {
            // The pass is given back next, which takes the lock again.
            drop(open);
            return Err(Full::Client);
        }
        open.forget(self.client);
        *open.by_client.entry(client).or_default() += 1;
        self.client = client;
        Ok(self)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        open.forget(self.client);
    }
}

impl Open {
    fn forget(&mut self, client: IpAddr) {
        if let Some(count) = self.by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&client);
            }
        }
    }
}

/// What counts as one client: an address, or the network of an IPv6 address.
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> (128 - IPV6_CLIENT_BITS) << (128 - IPV6_CLIENT_BITS);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_in_all_and_by_client() {
        let admission = Arc::new(Admission::default());
        let admit = |address: &str| admission.admit(address.parse().unwrap(), 3, 2);
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), Full::Client);
        let _third = admit("2001:db8::1").unwrap();
        assert_eq!(admit("192.0.2.9").unwrap_err(), Full::Gateway);
        drop(first);
        let _again = admit("2001:db8::2").unwrap();
        assert_eq!(admission.open.lock().unwrap().by_client.len(), 2);
    }

    #[test]
    fn a_connection_counts_for_the_client_that_a_proxy_names() {
        let admission = Arc::new(Admission::default());
        let through_proxy = || admission.admit("10.0.0.1".parse().unwrap(), 9, 9).unwrap();
        let pass_on = |pass: Pass, address: &str| pass.pass_on(address.parse().unwrap(), 1);
        let first = pass_on(through_proxy(), "192.0.2.1").unwrap();
        assert_eq!(pass_on(through_proxy(), "192.0.2.1").unwrap_err(), Full::Client);
        let _second = pass_on(through_proxy(), "192.0.2.2").unwrap();
        drop(first);
        let _again = pass_on(through_proxy(), "192.0.2.1").unwrap();
        let open = admission.open.lock().unwrap();
        assert_eq!((open.all, open.by_client.len()), (2, 2));
    }
}
