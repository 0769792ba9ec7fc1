//! The keys of one issuer, kept fresh by a task of its own: nobody else asks the issuer, so that nobody can make the
//! gateway ask often.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::discovery::{Discovery, DiscoveryError};
use super::fetch::{FetchError, Fetcher};
use super::jwks::KeySet;
use crate::config::{IssuerConfig, KeySource, provider_address};

/// Issuers are not asked more often, whatever tokens come.
const INTERVAL_MIN: Duration = Duration::from_secs(30);

/// The same while there is no key at all, so that a gateway that starts before its issuer soon has them.
const INTERVAL_WITHOUT_KEYS: Duration = Duration::from_secs(5);

/// How long keys count as fresh where their server does not say.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// Shorter would ask for keys that hardly ever change all the time.
const FRESH_MIN: Duration = Duration::from_secs(5 * 60);

/// Longer would keep a key that was withdrawn.
const FRESH_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a request waits for keys that are on their way.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The keys of one issuer. The task that keeps them fresh ends with this.
#[derive(Debug)]
pub struct Keys {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    _stop: DropGuard,
}

#[derive(Debug, Default)]
struct Shared {
    current: ArcSwapOption<KeySet>,
    /// A token came that no key fits.
    wanted: Notify,
}

/// How far the task is.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// Whether it is asking now.
    is_asking: bool,
    /// How often it has asked.
    asked: u64,
    /// When it may ask again.
    earliest: Instant,
}

/// The task.
struct Follower {
    issuer: Arc<IssuerConfig>,
    fetcher: Fetcher,
    shared: Arc<Shared>,
    progress: watch::Sender<Progress>,
}

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error("{0}: {1}")]
    Fetch(http::Uri, FetchError),
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error("the discovery document names keys at {0:?}: {1}")]
    Address(String, String),
    #[error("the document at {0} is no set of keys: {1}")]
    Keys(http::Uri, serde_json::Error),
}

impl Keys {
    /// Begins to follow the keys of an issuer.
    pub fn follow(issuer: Arc<IssuerConfig>, fetcher: Fetcher) -> Self {
        let shared = Arc::new(Shared::default());
        let (sender, progress) =
            watch::channel(Progress { is_asking: true, asked: 0, earliest: Instant::now() });
        let stop = CancellationToken::new();
        let follower = Follower { issuer, fetcher, shared: shared.clone(), progress: sender };
        tokio::spawn(stop.clone().run_until_cancelled_owned(follower.run()));
        Self { shared, progress, _stop: stop.drop_guard() }
    }

    /// The keys as they are known; none when they were never had.
    pub fn current(&self) -> Option<Arc<KeySet>> {
        self.shared.current.load_full()
    }

    /// Whether these are the keys as they are known.
    pub fn are(&self, keys: &Arc<KeySet>) -> bool {
        self.shared.current.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, keys))
    }

    /// The keys after asking the issuer again, when that may be; all who want that wait for the same answer.
    pub async fn renewed(&self) -> Option<Arc<KeySet>> {
        let mut progress = self.progress.clone();
        let seen = *progress.borrow_and_update();
        if !seen.is_asking {
            self.shared.wanted.notify_one();
            if Instant::now() < seen.earliest {
                return self.current();
            }
        }
        let answered = progress.wait_for(|now| now.asked > seen.asked);
        // Who has waited long enough goes on with what there is.
        _ = tokio::time::timeout(WAIT_MAX, answered).await;
        self.current()
    }
}

impl Follower {
    /// Asks, rests, asks again.
    async fn run(self) {
        loop {
            let began = Instant::now();
            self.progress.send_modify(|progress| progress.is_asking = true);
            let answer = self.ask().await;
            let interval =
                if self.shared.current.load().is_some() { INTERVAL_MIN } else { INTERVAL_WITHOUT_KEYS };
            let fresh = answer.unwrap_or_else(|reason| {
                let issuer = &self.issuer.name;
                tracing::warn!(%issuer, %reason, "the keys of an issuer cannot be had; those known stay in use");
                interval
            });
            let earliest = began + interval;
            self.progress.send_modify(|progress| {
                *progress = Progress { is_asking: false, asked: progress.asked + 1, earliest };
            });
            self.rest(earliest, began + fresh).await;
        }
    }

    /// Rests until the keys are no longer fresh, or are wanted and may be asked for.
    async fn rest(&self, earliest: Instant, due: Instant) {
        let wanted = async {
            self.shared.wanted.notified().await;
            tokio::time::sleep_until(earliest).await;
        };
        tokio::select! {
            () = wanted => {}
            () = tokio::time::sleep_until(due.max(earliest)) => {}
        }
    }

    /// Fetches the keys and takes them into use; answers how long they are fresh.
    async fn ask(&self) -> Result<Duration, KeysError> {
        let place = match &self.issuer.keys {
            KeySource::Jwks(place) => place.clone(),
            KeySource::Discovery(place) => self.discover(place).await?,
        };
        let document =
            self.fetcher.fetch(&place).await.map_err(|error| KeysError::Fetch(place.clone(), error))?;
        let keys = KeySet::read(document.body, &self.issuer.algorithms);
        let keys = keys.map_err(|error| KeysError::Keys(place, error))?;
        // Tokens that were checked with the same keys stay checked.
        if !self.shared.current.load().as_ref().is_some_and(|current| current.is_same(&keys)) {
            if keys.is_empty() {
                let issuer = &self.issuer.name;
                tracing::warn!(%issuer, "an issuer shows no key that checks a signature of its `algorithms` in gateway.toml: its tokens count no more");
            }
            self.shared.current.store(Some(Arc::new(keys)));
        }
        Ok(document.max_age.unwrap_or(FRESH).clamp(FRESH_MIN, FRESH_MAX))
    }

    async fn discover(&self, place: &http::Uri) -> Result<http::Uri, KeysError> {
        let found = Discovery::fetch(&self.fetcher, place, &self.issuer).await?;
        let refuse = |reason: &str| KeysError::Address(found.jwks_uri.clone(), reason.to_owned());
        let keys = provider_address(&found.jwks_uri).map_err(|reason| refuse(&reason))?;
        if place.scheme_str() == Some("https") && keys.scheme_str() != Some("https") {
            return Err(refuse("an issuer of https has its keys at https too"));
        }
        Ok(keys)
    }
}
