//! One key: ECDSA on P-256 with SHA-256 (ES256), which every client of OpenID can check.

use base64ct::{Base64UrlUnpadded, Encoding};
use hostel_sdk::{Error, Result};
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{self, Signature};
use p256::elliptic_curve::Generate;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::opaque;

/// The name of the algorithm in tokens and keys (RFC 7518, 3.4).
pub const ALGORITHM: &str = "ES256";

/// A key that can sign.
pub struct SigningKey {
    id: String,
    pair: ecdsa::SigningKey,
}

/// Its public half, as everybody may read it (RFC 7517, 4).
#[derive(Debug, Serialize)]
pub struct PublicKey {
    kty: &'static str,
    crv: &'static str,
    x: String,
    y: String,
    kid: String,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
}

impl SigningKey {
    /// A new one.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn generate() -> Result<Self> {
        Ok(Self::new(ecdsa::SigningKey::try_generate().map_err(Error::internal)?))
    }

    /// The one of these bytes.
    ///
    /// # Errors
    /// When they are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        ecdsa::SigningKey::from_slice(bytes).map(Self::new).map_err(Error::internal)
    }

    /// Its secret.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.pair.to_bytes().to_vec())
    }

    /// Its `kid`: the thumbprint of RFC 7638, so that a name never means two keys.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Signs.
    ///
    /// # Errors
    /// Never for a sound key.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature: Signature = self.pair.try_sign(message).map_err(Error::internal)?;
        Ok(signature.to_bytes().to_vec())
    }

    /// Whether it has signed this.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        self.pair.verifying_key().verify(message, &signature).is_ok()
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        let (x, y) = coordinates(&self.pair);
        PublicKey { kty: "EC", crv: "P-256", x, y, kid: self.id.clone(), alg: ALGORITHM, usage: "sig" }
    }

    fn new(pair: ecdsa::SigningKey) -> Self {
        let (x, y) = coordinates(&pair);
        let id = opaque::digest(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        Self { id, pair }
    }
}

/// An uncompressed point of SEC 1, 2.3.3: a byte, then x, then y.
fn coordinates(pair: &ecdsa::SigningKey) -> (String, String) {
    let point = pair.verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(32);
    (Base64UrlUnpadded::encode_string(x), Base64UrlUnpadded::encode_string(y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_after_its_bytes() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_bytes(&key.to_bytes()).unwrap();
        assert_eq!(key.id(), again.id());
        let signature = key.sign(b"message").unwrap();
        assert!(again.has_signed(b"message", &signature));
        assert!(!again.has_signed(b"massage", &signature));
        assert!(!SigningKey::generate().unwrap().has_signed(b"message", &signature));
        assert!(!again.has_signed(b"message", &signature[1..]));
    }

    #[test]
    fn the_public_half_has_the_members_of_the_standard() {
        // RFC 7517, appendix A.2: a private key with its coordinates.
        let secret = Base64UrlUnpadded::decode_vec("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE").unwrap();
        let key = serde_json::to_value(SigningKey::from_bytes(&secret).unwrap().public()).unwrap();
        assert_eq!(key["x"], "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4");
        assert_eq!(key["y"], "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
        assert_eq!((&key["kty"], &key["use"], &key["alg"]), (&"EC".into(), &"sig".into(), &"ES256".into()));
        assert!(key.get("d").is_none());
    }
}
