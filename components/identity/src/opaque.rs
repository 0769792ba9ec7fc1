//! Texts that nobody can guess: codes, refresh tokens, cookies. The database knows only their digests, so that who
//! reads it can use none of them.

use base64ct::{Base64UrlUnpadded, Encoding};
use hostel_sdk::{Error, Result};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// 256 bits: no number of guesses finds one.
const RANDOM_BYTES: usize = 32;

/// A new one, 43 characters of base64url.
pub fn random() -> Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(format!("no random bytes: {error}")))?;
    Ok(Base64UrlUnpadded::encode_string(&bytes))
}

/// The SHA-256 in base64url. Texts of 256 random bits need no slow hash.
pub fn digest(text: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(text.as_bytes()))
}

/// Compares in a time that tells nothing of where two texts differ.
pub fn is_same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_a_pkce_challenge() {
        // RFC 7636, appendix B.
        let challenge = digest("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn random_texts_differ() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_eq!(one.len(), 43);
        assert!(is_same(&one, &one) && !is_same(&one, &other));
    }
}
