//! TLS by rustls: versions, protocols, certificates by name, client certificates.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::{self, Certificates, TlsError};
use super::client_certificate::ClientCertificate;
use crate::config::{ClientCaConfig, ClientCertificates, TlsConfig, TlsVersion};

/// The protocols that are offered, the preferred one first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What makes a connection a TLS connection. Built whole from files, and swapped whole: tickets of a former
/// one are not taken, so that nobody resumes what a new `client-ca` would refuse.
pub struct Tls {
    acceptor: TlsAcceptor,
    certificates: Arc<Certificates>,
    handshake_timeout: Duration,
}

/// What a handshake told.
#[derive(Debug)]
pub struct TlsFacts {
    /// The name that the client asked for.
    server_name: Option<String>,
    certificates: Arc<Certificates>,
    /// The client's certificate, verified.
    pub client: Option<Arc<ClientCertificate>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Which of them cannot be used, and why.
    pub fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificates = Arc::new(Certificates::load(&config.certificates, &provider)?);
        let verifier = match &config.clients {
            Some(clients) => verifier(clients, provider.clone())?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        // Only the provider can fail here; the first file stands for all.
        let failed = |error: rustls::Error| {
            let file = config.certificates.first().map(|pair| pair.certificate.clone()).unwrap_or_default();
            certificate::fault(&file, error.to_string())
        };
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(config.min_version))
            .map_err(failed)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certificates.clone());
        server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        if config.clients.is_some() {
            // A resumed session would keep a client known whose certificate has expired since (RFC 8446, 4.6.1).
            server.send_tls13_tickets = 0;
            server.session_storage = Arc::new(NoServerSessionStorage {});
        } else {
            server.ticketer = rustls::crypto::ring::Ticketer::new().map_err(failed)?;
        }
        Ok(Self {
            acceptor: Arc::new(server).into(),
            certificates,
            handshake_timeout: config.handshake_timeout,
        })
    }

    /// Shakes hands.
    ///
    /// # Errors
    ///
    /// When the client cannot or must not be served, or takes too long.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, TlsFacts)> {
        let accepted = tokio::time::timeout(self.handshake_timeout, self.acceptor.accept(stream)).await;
        let stream = accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let session = stream.get_ref().1;
        let client = match session.peer_certificates().and_then(<[_]>::first) {
            Some(der) => {
                let client = ClientCertificate::read(der);
                // A holder that cannot be named is nobody.
                Some(client.ok_or_else(|| io::Error::other("the client certificate cannot be read"))?)
            }
            None => None,
        };
        let facts = TlsFacts {
            server_name: session.server_name().map(str::to_owned),
            certificates: self.certificates.clone(),
            client: client.map(Arc::new),
        };
        Ok((stream, facts))
    }
}

impl TlsFacts {
    /// Whether a request for this host belongs on another connection: the client asked for a name, and the
    /// certificate that it got does not hold this host, but another one does (RFC 9110, 15.5.20).
    pub fn is_misdirected(&self, host: &str) -> bool {
        let Some(server_name) = self.server_name.as_deref() else {
            return false;
        };
        let chosen = self.certificates.chosen(Some(server_name));
        let mut holders = self.certificates.holders(host).peekable();
        holders.peek().is_some() && holders.all(|holder| holder != chosen)
    }
}

fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_1_2: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    static FROM_1_3: [&SupportedProtocolVersion; 1] = [&version::TLS13];
    match min {
        TlsVersion::V1_2 => &FROM_1_2,
        TlsVersion::V1_3 => &FROM_1_3,
    }
}

fn verifier(
    config: &ClientCaConfig,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let file = &config.authorities;
    let mut roots = RootCertStore::empty();
    for authority in certificate::read_certificates(file)? {
        let added = roots.add(authority);
        added.map_err(|error| certificate::fault(file, format!("it holds no usable authority: {error}")))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match config.demand {
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        ClientCertificates::Required => builder,
    };
    builder.build().map_err(|error| certificate::fault(file, error.to_string()))
}
