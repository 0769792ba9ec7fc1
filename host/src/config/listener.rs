//! The checked form of TLS, of the proxies in front, and of the limits of HTTP/2.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::file;
use super::key::Key;
use super::listener_file as written;
pub use super::listener_file::{ClientCertificates, TlsVersion};
use super::report::Report;
use super::units::{self, KIB};

/// A handshake is two round trips; whoever needs longer holds the connection on purpose.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The least that clients may count on (RFC 9113, 6.5.2).
const STREAMS: u32 = 100;
/// Nobody resets what was not yet looked at but by accident; floods do so by thousands (CVE-2023-44487).
const RESETS: usize = 20;
/// As much as a request of HTTP/1.1 may have.
const HEADER_LIST_BYTES: u64 = 32 * KIB;
/// Beyond this the gateway refuses the request anyway, and a decoder would only hold more for each stream.
const HEADER_LIST_BYTES_MAX: u64 = 64 * KIB;
/// Less does not hold the cookies of an ordinary browser.
const HEADER_LIST_BYTES_MIN: u64 = KIB;
/// Shorter than the idle limits of routers on the way.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// A mobile client that changes cells answers within this.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How clients connect: through TLS, behind proxies, by HTTP/2.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerConfig {
    /// TLS; none: clear text.
    pub tls: Option<TlsConfig>,
    /// What is believed of proxies.
    pub proxies: ProxyConfig,
    /// The limits of HTTP/2.
    pub http2: Http2Config,
}

/// TLS on the gateway's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// At least one; the first serves names that are in none of them.
    pub certificates: Vec<CertificateConfig>,
    /// The oldest version.
    pub min_version: TlsVersion,
    /// A client's time for the handshake.
    pub handshake_timeout: Duration,
    /// Whose client certificates are taken; none: nobody is asked for one.
    pub clients: Option<ClientCaConfig>,
    /// The listener that redirects to https.
    pub redirect: Option<RedirectListenerConfig>,
}

/// The files of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateConfig {
    /// The certificate and its chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Client certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCaConfig {
    /// The file of the authorities, PEM.
    pub authorities: PathBuf,
    /// Whether a client must show one.
    pub demand: ClientCertificates,
}

/// A clear-text address whose requests are sent to https.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedirectListenerConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The port that clients are sent to; none: the gateway's.
    pub port: Option<u16>,
}

/// The proxies that stand before the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Whether each connection begins with a header of the PROXY protocol.
    pub protocol: bool,
    /// Whose word about clients counts.
    pub trusted: Vec<IpNet>,
}

/// The limits of HTTP/2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2Config {
    /// Requests at once on one connection.
    pub streams_max: u32,
    /// Requests that were reset before they were looked at.
    pub resets_max: usize,
    /// All fields of a header, with 32 bytes for each.
    pub header_list_bytes_max: u32,
    /// How often a client is asked whether it is still there.
    pub ping_interval: Duration,
    /// How long it has for the answer.
    pub ping_timeout: Duration,
}

impl Default for Http2Config {
    fn default() -> Self {
        http2(&written::Http2::default(), &Key::root(), &mut Report::new(""))
    }
}

impl ListenerConfig {
    /// The files that it names, which are read again when they change.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let pairs = self.tls.iter().flat_map(|tls| &tls.certificates);
        let authorities = self.tls.iter().filter_map(|tls| tls.clients.as_ref());
        pairs
            .flat_map(|pair| [&pair.certificate, &pair.key])
            .chain(authorities.map(|clients| &clients.authorities))
    }

    /// Where the redirecting listener stands.
    pub fn redirect(&self) -> Option<RedirectListenerConfig> {
        self.tls.as_ref().and_then(|tls| tls.redirect)
    }
}

/// Checks what `[gateway]` says about TLS, proxies and HTTP/2.
pub fn check(written: &file::Gateway, folder: &Path, key: &Key, report: &mut Report<'_>) -> ListenerConfig {
    let tls = written.tls.as_ref();
    ListenerConfig {
        tls: tls.map(|tls| check_tls(tls, folder, &key.field("tls"), report)),
        proxies: proxies(written, key, report),
        http2: http2(&written.http2, &key.field("http2"), report),
    }
}

/// Refuses that two listeners have one address; port 0 is never the same.
pub fn refuse_same_port(
    key: &Key,
    one: SocketAddr,
    (other, name): (SocketAddr, &str),
    report: &mut Report<'_>,
) {
    let is_same_address = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    if one.port() != 0 && one.port() == other.port() && is_same_address {
        report.refuse(key, format!("write another port than `{name}` has"));
    }
}

fn check_tls(tls: &written::Tls, folder: &Path, key: &Key, report: &mut Report<'_>) -> TlsConfig {
    let certificates_key = key.field("certificates");
    let pairs = tls.certificates.iter().flatten().enumerate();
    let certificates = pairs.map(|(index, pair)| {
        let key = certificates_key.item(index);
        CertificateConfig {
            certificate: pem(pair.certificate.as_deref(), folder, &key.field("certificate"), report),
            key: pem(pair.key.as_deref(), folder, &key.field("key"), report),
        }
    });
    let certificates: Vec<_> = certificates.collect();
    if tls.certificates.as_ref().is_some_and(Vec::is_empty) {
        report.refuse(&certificates_key, "name a certificate, or take `[gateway.tls]` out for clear text");
    }
    let handshake_key = key.field("handshake-timeout");
    TlsConfig {
        certificates,
        min_version: tls.min_version.unwrap_or(TlsVersion::V1_2),
        handshake_timeout: units::time(
            tls.handshake_timeout.as_ref(),
            HANDSHAKE_TIMEOUT,
            &handshake_key,
            report,
        ),
        clients: clients(tls, folder, key, report),
        redirect: redirect(tls, key, report),
    }
}

fn clients(tls: &written::Tls, folder: &Path, key: &Key, report: &mut Report<'_>) -> Option<ClientCaConfig> {
    let demand_key = key.field("client-certificates");
    let Some(authorities) = tls.client_ca.as_deref() else {
        if tls.client_certificates.is_some() && !report.refused_within(&key.field("client-ca")) {
            report.refuse(&demand_key, "add `client-ca = \"FILE\"`: it says whose certificates are taken");
        }
        return None;
    };
    Some(ClientCaConfig {
        authorities: pem(Some(authorities), folder, &key.field("client-ca"), report),
        demand: tls.client_certificates.unwrap_or(ClientCertificates::Required),
    })
}

fn redirect(tls: &written::Tls, key: &Key, report: &mut Report<'_>) -> Option<RedirectListenerConfig> {
    let (listen_key, port_key) = (key.field("redirect"), key.field("redirect-port"));
    if tls.redirect.is_none() {
        if tls.redirect_port.is_some() && !report.refused_within(&listen_key) {
            report.refuse(&port_key, "add `redirect = \"0.0.0.0:80\"`, or take this key out");
        }
        return None;
    }
    let listen = units::listen(tls.redirect.as_deref(), &listen_key, report);
    Some(RedirectListenerConfig { listen, port: tls.redirect_port.and_then(|port| port.try_into().ok()) })
}

/// A file that must be there; what is in it is told when it is read.
fn pem(written: Option<&str>, folder: &Path, key: &Key, report: &mut Report<'_>) -> PathBuf {
    // What is missing was refused by the schema.
    let Some(written) = written else { return folder.to_owned() };
    let path = units::path(written, folder, key, report);
    if !path.is_file() && !report.refused_within(key) {
        report.refuse(key, "correct the path or put the PEM file there: there is no such file");
    }
    path
}

fn proxies(written: &file::Gateway, key: &Key, report: &mut Report<'_>) -> ProxyConfig {
    let trusted_key = key.field("trusted-proxies");
    let mut trusted = Vec::new();
    for (index, text) in written.trusted_proxies.iter().flatten().enumerate() {
        match network(text) {
            Some(network) => trusted.push(network),
            None => report.refuse(
                &trusted_key.item(index),
                "write an address or a network such as \"10.0.0.0/8\", \"192.0.2.7\" or \"fd00::/8\"",
            ),
        }
    }
    let protocol = written.proxy_protocol.unwrap_or(false);
    if protocol && trusted.is_empty() && !report.refused_within(&trusted_key) {
        report.refuse(
            &key.field("proxy-protocol"),
            "add `trusted-proxies = [\"10.0.0.0/8\"]`: only from there a header is taken",
        );
    }
    ProxyConfig { protocol, trusted }
}

/// A network, or one address as a network of its own. Bits below the prefix are a slip of the pen.
fn network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address));
    }
    text.parse::<IpNet>().ok().filter(|network| network.addr() == network.network())
}

fn http2(written: &written::Http2, key: &Key, report: &mut Report<'_>) -> Http2Config {
    let header_list = units::size(
        written.header_list.as_ref(),
        HEADER_LIST_BYTES,
        HEADER_LIST_BYTES_MIN..=HEADER_LIST_BYTES_MAX,
        &key.field("header-list"),
        report,
    );
    Http2Config {
        streams_max: written.streams_max.and_then(|streams| streams.try_into().ok()).unwrap_or(STREAMS),
        resets_max: units::count(written.resets_max, RESETS),
        header_list_bytes_max: u32::try_from(header_list).unwrap_or(u32::MAX),
        ping_interval: units::time(
            written.ping_interval.as_ref(),
            PING_INTERVAL,
            &key.field("ping-interval"),
            report,
        ),
        ping_timeout: units::time(
            written.ping_timeout.as_ref(),
            PING_TIMEOUT,
            &key.field("ping-timeout"),
            report,
        ),
    }
}
