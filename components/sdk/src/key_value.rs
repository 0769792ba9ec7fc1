//! Buckets of keys and values; `buckets` in `gateway.toml` grants them.

use crate::bindings::imports::wasi::keyvalue0_2_0_draft2::{atomics, batch, store};

/// How often [`Bucket::update`] tries again when another writer was faster.
const UPDATE_ATTEMPTS_MAX: usize = 32;

/// Why a bucket failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The host has no such bucket.
    #[error("there is no such bucket; name it in `buckets` of gateway.toml")]
    NoSuchStore,
    /// The bucket is not granted.
    #[error("the bucket is not granted; name it in `buckets` of gateway.toml")]
    AccessDenied,
    /// Others changed the key again and again.
    #[error("the key changed at each of {UPDATE_ATTEMPTS_MAX} attempts")]
    Contended,
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// A key and its value, if it has one.
pub type Pair = (String, Option<Vec<u8>>);

/// A named collection of keys and values.
#[derive(Debug)]
pub struct Bucket(store::Bucket);

impl Bucket {
    /// Opens the bucket with this name.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] when `gateway.toml` does not grant it.
    pub fn open(name: &str) -> Result<Self, Error> {
        Ok(Self(store::open(name)?))
    }

    /// The value under this key.
    ///
    /// # Errors
    /// Those of the host.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key)?)
    }

    /// Sets the value under this key.
    ///
    /// # Errors
    /// Those of the host.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        Ok(self.0.set(key, value)?)
    }

    /// Removes the key; nothing happens when it is not there.
    ///
    /// # Errors
    /// Those of the host.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        Ok(self.0.delete(key)?)
    }

    /// Whether the key is there.
    ///
    /// # Errors
    /// Those of the host.
    pub fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.0.exists(key)?)
    }

    /// One page of keys and where the next one begins; pass `None` for the first.
    ///
    /// # Errors
    /// Those of the host.
    pub fn keys(&self, cursor: Option<&str>) -> Result<(Vec<String>, Option<String>), Error> {
        let page = self.0.list_keys(cursor)?;
        Ok((page.keys, page.cursor))
    }

    /// The values under these keys, in one call.
    ///
    /// # Errors
    /// Those of the host.
    pub fn get_many(&self, keys: &[String]) -> Result<Vec<Pair>, Error> {
        Ok(batch::get_many(&self.0, keys)?)
    }

    /// Adds to the number under this key (nothing counts as 0) and answers the sum.
    ///
    /// # Errors
    /// Those of the host.
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        Ok(atomics::increment(&self.0, key, delta)?)
    }

    /// Replaces the value by what `change` makes of it, and again when another writer was faster.
    ///
    /// # Errors
    /// [`Error::Contended`] after too many attempts.
    pub fn update(&self, key: &str, change: impl Fn(Option<Vec<u8>>) -> Vec<u8>) -> Result<(), Error> {
        let mut handle = atomics::Cas::new(&self.0, key)?;
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let value = change(handle.current()?);
            handle = match atomics::swap(handle, &value) {
                Ok(()) => return Ok(()),
                Err(atomics::CasError::StoreError(error)) => return Err(error.into()),
                Err(atomics::CasError::CasFailed(fresh)) => fresh,
            };
        }
        Err(Error::Contended)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NoSuchStore => Self::NoSuchStore,
            store::Error::AccessDenied => Self::AccessDenied,
            store::Error::Other(cause) => Self::Other(cause),
        }
    }
}
