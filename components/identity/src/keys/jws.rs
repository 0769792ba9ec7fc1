//! The form of what is signed: a compact JWS (RFC 7515, 7.1) in ES256, and nothing else.
//!
//! Only the provider's own tokens are read here, so a header has exactly the members that it writes itself. The usual crate
//! is not used: on every wasm target it takes in the bindings of browsers.

use base64ct::{Base64UrlUnpadded, Encoding};
use hostel_sdk::{Result, json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ring::Ring;
use super::signing_key::{ALGORITHM, SigningKey};

/// The longest token that is looked at: as long as header fields may be at the gateway.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// What a token is for, so that none passes for another (RFC 8725, 3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenType {
    /// An access token (RFC 9068, 2.1).
    #[serde(rename = "at+jwt")]
    Access,
    /// An ID token.
    #[serde(rename = "JWT")]
    Id,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: TokenType,
    kid: String,
}

impl SigningKey {
    /// A token of these claims.
    ///
    /// # Errors
    /// When the claims are no JSON.
    pub fn token<T: Serialize>(&self, kind: TokenType, claims: &T) -> Result<String> {
        let header = Header { alg: ALGORITHM.to_owned(), typ: kind, kid: self.id().to_owned() };
        let encode = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
        let message = format!("{}.{}", encode(&json::write(&header)?), encode(&json::write(claims)?));
        let signature = encode(&self.sign(message.as_bytes())?);
        Ok(format!("{message}.{signature}"))
    }
}

impl Ring<'_> {
    /// The claims of a token that one of these keys has signed; none of any other text. Their times are not looked at.
    ///
    /// # Errors
    /// When the key cannot be decrypted.
    pub fn claims<T: DeserializeOwned>(&self, kind: TokenType, token: &str) -> Result<Option<T>> {
        let Some((message, header, claims, signature)) = parts(token) else { return Ok(None) };
        if header.alg != ALGORITHM || header.typ != kind {
            return Ok(None);
        }
        let Some(key) = self.find(&header.kid)? else { return Ok(None) };
        if !key.has_signed(message.as_bytes(), &signature) {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&claims).ok())
    }
}

/// What is signed, the header, the claims, the signature.
fn parts(token: &str) -> Option<(&str, Header, Vec<u8>, Vec<u8>)> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let header = serde_json::from_slice(&Base64UrlUnpadded::decode_vec(header).ok()?).ok()?;
    let claims = Base64UrlUnpadded::decode_vec(claims).ok()?;
    Some((message, header, claims, Base64UrlUnpadded::decode_vec(signature).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::keys::Vault;

    #[test]
    fn only_own_tokens_of_the_right_type_count() {
        let (vault, key) = (Vault::for_tests(), SigningKey::generate().unwrap());
        let ring = Ring::for_tests(&vault, &key);
        let claims = |token: &str| ring.claims::<Value>(TokenType::Access, token).unwrap();
        let token = key.token(TokenType::Access, &json!({"sub": "ada"})).unwrap();
        assert_eq!(claims(&token), Some(json!({"sub": "ada"})));

        let (message, signature) = token.rsplit_once('.').unwrap();
        let payload = message.split_once('.').unwrap().1;
        let with_header = |header: Value| {
            let header = Base64UrlUnpadded::encode_string(header.to_string().as_bytes());
            let message = format!("{header}.{payload}");
            let signature = Base64UrlUnpadded::encode_string(&key.sign(message.as_bytes()).unwrap());
            format!("{message}.{signature}")
        };
        let stranger = SigningKey::generate().unwrap();
        let stranger_signature =
            Base64UrlUnpadded::encode_string(&stranger.sign(message.as_bytes()).unwrap());
        for (why, forged) in [
            ("another type", key.token(TokenType::Id, &json!({"sub": "ada"})).unwrap()),
            ("another key", stranger.token(TokenType::Access, &json!({"sub": "ada"})).unwrap()),
            ("no signature", format!("{message}.")),
            ("another's signature", format!("{message}.{stranger_signature}")),
            ("padding", format!("{token}=")),
            ("four parts", format!("{token}.{signature}")),
            ("no algorithm", with_header(json!({"alg": "none", "typ": "at+jwt", "kid": key.id()}))),
            ("a critical part", {
                with_header(json!({"alg": "ES256", "typ": "at+jwt", "kid": key.id(), "crit": ["a"]}))
            }),
            ("no key", with_header(json!({"alg": "ES256", "typ": "at+jwt"}))),
            ("too long", format!("{token}{}", "A".repeat(TOKEN_BYTES_MAX))),
            ("nothing", String::new()),
        ] {
            assert_eq!(claims(&forged), None, "{why}");
        }
    }
}
