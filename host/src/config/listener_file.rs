//! What `[gateway]` says about TLS, proxies and HTTP/2, exactly as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::{Size, Time};

/// More streams than one client needs at once; each of them may hold an instance.
pub const STREAMS_LIMIT: u64 = 10_000;

/// The highest port.
pub const PORT_LIMIT: u64 = u16::MAX as u64;

/// TLS on the gateway's address; it speaks clear text when absent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// The certificates, chosen by the name that a client asks for; the first one serves unknown names.
    #[schemars(required, extend("examples" = [[{ "certificate": "shop.pem", "key": "shop.key" }]]))]
    pub certificates: Option<Vec<Certificate>>,
    /// The oldest version of TLS; 1.2 when absent.
    pub min_version: Option<TlsVersion>,
    /// A client's time for the handshake; 10s when absent.
    pub handshake_timeout: Option<Time>,
    /// The file of the authorities that sign client certificates, relative to this file.
    #[schemars(example = &"clients-ca.pem")]
    pub client_ca: Option<String>,
    /// Whether clients must show a certificate; required when `client-ca` is there.
    pub client_certificates: Option<ClientCertificates>,
    /// An address for clear text, where every request is redirected to https; none when absent.
    #[schemars(example = &"0.0.0.0:80")]
    pub redirect: Option<String>,
    /// The port that it redirects to, where it differs from the gateway's.
    #[schemars(range(min = 1, max = PORT_LIMIT))]
    pub redirect_port: Option<u64>,
}

/// A certificate with its chain, and its key, as PEM files relative to this file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Certificate {
    /// The file of the certificate, followed by those that lead to its authority.
    #[schemars(required, example = &"shop.pem")]
    pub certificate: Option<String>,
    /// The file of its private key.
    #[schemars(required, example = &"shop.key")]
    pub key: Option<String>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    V1_3,
}

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificates {
    /// A client without one is served; one that is shown must be valid.
    Optional,
    /// The handshake fails without one.
    Required,
}

/// The limits of HTTP/2.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http2 {
    /// Requests at once on one connection; 100 when absent.
    #[schemars(range(min = 1, max = STREAMS_LIMIT))]
    pub streams_max: Option<u64>,
    /// Requests that a client may begin and reset before they are looked at; 20 when absent.
    #[schemars(range(min = 1, max = STREAMS_LIMIT))]
    pub resets_max: Option<u64>,
    /// All header fields of a request, with 32 bytes for each; 32KiB when absent.
    pub header_list: Option<Size>,
    /// How often a client is asked whether it is still there; 30s when absent.
    pub ping_interval: Option<Time>,
    /// How long it has for the answer; 20s when absent.
    pub ping_timeout: Option<Time>,
}
