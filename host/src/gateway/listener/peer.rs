//! Who is at the other end of a connection, as far as the connection itself tells.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use http::{HeaderValue, Version};
use ipnet::IpNet;

use super::client_certificate::ClientCertificate;
use super::tls::TlsFacts;
use crate::gateway::forward::forwarded::{self, Words};
use crate::gateway::framing;
use crate::gateway::reply::Refusal;

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    /// Its address, or the one that the PROXY protocol gave.
    pub address: IpAddr,
    /// The same as a header has it, made once for all its requests.
    pub address_text: HeaderValue,
    /// What its handshake told; none in clear text.
    pub tls: Option<TlsFacts>,
    /// All proxies whose word counts, when this peer is one of them.
    pub proxies: Option<Arc<[IpNet]>>,
    /// What services were told of it last.
    words: Mutex<Option<Words>>,
}

impl Peer {
    /// A peer in front of which these proxies may stand.
    pub fn new(address: IpAddr, tls: Option<TlsFacts>, proxies: &Arc<[IpNet]>) -> Self {
        let proxies = forwarded::is_trusted(proxies, address).then(|| proxies.clone());
        let address_text = forwarded::address_text(address);
        Self { address, address_text, tls, proxies, words: Mutex::default() }
    }

    /// The text of an address, where it is that of the peer.
    pub fn text_of(&self, address: IpAddr) -> Option<&str> {
        self.address_text.to_str().ok().filter(|_| address == self.address)
    }

    /// The scheme of what it asks for.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Its certificate.
    pub fn certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.tls.as_ref().and_then(|tls| tls.client.as_ref())
    }

    /// What services are told of it with a request for this host: mostly the same as the last time. A proxy speaks for
    /// another client each time.
    ///
    /// # Errors
    ///
    /// Those of `words`, which puts them together.
    pub fn words(
        &self,
        host: Option<&HeaderValue>,
        words: impl FnOnce() -> Result<Words, Refusal>,
    ) -> Result<Words, Refusal> {
        if self.proxies.is_some() {
            return words();
        }
        let mut last = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.are_for(host)) {
            return Ok(last.clone());
        }
        let words = words()?;
        *last = Some(words.clone());
        Ok(words)
    }

    /// Refuses a request that belongs on another connection. Only HTTP/2 clients put requests for several
    /// hosts on one, and only they try again elsewhere.
    pub fn check_authority(&self, head: &Parts) -> Result<(), Refusal> {
        let (Some(tls), Version::HTTP_2) = (&self.tls, head.version) else {
            return Ok(());
        };
        match framing::host_of(head) {
            Some(host) if tls.is_misdirected(host) => Err(Refusal::Misdirected),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Request, header};

    use super::*;
    use crate::gateway::context::Context;

    #[test]
    fn services_are_told_of_the_host_of_each_request_whatever_it_was_before() {
        let peer = Arc::new(Peer::new("192.0.2.7".parse().unwrap(), None, &Arc::from([])));
        let context = Context::begin(&Request::new(()), &peer);
        for host in [Some("a"), Some("a"), Some("b:8080"), Some("a"), None, Some("b")] {
            let host = host.map(|host| (header::HOST, HeaderValue::from_static(host)));
            let mut headers: HeaderMap = host.clone().into_iter().collect();
            forwarded::write(&mut headers, &context).unwrap();
            let name = host.as_ref().map(|(_, name)| name);
            assert_eq!(headers.get("x-forwarded-host"), name);
            let port = if name.is_some_and(|name| name == "b:8080") { "8080" } else { "80" };
            assert_eq!(headers["x-forwarded-port"], port);
            let told = name.map_or(String::new(), |name| format!(";host={name:?}"));
            assert_eq!(headers[header::FORWARDED], format!("for=192.0.2.7;proto=http{told}"));
        }
    }
}
