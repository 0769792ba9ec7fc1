//! The public keys of an issuer (RFC 7517), each bound to the signatures that it may check.

use bytes::Bytes;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;

use crate::config::TokenAlgorithm;

/// More keys than any issuer has in use.
const KEYS_MAX: usize = 100;

/// Keys that are tried for a token that names none: checking a signature costs a tenth of a millisecond.
const TRIES_MAX: usize = 4;

/// The bytes of RSA moduli: 2048 bits are the least (RFC 7518, 3.3), more than 4096 only cost time.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// The bytes of an Ed25519 key (RFC 8032, 5.1.5).
const ED25519_BYTES: usize = 32;

/// The keys of one issuer at one time.
#[derive(Debug)]
pub struct KeySet {
    source: Bytes,
    keys: Vec<Key>,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    /// What checks a signature.
    pub decoding: DecodingKey,
}

#[derive(Deserialize)]
struct Written {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a document of keys. Those that are for something else, or too weak, are left out. It may be that none
    /// is left: so an issuer withdraws its last one.
    ///
    /// # Errors
    ///
    /// When it is no such document.
    pub fn read(source: Bytes, allowed: &[TokenAlgorithm]) -> serde_json::Result<Self> {
        let written: Written = serde_json::from_slice(&source)?;
        let allowed: Vec<Algorithm> = allowed.iter().copied().map(algorithm).collect();
        let keys = written.keys.into_iter().take(KEYS_MAX);
        let keys = keys.filter_map(|key| Key::read(key, &allowed)).collect();
        Ok(Self { source, keys })
    }

    /// Whether no token can be checked with it.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether both were read from the same document.
    pub fn is_same(&self, other: &Self) -> bool {
        self.source == other.source
    }

    /// The keys that a token may be signed with; none when there is no key that it names.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<impl Iterator<Item = &Key>> {
        let is_named = move |key: &&Key| id.is_none_or(|id| key.id.as_deref() == Some(id));
        self.keys.iter().find(is_named)?;
        let fits = move |key: &&Key| is_named(key) && key.algorithms.contains(&algorithm);
        Some(self.keys.iter().filter(fits).take(TRIES_MAX))
    }
}

impl Key {
    fn read(written: Value, allowed: &[Algorithm]) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(written).ok()?;
        let is_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let operations = jwk.common.key_operations.as_ref();
        if !is_for_signatures || operations.is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
            return None;
        }
        let mut algorithms = algorithms_of(&jwk)?;
        if let Some(only) = jwk.common.key_algorithm {
            // The names of both types are those of RFC 7518.
            algorithms.retain(|algorithm| format!("{algorithm:?}") == only.to_string());
        }
        algorithms.retain(|algorithm| allowed.contains(algorithm));
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        let is_sound = !algorithms.is_empty() && is_strong(&jwk, &decoding);
        is_sound.then_some(Self { id: jwk.common.key_id, algorithms, decoding })
    }
}

/// As the library calls it.
pub fn algorithm(named: TokenAlgorithm) -> Algorithm {
    match named {
        TokenAlgorithm::RS256 => Algorithm::RS256,
        TokenAlgorithm::RS384 => Algorithm::RS384,
        TokenAlgorithm::RS512 => Algorithm::RS512,
        TokenAlgorithm::PS256 => Algorithm::PS256,
        TokenAlgorithm::ES256 => Algorithm::ES256,
        TokenAlgorithm::ES384 => Algorithm::ES384,
        TokenAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}

/// What a key of this kind can check; none for a secret, which no document that everybody reads may hold.
fn algorithms_of(jwk: &Jwk) -> Option<Vec<Algorithm>> {
    match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            Some(vec![Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256])
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Some(vec![Algorithm::ES256])
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
            Some(vec![Algorithm::ES384])
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Some(vec![Algorithm::EdDSA])
        }
        _ => None,
    }
}

/// Whether the key is as long as one of its kind is. The library relies on it.
fn is_strong(jwk: &Jwk, key: &DecodingKey) -> bool {
    match (key.kind(), &jwk.algorithm) {
        (DecodingKeyKind::RsaModulusExponent { n, .. }, _) => {
            let zeros = n.iter().take_while(|byte| **byte == 0).count();
            RSA_BYTES.contains(&(n.len() - zeros))
        }
        (DecodingKeyKind::SecretOrDer(bytes), AlgorithmParameters::OctetKeyPair(_)) => {
            bytes.len() == ED25519_BYTES
        }
        (DecodingKeyKind::SecretOrDer(bytes), AlgorithmParameters::EllipticCurve(key)) => {
            let coordinate = if key.curve == EllipticCurve::P256 { 32 } else { 48 };
            bytes.len() == 1 + 2 * coordinate
        }
        _ => false,
    }
}
