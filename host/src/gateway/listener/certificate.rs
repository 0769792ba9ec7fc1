//! The gateway's certificates: read from PEM files, chosen by the name that a client asks for.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::config::CertificateConfig;
use crate::gateway::routing::host;

/// A chain is a few KiB, a bundle of all public authorities 250 KiB; a file named by mistake fills no memory.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a file cannot serve TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", file.display())]
pub struct TlsError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: String,
}

/// All certificates with their keys; the first serves names that are in none of them.
#[derive(Debug)]
pub struct Certificates {
    pairs: Vec<Arc<CertifiedKey>>,
    exact: Names,
    /// By what follows the `*`, such as `.example.com`.
    wildcard: Names,
}

/// The places of the certificates that hold a name, in the order of the file.
type Names = HashMap<String, Vec<usize>>;

impl Certificates {
    /// Reads and checks every pair.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, is no certificate or key, or the two do not belong together.
    pub fn load(pairs: &[CertificateConfig], provider: &CryptoProvider) -> Result<Self, TlsError> {
        let mut all =
            Self { pairs: Vec::with_capacity(pairs.len()), exact: Names::new(), wildcard: Names::new() };
        for (index, pair) in pairs.iter().enumerate() {
            let chain = read_certificates(&pair.certificate)?;
            for name in inspect(&chain, &pair.certificate)? {
                let (names, name) = match name.strip_prefix('*') {
                    Some(suffix) => (&mut all.wildcard, suffix.to_owned()),
                    None => (&mut all.exact, name),
                };
                names.entry(name).or_default().push(index);
            }
            let key = read_key(&pair.key)?;
            let pair = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
                let certificate = pair.certificate.display();
                fault(&pair.key, format!("the key does not serve the certificate {certificate}: {error}"))
            })?;
            all.pairs.push(Arc::new(pair));
        }
        Ok(all)
    }

    /// The place of the certificate that a client gets which asks for this name.
    pub fn chosen(&self, server_name: Option<&str>) -> usize {
        server_name.and_then(|name| self.holders(name).next()).unwrap_or(0)
    }

    /// The places of the certificates that hold this host; its port does not count.
    pub fn holders(&self, host: &str) -> impl Iterator<Item = usize> {
        let name = host::comparable(host);
        let exact = self.exact.get(&*name);
        // A `*` stands for one label, the first (RFC 9525, 6.3).
        let suffix = name.find('.').map(|dot| &name[dot..]);
        let wildcard = suffix.and_then(|suffix| self.wildcard.get(suffix));
        exact.into_iter().chain(wildcard).flatten().copied()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pairs.get(self.chosen(hello.server_name())).cloned()
    }
}

/// Every certificate of a PEM file.
///
/// # Errors
///
/// When it cannot be read or holds none.
pub fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(fault(file, "it holds no certificate; write one as PEM (`-----BEGIN CERTIFICATE-----`)"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(fault(file, format!("it is no PEM file: {error}"))),
    }
}

/// An error about this file.
pub fn fault(file: &Path, fault: impl Into<String>) -> TlsError {
    TlsError { file: file.to_owned(), fault: fault.into() }
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| {
        fault(
            file,
            format!("it holds no private key as PEM (PKCS#8, PKCS#1 or SEC1, not encrypted): {error}"),
        )
    })
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 > FILE_BYTES_MAX => {
            Err(fault(file, format!("it is longer than {FILE_BYTES_MAX} bytes")))
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(fault(file, error.to_string())),
    }
}

/// The names of the first certificate, in the form in which hosts are compared. Warns of what clients will
/// refuse.
fn inspect(chain: &[CertificateDer<'_>], file: &Path) -> Result<Vec<String>, TlsError> {
    let leaf = chain.first().map(AsRef::as_ref).unwrap_or_default();
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|error| fault(file, format!("its first certificate is malformed: {error}")))?;
    let shown = file.display();
    if !leaf.validity().is_valid() {
        let (from, to) = (leaf.validity().not_before, leaf.validity().not_after);
        tracing::warn!(
            "{shown}: the certificate holds from {from} to {to}, which is not now: clients refuse it"
        );
    }
    let names = names(&leaf);
    if names.is_empty() {
        tracing::warn!("{shown}: the certificate has no DNS name (subjectAltName): most clients refuse it");
    }
    Ok(names)
}

fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = leaf.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(host::comparable(name).into_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    names.collect()
}

/// An address as it stands in a Host field.
fn address(bytes: &[u8]) -> Option<String> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(if address.is_ipv6() { format!("[{address}]") } else { address.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Certificates with these names, without keys.
    fn with_names(all: &[&[&str]]) -> Certificates {
        let (mut exact, mut wildcard) = (Names::new(), Names::new());
        for (index, names) in all.iter().enumerate() {
            for name in *names {
                match name.strip_prefix('*') {
                    Some(suffix) => wildcard.entry(suffix.to_owned()).or_default().push(index),
                    None => exact.entry((*name).to_owned()).or_default().push(index),
                }
            }
        }
        Certificates { pairs: Vec::new(), exact, wildcard }
    }

    #[test]
    fn an_exact_name_goes_before_a_wildcard_and_an_unknown_one_gets_the_first() {
        let all = with_names(&[&["a.example"], &["*.example.com"], &["shop.example.com", "a.example"]]);
        for (name, expected) in [
            (Some("a.example"), 0),
            (Some("A.Example."), 0),
            (Some("blog.example.com"), 1),
            (Some("shop.example.com"), 2),
            (Some("deep.shop.example.com"), 0),
            (Some("example.com"), 0),
            (Some("elsewhere"), 0),
            (None, 0),
        ] {
            assert_eq!(all.chosen(name), expected, "{name:?}");
        }
        assert_eq!(all.holders("shop.example.com:8443").collect::<Vec<_>>(), [2, 1]);
        assert_eq!(all.holders("a.example").collect::<Vec<_>>(), [0, 2]);
        assert_eq!(all.holders("[::1]:8443").count(), 0);
    }
}
