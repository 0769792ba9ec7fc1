//! An authority that signs certificates, and their files.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

/// A certificate authority of the test's own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one; two of the same name do not take each other's certificates.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its own certificate, as a TLS library takes it.
    pub fn der(&self) -> rustls::pki_types::CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A certificate with this common name, or none when it is empty, for these host names; and its key.
    pub fn issue(&self, common_name: &str, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = params(common_name, names).signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes such a pair as `{file}.pem` and `{file}.key`, replacing in one step each what is there.
    pub fn write(&self, folder: &Path, file: &str, common_name: &str, names: &[&str]) {
        let (certificate, key) = self.issue(common_name, names);
        for (ending, text) in [("pem", certificate), ("key", key)] {
            let draft = folder.join(format!("{file}.{ending}.new"));
            std::fs::write(&draft, text).unwrap();
            std::fs::rename(draft, folder.join(format!("{file}.{ending}"))).unwrap();
        }
    }
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    if !common_name.is_empty() {
        params.distinguished_name.push(DnType::CommonName, common_name);
    }
    params
}
