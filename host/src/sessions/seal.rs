//! How a session is sealed: under a name and with a key that both come from its id, and neither gives the id.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::SessionError;
use super::session::Session;

/// Random bytes of an id: nobody guesses one.
const ID_BYTES: usize = 32;

/// The time of the end stands before what is sealed, in milliseconds since 1970, so that it is known without the id.
const END_BYTES: usize = 8;

/// Bytes of the nonce of AES-GCM; a session is sealed a few hundred times at most.
const NONCE_BYTES: usize = 12;

/// What its holder shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; ID_BYTES]);

impl SessionId {
    /// A new one.
    pub fn new() -> Self {
        Self(rand::random())
    }

    /// As text, for a cookie.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The id of a text; none for another one.
    pub fn read(text: &str) -> Option<Self> {
        Some(Self(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }

    /// The name under which its session is kept.
    pub fn name(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.derived(b"name"))
    }

    fn derived(&self, purpose: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"hostel session ")
            .chain_update(purpose)
            .chain_update(self.0)
            .finalize()
            .into()
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&self.derived(b"key").into())
    }
}

impl Default for SessionId {
    fn default() -> Self {
        Self::new()
    }
}

/// Seals a session.
///
/// # Errors
///
/// When it has no written form.
pub fn seal(id: &SessionId, session: &Session) -> Result<Vec<u8>, SessionError> {
    let end = session.ends.duration_since(UNIX_EPOCH).unwrap_or_default();
    let end = u64::try_from(end.as_millis()).unwrap_or(u64::MAX);
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let sealed = id.cipher().encrypt(Nonce::from_slice(&nonce), &*serde_json::to_vec(session)?);
    let sealed = sealed.map_err(|_| SessionError::Damaged("it is too long"))?;
    Ok([&end.to_be_bytes()[..], &nonce, &sealed].concat())
}

/// Opens what was sealed under this id.
///
/// # Errors
///
/// When it was not.
pub fn open(id: &SessionId, kept: &[u8]) -> Result<Session, SessionError> {
    let damaged = || SessionError::Damaged("it was not sealed under its id");
    let rest = kept.get(END_BYTES..).ok_or_else(damaged)?;
    let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES).ok_or_else(damaged)?;
    let text = id.cipher().decrypt(Nonce::from_slice(nonce), sealed).map_err(|_| damaged())?;
    Ok(serde_json::from_slice(&text)?)
}

/// When a kept session ends; none for what is none.
pub fn end(kept: &[u8]) -> Option<SystemTime> {
    let milliseconds = u64::from_be_bytes(*kept.first_chunk()?);
    UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))
}
