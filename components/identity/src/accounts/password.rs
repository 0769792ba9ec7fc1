//! Passwords: how long they are, and their hashes. They are never shown, logged or kept.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use hostel_sdk::{Error, Result};
use zeroize::Zeroizing;

/// NIST SP 800-63B: length is what counts, and no rule about which characters.
const CHARS_MIN: usize = 8;

/// Enough for any sentence; longer ones only cost time.
const CHARS_MAX: usize = 128;

/// Argon2id as OWASP recommends it: 19 MiB, which also fits the memory of an instance, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What somebody typed; its length is right.
pub struct Password(Zeroizing<String>);

/// A hash with its salt and parameters.
pub struct Hash(pub(super) String);

impl Password {
    /// Checks the length.
    ///
    /// # Errors
    /// What is wrong, for the one who typed it.
    pub fn new(text: &str) -> Result<Self, String> {
        match text.chars().count() {
            CHARS_MIN..=CHARS_MAX => Ok(Self(Zeroizing::new(text.to_owned()))),
            _ => Err(format!("A password has {CHARS_MIN} to {CHARS_MAX} characters.")),
        }
    }

    /// Its hash, for a new user. It takes long on purpose: not while a transaction is open.
    ///
    /// # Errors
    /// When there is no memory or no randomness for it.
    pub fn hash(&self) -> Result<Hash> {
        let hash: PasswordHash = hasher()?.hash_password(self.0.as_bytes()).map_err(Error::internal)?;
        Ok(Hash(hash.to_string()))
    }

    /// Whether this is the password of the hash. Without one it takes as long and says no, so that nobody can tell by the
    /// time whether there is an account.
    ///
    /// # Errors
    /// When the hash is none.
    pub fn is_of(&self, hash: Option<&Hash>) -> Result<bool> {
        let Some(hash) = hash else {
            self.hash()?;
            return Ok(false);
        };
        let parsed = PasswordHash::new(&hash.0).map_err(Error::internal)?;
        Ok(hasher()?.verify_password(self.0.as_bytes(), &parsed).is_ok())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_what_counts() {
        let check = |text: &str, expected: bool| assert_eq!(Password::new(text).is_ok(), expected, "{text}");
        check("1234567", false);
        check("12345678", true);
        check("ЖЖЖЖЖЖЖЖ", true);
        check(&"x".repeat(128), true);
        check(&"x".repeat(129), false);
        check("        ", true);
    }

    #[test]
    fn a_hash_fits_its_password_only() {
        let password = Password::new("correct horse").unwrap();
        let hash = password.hash().unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(password.is_of(Some(&hash)).unwrap());
        assert!(!Password::new("correct house").unwrap().is_of(Some(&hash)).unwrap());
        assert!(!password.is_of(None).unwrap());
        assert_ne!(hash.0, password.hash().unwrap().0);
    }

    #[test]
    fn a_password_is_never_shown() {
        let password = Password::new("correct horse").unwrap();
        assert_eq!(format!("{password:?}"), "Password");
    }
}
