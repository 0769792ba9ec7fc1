//! Browser sessions, kept durably: who has signed in, and what its provider gave for it.
//!
//! Knows nothing of HTTP. A session lies under the digest of its id, sealed with a key that only the id gives: the file
//! alone opens no session and shows no token. Files in reading order: `session` is what is kept; `seal` is how.

mod seal;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use crate::backends::key_value::{KeyValue, KeyValueError};

pub use self::seal::SessionId;
pub use self::session::Session;

/// The bucket of the host's own store in which sessions lie.
const BUCKET: &str = "sessions";

/// The bucket of the key of cookies.
const KEY_BUCKET: &str = "session-key";

/// The name of the key there.
const KEY_NAME: &str = "cookies";

/// Sessions at once: at 4 KiB each 400 MiB on the disk.
const SESSIONS_MAX: usize = 100_000;

/// Sessions that are looked at together when those that have ended are removed.
const SWEEP_ROWS: usize = 500;

/// The sessions of this host; cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    store: KeyValue,
    cookie_key: Arc<[u8; 64]>,
    /// About how many there are.
    count: Arc<AtomicUsize>,
}

/// Why a session cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There are too many.
    #[error("there are {SESSIONS_MAX} sessions already")]
    Full,
    /// The store of the host failed.
    #[error("the sessions cannot be reached: {0}")]
    Store(#[from] KeyValueError),
    /// A session has no written form.
    #[error("the session cannot be kept: {0}")]
    Written(#[from] serde_json::Error),
    /// What is kept is no session of this host.
    #[error("a kept session cannot be read: {0}")]
    Damaged(&'static str),
}

type Result<T> = std::result::Result<T, SessionError>;

impl Sessions {
    /// Those in this store, with a key for cookies that is made at the first start.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written.
    pub async fn open(store: KeyValue) -> Result<Self> {
        let kept = store.get(KEY_BUCKET, KEY_NAME).await?.and_then(|key| key.try_into().ok());
        let cookie_key = match kept {
            Some(key) => key,
            None => {
                let key: [u8; 64] = rand::random();
                store.set(KEY_BUCKET, KEY_NAME, key.to_vec()).await?;
                key
            }
        };
        let sessions = Self { store, cookie_key: Arc::new(cookie_key), count: Arc::default() };
        sessions.sweep().await?;
        Ok(sessions)
    }

    /// What cookies of this host are encrypted with.
    pub fn cookie_key(&self) -> &[u8; 64] {
        &self.cookie_key
    }

    /// Keeps a new session; answers its id when it is durable.
    ///
    /// # Errors
    ///
    /// When there are too many, or it cannot be kept.
    pub async fn begin(&self, session: &Session) -> Result<SessionId> {
        if self.count.load(Ordering::Acquire) >= SESSIONS_MAX {
            return Err(SessionError::Full);
        }
        let id = SessionId::new();
        self.replace(&id, session).await?;
        self.count.fetch_add(1, Ordering::AcqRel);
        Ok(id)
    }

    /// The session of this id; none when it has ended or never was.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn find(&self, id: &SessionId) -> Result<Option<Session>> {
        let Some(kept) = self.store.get(BUCKET, &id.name()).await? else { return Ok(None) };
        let session = seal::open(id, &kept)?;
        Ok(Some(session).filter(|session| session.ends > SystemTime::now()))
    }

    /// Keeps what has become of a session; durable when it returns.
    ///
    /// # Errors
    ///
    /// When it cannot be kept.
    pub async fn replace(&self, id: &SessionId, session: &Session) -> Result<()> {
        Ok(self.store.set(BUCKET, &id.name(), seal::seal(id, session)?).await?)
    }

    /// Ends a session, durably.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn end(&self, id: &SessionId) -> Result<()> {
        Ok(self.store.delete(BUCKET, &id.name()).await?)
    }

    /// Removes what has ended.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written.
    pub async fn sweep(&self) -> Result<()> {
        let (now, mut after, mut count) = (SystemTime::now(), None, 0);
        loop {
            let (names, next) = self.store.list_keys(BUCKET, after, SWEEP_ROWS).await?;
            let kept = self.store.get_many(BUCKET, names).await?;
            let is_over = |kept: &[u8]| seal::end(kept).is_none_or(|end| end <= now);
            let (over, going): (Vec<_>, Vec<_>) =
                kept.into_iter().partition(|(_, kept)| kept.as_deref().is_none_or(is_over));
            count += going.len();
            self.store.delete_many(BUCKET, over.into_iter().map(|(name, _)| name).collect()).await?;
            if next.is_none() {
                break;
            }
            after = next;
        }
        self.count.store(count, Ordering::Release);
        Ok(())
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn session(ends: SystemTime) -> Session {
        Session {
            issuer: "https://id.example.com".into(),
            client: "shop".into(),
            claims: serde_json::json!({ "sub": "ada" }).as_object().cloned().unwrap_or_default(),
            scopes: vec!["openid".into()],
            refresh_token: Some("a secret token".into()),
            id_token: "an id token".into(),
            fresh_until: ends,
            ends,
        }
    }

    #[tokio::test]
    async fn the_file_alone_shows_nothing_and_an_ended_session_is_gone() {
        let folder = std::env::temp_dir().join(format!("hostel-sessions-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let store = KeyValue::open(&folder.join("host.sqlite")).await.unwrap();
        let sessions = Sessions::open(store.clone()).await.unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        let id = sessions.begin(&session(later)).await.unwrap();
        let other = sessions.begin(&session(later)).await.unwrap();
        assert_eq!(sessions.find(&id).await.unwrap().unwrap().refresh_token.unwrap(), "a secret token");
        let (names, _) = store.list_keys(BUCKET, None, 10).await.unwrap();
        for name in names {
            let kept = store.get(BUCKET, &name).await.unwrap().unwrap();
            assert!(!kept.windows(6).any(|window| window == b"secret"));
            assert!(!name.contains(&id.text()));
        }
        sessions.end(&id).await.unwrap();
        assert!(sessions.find(&id).await.unwrap().is_none());
        sessions.replace(&other, &session(SystemTime::now() - Duration::from_secs(1))).await.unwrap();
        assert!(sessions.find(&other).await.unwrap().is_none());
        sessions.sweep().await.unwrap();
        assert!(store.list_keys(BUCKET, None, 10).await.unwrap().0.is_empty());
        // The key of cookies stays over a restart.
        assert_eq!(Sessions::open(store).await.unwrap().cookie_key(), sessions.cookie_key());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
