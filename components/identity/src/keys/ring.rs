//! All keys as they lie in the database, encrypted; each is opened only when it is needed.

use hostel_sdk::database::{self, Transaction};
use hostel_sdk::{Error, Result, log, params};
use serde::{Deserialize, Serialize};

use super::schedule;
use super::signing_key::{PublicKey, SigningKey};
use super::vault::Vault;
use crate::config::lifetimes;

const ALL: &str = "SELECT id, sealed, signs_from_ms FROM signing_keys ORDER BY signs_from_ms, id";

/// The keys, in the order in which they sign.
pub struct Ring<'v> {
    vault: &'v Vault,
    keys: Vec<SealedKey>,
}

/// The document of public keys (RFC 7517, 5).
#[derive(Debug, Serialize)]
pub struct PublicKeys {
    keys: Vec<PublicKey>,
}

#[derive(Deserialize)]
struct SealedKey {
    id: String,
    sealed: String,
    signs_from_ms: i64,
}

impl<'v> Ring<'v> {
    /// The keys as they are now; makes the next one when it is time. Not while a transaction is open.
    ///
    /// # Errors
    /// When there is no key and none can be made.
    pub fn current(vault: &'v Vault, now_ms: i64) -> Result<Self> {
        let keys: Vec<SealedKey> = database::query(ALL, params![])?;
        let period_ms = lifetimes::key_period_ms()?;
        if schedule::next(&times(&keys), now_ms, period_ms).is_none() {
            return Ok(Self { vault, keys });
        }
        match rotate(vault, now_ms, period_ms) {
            Ok(keys) => Ok(Self { vault, keys }),
            // The keys that are there go on; the next request tries again.
            Err(error) if !keys.is_empty() => {
                log::warn!("the next signing key could not be made: {error}");
                Ok(Self { vault, keys })
            }
            Err(error) => Err(error),
        }
    }

    /// The key that signs now.
    ///
    /// # Errors
    /// When it cannot be decrypted.
    pub fn signer(&self, now_ms: i64) -> Result<SigningKey> {
        let signer = self.keys.get(schedule::signer(&times(&self.keys), now_ms));
        self.open(signer.ok_or_else(|| Error::internal("there is no signing key"))?)
    }

    /// The key of this name.
    ///
    /// # Errors
    /// When it cannot be decrypted.
    pub fn find(&self, id: &str) -> Result<Option<SigningKey>> {
        self.keys.iter().find(|key| key.id == id).map(|key| self.open(key)).transpose()
    }

    /// What everybody may know.
    ///
    /// # Errors
    /// When one cannot be decrypted.
    pub fn public(&self) -> Result<PublicKeys> {
        let keys: Result<_> = self.keys.iter().map(|key| Ok(self.open(key)?.public())).collect();
        Ok(PublicKeys { keys: keys? })
    }

    fn open(&self, key: &SealedKey) -> Result<SigningKey> {
        SigningKey::from_bytes(&self.vault.open(&key.id, &key.sealed)?)
    }
}

/// Adds the next key and removes those that nobody needs, unless another request was faster.
fn rotate(vault: &Vault, now_ms: i64, period_ms: i64) -> Result<Vec<SealedKey>> {
    let key = SigningKey::generate()?;
    let sealed = vault.seal(key.id(), &key.to_bytes())?;
    let transaction = database::begin()?;
    let keys: Vec<SealedKey> = transaction.query(ALL, params![])?;
    let times = times(&keys);
    let Some(signs_from_ms) = schedule::next(&times, now_ms, period_ms) else {
        return Ok(keys);
    };
    remove(&transaction, &keys[..schedule::spent(&times, now_ms)])?;
    let sql = "INSERT INTO signing_keys (id, sealed, signs_from_ms) VALUES ($1, $2, $3)";
    transaction.execute(sql, params![key.id(), sealed, signs_from_ms])?;
    let keys = transaction.query(ALL, params![])?;
    transaction.commit()?;
    log::info!("the signing key {} was made; it signs from {signs_from_ms} ms on", key.id());
    Ok(keys)
}

fn remove(transaction: &Transaction, keys: &[SealedKey]) -> Result<()> {
    for key in keys {
        transaction.execute("DELETE FROM signing_keys WHERE id = $1", params![&key.id])?;
    }
    Ok(())
}

fn times(keys: &[SealedKey]) -> Vec<i64> {
    keys.iter().map(|key| key.signs_from_ms).collect()
}

#[cfg(test)]
impl<'v> Ring<'v> {
    /// A ring of one key for tests.
    pub fn for_tests(vault: &'v Vault, key: &SigningKey) -> Self {
        let sealed = vault.seal(key.id(), &key.to_bytes()).unwrap();
        Self { vault, keys: vec![SealedKey { id: key.id().to_owned(), sealed, signs_from_ms: 0 }] }
    }
}
