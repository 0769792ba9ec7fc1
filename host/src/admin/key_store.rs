//! API keys as this host keeps them, without the keys themselves; the gateway's table follows every change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::backends::key_value::{KeyValue, KeyValueError};
use crate::config::is_scope;
use crate::gateway::{ApiKey, ApiKeys, NewKey};

/// The bucket of the host's own store in which keys lie.
const BUCKET: &str = "api-keys";

/// Keys in all; the gateway holds every one in memory, at about 1 KiB.
const KEYS_MAX: usize = 10_000;

/// Keys read at once at the start.
const KEYS_PER_PAGE: usize = 100;

/// The longest name.
const NAME_BYTES_MAX: usize = 100;

/// Scopes of one key.
const SCOPES_MAX: usize = 100;

/// The longest scope.
const SCOPE_BYTES_MAX: usize = 100;

/// The longest life of a key that has an end: ten years.
const LIFE_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What is remembered of a key: enough to know it again, not to show it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its id.
    pub id: String,
    /// Whom it stands for.
    pub name: String,
    /// What its holder may.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it counts no more.
    pub expires: Option<Timestamp>,
    /// The SHA-256 digest of its text.
    digest: [u8; 32],
}

/// Why keys cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// It is asked for something that no key can be.
    #[error("{0}")]
    Invalid(String),
    /// There are too many.
    #[error("there are {KEYS_MAX} keys already: revoke some with `hostel keys revoke ID`")]
    Full,
    /// There is no such key.
    #[error("there is no key {0:?}: `hostel keys list` shows all")]
    Unknown(String),
    /// The store of the host failed.
    #[error("the API keys cannot be reached: {0}")]
    Store(#[from] KeyValueError),
    /// A record has no written form.
    #[error("the API key cannot be kept: {0}")]
    Written(#[from] serde_json::Error),
}

/// Keeps API keys.
pub struct KeyStore {
    store: KeyValue,
    table: Arc<ApiKeys>,
    records: Mutex<BTreeMap<String, KeyRecord>>,
}

impl KeyStore {
    /// Reads the keys of this store and takes them into use.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub async fn open(store: KeyValue, table: Arc<ApiKeys>) -> Result<Self, KeyStoreError> {
        let mut records = BTreeMap::new();
        let mut after = None;
        loop {
            let (ids, next) = store.list_keys(BUCKET, after, KEYS_PER_PAGE).await?;
            for (id, bytes) in store.get_many(BUCKET, ids).await? {
                match serde_json::from_slice(&bytes.unwrap_or_default()) {
                    Ok(record) => _ = records.insert(id, record),
                    // A key that cannot be read opens nothing; the others still count.
                    Err(error) => tracing::error!(%id, %error, "an API key is damaged and does not count"),
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let opened = Self { store, table, records: Mutex::new(records) };
        opened.take_into_use(&*opened.records.lock().await);
        Ok(opened)
    }

    /// All keys, also those that have expired, by their ids.
    pub async fn list(&self) -> Vec<KeyRecord> {
        self.records.lock().await.values().cloned().collect()
    }

    /// Makes a key; answers what is remembered of it, and its text, which nobody can show again. It counts, and is
    /// durable, when this returns.
    ///
    /// # Errors
    ///
    /// When it is not made.
    pub async fn add(
        &self,
        name: &str,
        scopes: Vec<String>,
        life: Option<Duration>,
    ) -> Result<(KeyRecord, String), KeyStoreError> {
        check_scopes(&scopes)?;
        let created = Timestamp::now();
        let expires = life.map(|life| end(created, life)).transpose()?;
        let NewKey { id, text, digest } = NewKey::make();
        let record = KeyRecord { id, name: name.to_owned(), scopes, created, expires, digest };
        if name.len() > NAME_BYTES_MAX || record.as_key().identity().is_err() {
            let rule = format!("a name has 1 to {NAME_BYTES_MAX} bytes, and no spaces around it");
            return Err(KeyStoreError::Invalid(rule));
        }
        let mut records = self.records.lock().await;
        if records.len() >= KEYS_MAX {
            return Err(KeyStoreError::Full);
        }
        self.store.set(BUCKET, &record.id, serde_json::to_vec(&record)?).await?;
        records.insert(record.id.clone(), record.clone());
        self.take_into_use(&records);
        Ok((record, text))
    }

    /// Revokes a key; it counts no more when this returns.
    ///
    /// # Errors
    ///
    /// When there is none of this id, or the store fails; then it still counts.
    pub async fn revoke(&self, id: &str) -> Result<KeyRecord, KeyStoreError> {
        let mut records = self.records.lock().await;
        if !records.contains_key(id) {
            return Err(KeyStoreError::Unknown(id.to_owned()));
        }
        self.store.delete(BUCKET, id).await?;
        let record = records.remove(id).ok_or_else(|| KeyStoreError::Unknown(id.to_owned()))?;
        self.take_into_use(&records);
        Ok(record)
    }

    fn take_into_use(&self, records: &BTreeMap<String, KeyRecord>) {
        self.table.set(records.values().map(KeyRecord::as_key));
    }
}

impl KeyRecord {
    fn as_key(&self) -> ApiKey {
        ApiKey {
            id: self.id.clone(),
            name: self.name.clone(),
            scopes: self.scopes.clone(),
            expires: self.expires.map(Into::into),
            digest: self.digest,
        }
    }
}

fn check_scopes(scopes: &[String]) -> Result<(), KeyStoreError> {
    if scopes.len() > SCOPES_MAX {
        return Err(KeyStoreError::Invalid(format!("a key has at most {SCOPES_MAX} scopes")));
    }
    match scopes.iter().find(|scope| !is_scope(scope) || scope.len() > SCOPE_BYTES_MAX) {
        Some(scope) => Err(KeyStoreError::Invalid(format!(
            "{scope:?} is no scope: it has 1 to {SCOPE_BYTES_MAX} letters, without spaces, quotes and backslashes"
        ))),
        None => Ok(()),
    }
}

fn end(created: Timestamp, life: Duration) -> Result<Timestamp, KeyStoreError> {
    let wrong = || KeyStoreError::Invalid("a key lives from one second to ten years".into());
    if life.is_zero() || life > LIFE_MAX {
        return Err(wrong());
    }
    created.checked_add(life).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[tokio::test]
    async fn keys_are_kept_and_gone_once_revoked() {
        let folder = std::env::temp_dir().join(format!("hostel-keys-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let open = async || {
            let table = Arc::new(ApiKeys::default());
            let store = KeyValue::open(&folder.join("host.sqlite")).await.unwrap();
            (KeyStore::open(store, table.clone()).await.unwrap(), table)
        };
        let (keys, table) = open().await;
        let (record, text) = keys.add("partner", vec!["orders".into()], None).await.unwrap();
        assert!(table.find(&text, SystemTime::now()).is_ok());
        for name in ["", " x", "a\nb", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert!(
                matches!(keys.add(name, Vec::new(), None).await, Err(KeyStoreError::Invalid(_))),
                "{name:?}"
            );
        }
        assert!(keys.add("x", vec!["a b".into()], None).await.is_err());
        assert!(keys.add("x", Vec::new(), Some(Duration::ZERO)).await.is_err());
        drop(keys);
        let (keys, table) = open().await;
        assert!(table.find(&text, SystemTime::now()).is_ok(), "it outlives a restart");
        assert_eq!(keys.list().await.len(), 1);
        keys.revoke(&record.id).await.unwrap();
        assert!(table.find(&text, SystemTime::now()).is_err());
        assert!(matches!(keys.revoke(&record.id).await, Err(KeyStoreError::Unknown(_))));
        drop(keys);
        assert!(open().await.0.list().await.is_empty());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
