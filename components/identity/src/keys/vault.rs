//! What is encrypted or authenticated under the operator's secret `key`.

use base64ct::{Base64UrlUnpadded, Encoding};
use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use hostel_sdk::{Error, Result, config};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Below this length a secret may have been thought up by somebody.
const SECRET_CHARS_MIN: usize = 32;

/// The length of a nonce of ChaCha20-Poly1305 (RFC 8439, 2.8).
const NONCE_BYTES: usize = 12;

/// Everything under the secret has a key of its own, derived for its purpose (RFC 5869).
#[derive(Debug, Clone, Copy)]
enum Purpose {
    SigningKeys,
    Forms,
}

/// The secret, from which keys are derived.
pub struct Vault(Hkdf<Sha256>);

impl Vault {
    /// Reads the secret `key`.
    ///
    /// # Errors
    /// When it is missing or too short.
    pub fn read() -> Result<Self> {
        let advice = "give services.identity.secrets one, as key = \"env:IDENTITY_KEY\"";
        let secret = config::get("key")?.map(Zeroizing::new);
        let secret =
            secret.ok_or_else(|| Error::internal(format!("the secret `key` is missing: {advice}")))?;
        Self::new(&secret)
    }

    /// Encrypts a private key, bound to its name.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Result<String> {
        let nonce = Nonce::try_generate().map_err(Error::internal)?;
        let payload = Payload { msg: plain, aad: name.as_bytes() };
        let sealed = self.cipher()?.encrypt(&nonce, payload).map_err(Error::internal)?;
        Ok(Base64UrlUnpadded::encode_string(&[nonce.as_slice(), &sealed].concat()))
    }

    /// Decrypts a private key.
    ///
    /// # Errors
    /// When it was sealed under another secret or name, or was changed.
    pub fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>> {
        let fault = || {
            let advice =
                "give back the secret `key` that it was encrypted with, or delete its row in signing_keys";
            Error::internal(format!("the signing key {name} cannot be decrypted: {advice}"))
        };
        let bytes = Base64UrlUnpadded::decode_vec(sealed).map_err(|_| fault())?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(fault)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| fault())?;
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        self.cipher()?.decrypt(&nonce, payload).map(Zeroizing::new).map_err(|_| fault())
    }

    /// The proof that a form was made here.
    ///
    /// # Errors
    /// Never in practice: the lengths are fixed.
    pub fn stamp(&self, text: &str) -> Result<String> {
        Ok(Base64UrlUnpadded::encode_string(&self.mac(text)?.finalize().into_bytes()))
    }

    /// Whether a proof is the one of this text, in a time that tells nothing.
    ///
    /// # Errors
    /// As [`Self::stamp`].
    pub fn is_stamp(&self, text: &str, stamp: &str) -> Result<bool> {
        let Ok(stamp) = Base64UrlUnpadded::decode_vec(stamp) else { return Ok(false) };
        Ok(self.mac(text)?.verify_slice(&stamp).is_ok())
    }

    fn new(secret: &str) -> Result<Self> {
        if secret.chars().count() < SECRET_CHARS_MIN {
            let fault = format!("the secret `key` has under {SECRET_CHARS_MIN} characters");
            return Err(Error::internal(format!("{fault}: make one with `openssl rand -base64 32`")));
        }
        Ok(Self(Hkdf::new(None, secret.as_bytes())))
    }

    fn derive(&self, purpose: Purpose) -> Result<Zeroizing<[u8; 32]>> {
        let info: &[u8] = match purpose {
            Purpose::SigningKeys => b"hostel identity: signing keys",
            Purpose::Forms => b"hostel identity: forms",
        };
        let mut key = Zeroizing::new([0; 32]);
        self.0.expand(info, key.as_mut_slice()).map_err(Error::internal)?;
        Ok(key)
    }

    fn cipher(&self) -> Result<ChaCha20Poly1305> {
        let key = self.derive(Purpose::SigningKeys)?;
        ChaCha20Poly1305::new_from_slice(key.as_slice()).map_err(Error::internal)
    }

    fn mac(&self, text: &str) -> Result<Hmac<Sha256>> {
        let key = self.derive(Purpose::Forms)?;
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_slice()).map_err(Error::internal)?;
        Ok(mac.chain_update(text))
    }
}

#[cfg(test)]
impl Vault {
    /// A vault for tests.
    pub fn for_tests() -> Self {
        Self::new("0123456789abcdef0123456789abcdef").unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_own_name_and_secret_only() {
        let vault = Vault::for_tests();
        let sealed = vault.seal("one", b"private").unwrap();
        assert_eq!(vault.open("one", &sealed).unwrap().as_slice(), b"private");
        assert!(vault.open("other", &sealed).is_err());
        assert!(vault.open("one", &sealed[1..]).is_err());
        assert!(vault.open("one", "").is_err());
        let other = Vault::new("another secret of 32 characters.").unwrap();
        assert!(other.open("one", &sealed).is_err());
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(Vault::new("0123456789abcdef0123456789abcde").is_err());
    }

    #[test]
    fn a_stamp_proves_one_text() {
        let vault = Vault::for_tests();
        let stamp = vault.stamp("form").unwrap();
        assert!(vault.is_stamp("form", &stamp).unwrap());
        assert!(!vault.is_stamp("forn", &stamp).unwrap());
        assert!(!vault.is_stamp("form", "").unwrap());
    }
}
