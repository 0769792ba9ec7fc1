//! API keys: random secrets that operators give to callers, known here by their digests only.
//!
//! A plain SHA-256 is enough, where a password would need a slow hash: a key has 256 random bits, and nobody tries
//! them all, however fast each try is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rand::distr::{Alphanumeric, SampleString};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::denial::Denial;
use super::identity::{Identity, Untellable, Way};

/// How every key begins, so that it is known for one wherever it turns up.
pub const KEY_PREFIX: &str = "hk_";

/// The letters and digits of an id: enough for ten thousand keys without two alike.
const ID_LENGTH: usize = 12;

/// The letters and digits of a secret: 43 of 62 are more than 256 bits.
const SECRET_LENGTH: usize = 43;

/// What every refusal of a key says: which of the reasons it is, is nobody's business.
const UNKNOWN: Denial = Denial::Invalid("the API key is unknown, revoked or expired");

/// A key that was just made; the only time that its text is known.
#[derive(Debug)]
pub struct NewKey {
    /// Its id, by which it can be revoked.
    pub id: String,
    /// What its holder shows.
    pub text: String,
    /// The digest of that.
    pub digest: [u8; 32],
}

/// What is known of a key.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// Whom it stands for.
    pub name: String,
    /// What its holder may.
    pub scopes: Vec<String>,
    /// From when on it counts no more.
    pub expires: Option<SystemTime>,
    /// The SHA-256 digest of its text.
    pub digest: [u8; 32],
}

/// The keys that count, swapped whole.
#[derive(Debug, Default)]
pub struct ApiKeys {
    table: ArcSwap<HashMap<String, Known>>,
}

#[derive(Debug)]
struct Known {
    identity: Arc<Identity>,
    expires: Option<SystemTime>,
    digest: [u8; 32],
}

impl NewKey {
    /// Makes a key.
    pub fn make() -> Self {
        let random = |length| Alphanumeric.sample_string(&mut rand::rng(), length);
        let id = random(ID_LENGTH);
        let text = format!("{KEY_PREFIX}{id}_{}", random(SECRET_LENGTH));
        let digest = Sha256::digest(&text).into();
        Self { id, text, digest }
    }
}

impl ApiKeys {
    /// Takes these keys into use, and no others, at once.
    pub fn set(&self, keys: impl IntoIterator<Item = ApiKey>) {
        let table = keys.into_iter().filter_map(|key| {
            let identity = Arc::new(key.identity().ok()?);
            Some((key.id, Known { identity, expires: key.expires, digest: key.digest }))
        });
        self.table.store(Arc::new(table.collect()));
    }

    /// Who shows this key.
    ///
    /// # Errors
    ///
    /// When it does not count.
    pub fn find(&self, text: &str, now: SystemTime) -> Result<Arc<Identity>, Denial> {
        let id = text.strip_prefix(KEY_PREFIX).and_then(|rest| rest.split_once('_')).ok_or(UNKNOWN)?.0;
        let table = self.table.load();
        let known = table.get(id).ok_or(UNKNOWN)?;
        let is_expired = known.expires.is_some_and(|expires| now >= expires);
        if is_expired || !is_equal(&known.digest, &Sha256::digest(text).into()) {
            return Err(UNKNOWN);
        }
        Ok(known.identity.clone())
    }
}

impl ApiKey {
    /// Its holder, as services are told.
    ///
    /// # Errors
    ///
    /// When its name cannot be told.
    pub fn identity(&self) -> Result<Identity, Untellable> {
        let claims = [("sub", json!(self.name)), ("key", json!(self.id))];
        let claims = claims.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        let way = Way::Key(self.id.as_str().into());
        Identity::new(way, &self.name, self.scopes.clone(), Vec::new(), claims)
    }
}

/// Compares in a time that does not tell where they differ.
fn is_equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(made: &NewKey, expires: Option<SystemTime>) -> ApiKey {
        let scopes = vec!["orders".into()];
        ApiKey { id: made.id.clone(), name: "partner".into(), scopes, expires, digest: made.digest }
    }

    #[test]
    fn a_key_counts_until_it_expires_or_is_revoked() {
        let (keys, now) = (ApiKeys::default(), SystemTime::now());
        let (made, other) = (NewKey::make(), NewKey::make());
        assert_eq!(keys.find(&made.text, now).unwrap_err(), UNKNOWN);
        keys.set([key(&made, Some(now + Duration::from_secs(60))), key(&other, None)]);
        let identity = keys.find(&made.text, now).unwrap();
        assert_eq!(
            (identity.subject.as_str(), &identity.way),
            ("partner", &Way::Key(made.id.as_str().into()))
        );
        assert!(keys.find(&made.text, now + Duration::from_secs(60)).is_err());
        assert!(keys.find(&other.text, now + Duration::from_secs(60)).is_ok());
        keys.set([key(&made, None)]);
        assert!(keys.find(&other.text, now).is_err());
    }

    #[test]
    fn nothing_that_is_like_a_key_counts() {
        let (keys, now) = (ApiKeys::default(), SystemTime::now());
        let (made, other) = (NewKey::make(), NewKey::make());
        keys.set([key(&made, None)]);
        let secret = |key: &NewKey| key.text.rsplit_once('_').unwrap().1.to_owned();
        for text in [
            String::new(),
            KEY_PREFIX.into(),
            made.id.clone(),
            format!("hk_{}", made.id),
            format!("hk_{}_", made.id),
            format!("hk_{}_{}", made.id, secret(&other)),
            format!("hk_{}_{}", other.id, secret(&made)),
            format!("{}x", made.text),
            made.text[..made.text.len() - 1].into(),
            made.text.to_uppercase(),
            format!(" {}", made.text),
        ] {
            assert_eq!(keys.find(&text, now).unwrap_err(), UNKNOWN, "{text}");
        }
        assert!(keys.find(&made.text, now).is_ok());
    }
}
