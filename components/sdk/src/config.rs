//! Values of `config` and `secrets` in `gateway.toml`.

use std::str::FromStr;

use crate::bindings::imports::wasi::config0_2_0_rc_1::store;

/// Why a value could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The host could not read it.
    #[error("{key}: {cause}")]
    Source {
        /// The key that was asked for.
        key: String,
        /// What the host says.
        cause: String,
    },
    /// The value is there but is of another type. It is not repeated here: it may be a secret.
    #[error("{key} is no {expected}; correct it in gateway.toml")]
    Malformed {
        /// The key that was asked for.
        key: String,
        /// The type that it should have.
        expected: &'static str,
    },
}

/// The value under this key, of `config` or of `secrets`.
///
/// # Errors
/// [`Error::Source`] when the host can not read it.
pub fn get(key: &str) -> Result<Option<String>, Error> {
    store::get(key).map_err(|error| source(key, error))
}

/// The value under this key as a number or any other type that reads from text.
///
/// # Errors
/// [`Error::Malformed`] when it is not of this type.
pub fn parse<T: FromStr>(key: &str) -> Result<Option<T>, Error> {
    let Some(text) = get(key)? else {
        return Ok(None);
    };
    match text.trim().parse() {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(Error::Malformed { key: key.to_owned(), expected: std::any::type_name::<T>() }),
    }
}

/// Every key and value of `config`; secrets are never listed.
///
/// # Errors
/// [`Error::Source`] when the host can not read them.
pub fn all() -> Result<Vec<(String, String)>, Error> {
    store::get_all().map_err(|error| source("*", error))
}

fn source(key: &str, error: store::Error) -> Error {
    let cause = match error {
        store::Error::Upstream(cause) | store::Error::Io(cause) => cause,
    };
    Error::Source { key: key.to_owned(), cause }
}
