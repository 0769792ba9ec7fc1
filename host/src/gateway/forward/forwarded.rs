//! What proxies say about a client (RFC 7239 and the older X-Forwarded-*): believed of trusted ones, written
//! for services.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;

use crate::gateway::context::Context;
use crate::gateway::listener::peer::Peer;
use crate::gateway::reply::Refusal;
use crate::gateway::routing::host;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// What is known about the origin of a request.
#[derive(Debug, PartialEq)]
pub struct Told {
    /// The client: the nearest address that is no trusted proxy.
    pub client: IpAddr,
    /// The scheme that it used, when a proxy told.
    pub scheme: Option<&'static str>,
    /// The host that it asked for, when a proxy told.
    pub host: Option<HeaderValue>,
    /// The port that it asked at, when a proxy told.
    pub port: Option<u16>,
}

/// Whether an address is that of a trusted proxy.
pub fn is_trusted(proxies: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    proxies.iter().any(|network| network.contains(&address))
}

/// Reads what the peer says, if it is a trusted proxy. Where it sends both forms, the older one counts, since
/// proxies that know only that one let the other pass as the client sent it.
pub fn read(headers: &HeaderMap, peer: &Peer) -> Told {
    match &peer.proxies {
        Some(proxies) => read_trusted(headers, peer.address, proxies),
        None => Told { client: peer.address, scheme: None, host: None, port: None },
    }
}

/// What services are told of a client with a request for one host.
#[derive(Debug, Clone)]
pub struct Words {
    /// None where the request names none.
    host: Option<HeaderValue>,
    client: HeaderValue,
    port: HeaderValue,
    /// All of it as RFC 7239 has it.
    forwarded: HeaderValue,
}

/// Tells a service what is known of the client; what clients claimed must be out already.
///
/// # Errors
///
/// When something cannot stand in a header, which the checks before exclude.
pub fn write(headers: &mut HeaderMap, context: &Context) -> Result<(), Refusal> {
    let host = context.asked_host.as_ref().or_else(|| headers.get(header::HOST));
    let words = context.peer.words(host, || Words::new(context, host))?;
    if let Some(host) = words.host {
        headers.insert(HOST, host);
    }
    headers.insert(header::FORWARDED, words.forwarded);
    headers.insert(FOR, words.client);
    headers.insert(PROTO, HeaderValue::from_static(context.scheme));
    headers.insert(PORT, words.port);
    Ok(())
}

impl Words {
    /// Puts them together.
    fn new(context: &Context, host: Option<&HeaderValue>) -> Result<Self, Refusal> {
        let (peer, proto) = (&context.peer, context.scheme);
        let client = match context.client == peer.address {
            true => peer.address_text.clone(),
            false => address_text(context.client),
        };
        let client_text = client.to_str().unwrap_or_default();
        let name = host.and_then(|host| host.to_str().ok());
        let (open, close) = if context.client.to_canonical().is_ipv6() { ("\"[", "]\"") } else { ("", "") };
        // A valid host holds nothing that would end the quotes.
        let [before, host_text, behind] = name.map_or([""; 3], |name| [";host=\"", name, "\""]);
        let parts = ["for=", open, client_text, close, ";proto=", proto, before, host_text, behind];
        let no_value = |_| Refusal::Malformed("a header cannot be passed on");
        let forwarded = HeaderValue::try_from(parts.concat()).map_err(no_value)?;
        let port = context.asked_port.or_else(|| host::port(name?));
        let port = port_text(port.unwrap_or(if proto == "https" { 443 } else { 80 }));
        // A copy, as the field is a part of all that was read with it.
        let host = host.map(|host| HeaderValue::from_bytes(host.as_bytes())).transpose().map_err(no_value)?;
        Ok(Self { host, client, port, forwarded })
    }

    /// Whether they are for a request for this host.
    pub fn are_for(&self, host: Option<&HeaderValue>) -> bool {
        self.host.as_ref() == host
    }
}

/// An address as X-Forwarded-For has it.
pub fn address_text(address: IpAddr) -> HeaderValue {
    // An address is always a value.
    HeaderValue::try_from(address.to_canonical().to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

fn port_text(port: u16) -> HeaderValue {
    match port {
        80 => HeaderValue::from_static("80"),
        443 => HeaderValue::from_static("443"),
        other => HeaderValue::from(other),
    }
}

fn read_trusted(headers: &HeaderMap, peer: IpAddr, proxies: &[IpNet]) -> Told {
    if headers.contains_key(header::FORWARDED) && !headers.contains_key(FOR) {
        return read_standard(headers, peer, proxies);
    }
    let hops = from_the_right(headers, FOR).map(node);
    Told {
        client: nearest(hops.map(|hop| (hop, ())), peer, proxies).0,
        // Of a list the last counts, which the peer itself wrote.
        scheme: from_the_right(headers, PROTO).next().and_then(scheme),
        host: from_the_right(headers, HOST).next().and_then(asked_host),
        port: from_the_right(headers, PORT).next().and_then(|port| port.parse().ok()),
    }
}

/// The elements of a list header, the last one first.
fn from_the_right(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',').map(str::trim))
}

/// Goes from hop to hop until one is no trusted proxy. A hop that names no address ends the way: what is
/// beyond it, nobody vouches for.
fn nearest<T: Default>(
    hops: impl Iterator<Item = (Option<IpAddr>, T)>,
    peer: IpAddr,
    proxies: &[IpNet],
) -> (IpAddr, T) {
    let mut client = (peer, T::default());
    for (address, told) in hops {
        let Some(address) = address else { break };
        client = (address, told);
        if !is_trusted(proxies, address) {
            break;
        }
    }
    client
}

/// An address, perhaps with a port, as RFC 7239, 6, and as proxies write it in X-Forwarded-For.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    bare.or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

fn scheme(text: &str) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme))
}

fn asked_host(text: &str) -> Option<HeaderValue> {
    host::is_valid(text).then(|| HeaderValue::from_str(text).ok())?
}

/// One element of a Forwarded field.
#[derive(Debug, Default)]
struct Element {
    node: Option<IpAddr>,
    scheme: Option<&'static str>,
    host: Option<HeaderValue>,
}

fn read_standard(headers: &HeaderMap, peer: IpAddr, proxies: &[IpNet]) -> Told {
    let lines = headers.get_all(header::FORWARDED).iter().rev();
    let elements = lines.flat_map(|line| {
        let elements: Vec<&str> = split(line.to_str().unwrap_or_default(), ',').collect();
        elements.into_iter().rev()
    });
    let hops = elements.map(|text| {
        let element = element(text).unwrap_or_default();
        (element.node, element)
    });
    let (client, told) = nearest(hops, peer, proxies);
    let port = told.host.as_ref().and_then(|host| host::port(host.to_str().unwrap_or_default()));
    Told { client, scheme: told.scheme, host: told.host, port }
}

/// None when anything in it is malformed: half an element may be what a client sent, run into the next.
fn element(text: &str) -> Option<Element> {
    let mut element = Element::default();
    for pair in split(text, ';') {
        let (name, value) = pair.trim().split_once('=')?;
        let value = unquoted(value)?;
        if name.eq_ignore_ascii_case("for") {
            element.node = node(&value);
        } else if name.eq_ignore_ascii_case("proto") {
            element.scheme = scheme(&value);
        } else if name.eq_ignore_ascii_case("host") {
            element.host = asked_host(&value);
        }
    }
    Some(element)
}

/// Splits where the separator is not within quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        if escaped {
            escaped = false;
            return false;
        }
        match character {
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        character == separator && !quoted
    })
}

/// A token, or what a quoted string says (RFC 9110, 5.6.4).
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = value.strip_prefix('"') else {
        return (!value.contains(['"', '\\'])).then_some(Cow::Borrowed(value));
    };
    let mut said = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(Cow::Owned(said)),
            '\\' => said.push(characters.next()?),
            character => said.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// What a peer at 10.0.0.1 is believed to tell, with 10.0.0.0/8 and fd00::/8 trusted.
    fn told(fields: &[(&'static str, &str)]) -> Told {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let proxies: [IpNet; 2] = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        read(&headers, &Peer::new("10.0.0.1".parse().unwrap(), None, &Arc::from(proxies)))
    }

    #[test]
    fn the_client_is_the_nearest_address_that_is_no_trusted_proxy() {
        for (lines, client) in [
            (&["192.0.2.7"][..], "192.0.2.7"),
            (&["1.1.1.1, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            (&["1.1.1.1", "192.0.2.7,10.0.0.2"], "192.0.2.7"),
            (&["1.1.1.1, 192.0.2.7:4711"], "192.0.2.7"),
            (&["[2001:db8::1]:80, fd00::1"], "2001:db8::1"),
            (&["::ffff:192.0.2.7"], "192.0.2.7"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&["1.1.1.1, unknown"], "10.0.0.1"),
            (&["1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["1.1.1.1,"], "10.0.0.1"),
            (&[""], "10.0.0.1"),
        ] {
            let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            assert_eq!(told(&fields).client, client.parse::<IpAddr>().unwrap(), "{lines:?}");
        }
        assert_eq!(told(&[]).client, "10.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn the_standard_field_is_read_as_strictly() {
        for (line, client) in [
            ("for=192.0.2.7", "192.0.2.7"),
            ("For=\"[2001:db8::1]:4711\";proto=https", "2001:db8::1"),
            ("for=1.1.1.1, for=192.0.2.7;by=10.0.0.9, for=10.0.0.2", "192.0.2.7"),
            ("for=1.1.1.1, for=_hidden", "10.0.0.1"),
            // What a client sends must not swallow what the proxy adds.
            ("for=1.1.1.1;x=\", for=192.0.2.7", "10.0.0.1"),
            ("for=1.1.1.1;x=\", for=\"[2001:db8::1]\"", "10.0.0.1"),
            ("for=1.1.1.1;x=\"a,b\\\"\", for=192.0.2.7", "192.0.2.7"),
            ("for=1.1.1.1;x=\"\\\", for=192.0.2.7", "10.0.0.1"),
            ("nonsense", "10.0.0.1"),
        ] {
            assert_eq!(told(&[("forwarded", line)]).client, client.parse::<IpAddr>().unwrap(), "{line}");
        }
        let both = told(&[("forwarded", "for=1.1.1.1;proto=https"), ("x-forwarded-for", "192.0.2.7")]);
        assert_eq!((both.client, both.scheme), ("192.0.2.7".parse().unwrap(), None));
    }

    #[test]
    fn scheme_host_and_port_are_kept_when_they_are_valid() {
        let fields = |proto, host, port| {
            [("x-forwarded-proto", proto), ("x-forwarded-host", host), ("x-forwarded-port", port)]
        };
        let good = told(&fields("http, HTTPS", "shop.example:8443", "8443"));
        assert_eq!((good.scheme, good.port), (Some("https"), Some(8443)));
        assert_eq!(good.host.unwrap(), "shop.example:8443");
        let bad = told(&fields("gopher", "a/b", "70000"));
        assert_eq!((bad.scheme, bad.host, bad.port), (None, None, None));
        let standard = told(&[("forwarded", "for=192.0.2.7;host=\"shop.example:8443\";proto=https")]);
        assert_eq!((standard.scheme, standard.port), (Some("https"), Some(8443)));
        assert_eq!(standard.host.unwrap(), "shop.example:8443");
    }
}
