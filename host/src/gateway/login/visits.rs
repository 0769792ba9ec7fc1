//! Sessions in use: found by what a browser shows, and renewed at the provider before they count as old.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use moka::future::Cache;
use tokio::sync::Mutex;

use super::provider::{Provider, RenewError, Tokens, words};
use crate::gateway::auth::{Identity, Way, roles_of};
use crate::sessions::{Session, SessionError, SessionId, Sessions};

/// Sessions that are held in memory, of about 8 KiB each; others are read when they are used.
const LIVE_MAX: u64 = 10_000;

/// How long one stays there, used or not.
const LIVE_TIME: Duration = Duration::from_secs(60 * 60);

/// How long one that was ended is remembered: longer than a load of it, begun before, can stay in memory.
const ENDED_TIME: Duration = Duration::from_secs(2 * 60 * 60);

/// Sessions that are remembered as ended: 32 bytes each.
const ENDED_MAX: u64 = 100_000;

/// Turns that are remembered before those that nobody waits for are let go of.
const TURNS_MAX: usize = 1_024;

/// How long the provider is left alone when it could not be reached.
const PAUSE: Duration = Duration::from_secs(30);

/// The sessions of the gateway. It outlives every configuration, so that no session is renewed twice at once.
pub struct Visits {
    sessions: Sessions,
    live: Cache<SessionId, Arc<ArcSwap<State>>>,
    ended: Cache<SessionId, ()>,
    /// Held while a session is renewed or ended: a provider takes each refresh token once. They are apart from what is
    /// live, which may be thrown away at any moment.
    turns: std::sync::Mutex<HashMap<SessionId, Weak<Mutex<()>>>>,
}

/// A session in use.
struct State {
    session: Session,
    identity: Arc<Identity>,
    /// From when on the provider is asked; later than the session says where it was away.
    fresh_until: SystemTime,
    /// Whether it is what is kept.
    is_kept: bool,
}

impl Visits {
    /// The sessions that are kept there.
    pub fn new(sessions: Sessions) -> Self {
        let live = Cache::builder().max_capacity(LIVE_MAX).time_to_live(LIVE_TIME).build();
        let ended = Cache::builder().max_capacity(ENDED_MAX).time_to_live(ENDED_TIME).build();
        Self { sessions, live, ended, turns: std::sync::Mutex::default() }
    }

    /// What cookies are encrypted with.
    pub fn cookie_key(&self) -> &[u8; 64] {
        self.sessions.cookie_key()
    }

    /// Begins a session; it is durable when this returns.
    ///
    /// # Errors
    ///
    /// When it cannot be kept.
    pub async fn begin(&self, session: Session) -> Result<SessionId, SessionError> {
        self.sessions.begin(&session).await
    }

    /// Whose session this is; none when it has ended, or was begun with another provider.
    pub async fn find(self: &Arc<Self>, id: &SessionId, provider: &Provider) -> Option<Arc<Identity>> {
        if self.ended.contains_key(id) {
            return None;
        }
        let visit = self.live.optionally_get_with(*id, self.load(id, provider)).await?;
        let state = visit.load_full();
        let now = SystemTime::now();
        if now >= state.session.ends || !provider.has_begun(&state.session) {
            return None;
        }
        if now < state.fresh_until {
            return Some(state.identity.clone());
        }
        // In a task of its own: a client that leaves must not lose what the provider gives only once.
        let (this, id, provider) = (self.clone(), *id, provider.clone());
        tokio::spawn(async move { this.renew(&id, &visit, &provider).await }).await.ok()?
    }

    /// Ends a session, durably, also when whoever asked for it leaves; answers what it was.
    ///
    /// # Errors
    ///
    /// When that cannot be kept.
    pub async fn end(self: &Arc<Self>, id: SessionId) -> Result<Option<Session>, SessionError> {
        // From here on it counts no more, whatever is under way.
        self.ended.insert(id, ()).await;
        let this = self.clone();
        let ending = async move {
            let turn = this.turn(&id);
            let _turn = turn.lock().await;
            let kept = this.sessions.find(&id).await?;
            this.sessions.end(&id).await?;
            this.live.invalidate(&id).await;
            Ok(kept)
        };
        tokio::spawn(ending).await.unwrap_or(Ok(None))
    }

    async fn load(&self, id: &SessionId, provider: &Provider) -> Option<Arc<ArcSwap<State>>> {
        let session = self.sessions.find(id).await.inspect_err(|error| {
            tracing::warn!(%error, "a session cannot be read: its holder has to sign in again");
        });
        Some(Arc::new(ArcSwap::from_pointee(State::of(session.ok()??, provider)?)))
    }

    /// Asks the provider whether the session goes on. While it is away the session does.
    async fn renew(
        &self,
        id: &SessionId,
        visit: &ArcSwap<State>,
        provider: &Provider,
    ) -> Option<Arc<Identity>> {
        let turn = self.turn(id);
        let _turn = turn.lock().await;
        if self.ended.contains_key(id) {
            return None;
        }
        let now = SystemTime::now();
        let former = self.latest(id, &visit.load_full(), provider).await?;
        if now < former.fresh_until {
            let identity = former.identity.clone();
            visit.store(former);
            return Some(identity);
        }
        let state = match provider.renew(former.session.refresh_token.as_deref()?).await {
            Ok(tokens) => self.keep(id, renewed(&former.session, tokens, now), provider).await?,
            Err(RenewError::Over) => return self.is_over(id).await,
            Err(RenewError::Away) => State {
                session: former.session.clone(),
                identity: former.identity.clone(),
                fresh_until: now + PAUSE,
                is_kept: former.is_kept,
            },
        };
        let identity = state.identity.clone();
        visit.store(Arc::new(state));
        Some(identity)
    }

    /// The session as it was renewed last, perhaps for another request.
    async fn latest(&self, id: &SessionId, state: &Arc<State>, provider: &Provider) -> Option<Arc<State>> {
        if !state.is_kept {
            return Some(state.clone());
        }
        match self.sessions.find(id).await {
            Ok(Some(kept)) if kept.refresh_token == state.session.refresh_token => Some(state.clone()),
            Ok(Some(kept)) => State::of(kept, provider).map(Arc::new),
            Ok(None) => None,
            Err(_) => Some(state.clone()),
        }
    }

    /// Keeps a renewed session before it is used: the provider takes the old token no more.
    async fn keep(&self, id: &SessionId, session: Session, provider: &Provider) -> Option<State> {
        let kept = self.sessions.replace(id, &session).await;
        if let Err(error) = &kept {
            tracing::warn!(%error, "a renewed session cannot be kept; it lasts as long as this host runs");
        }
        Some(State { is_kept: kept.is_ok(), ..State::of(session, provider)? })
    }

    async fn is_over(&self, id: &SessionId) -> Option<Arc<Identity>> {
        self.ended.insert(*id, ()).await;
        self.live.invalidate(id).await;
        if let Err(error) = self.sessions.end(id).await {
            tracing::warn!(%error, "a session that is over cannot be removed");
        }
        None
    }

    fn turn(&self, id: &SessionId) -> Arc<Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(id).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= TURNS_MAX {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::default();
        turns.insert(*id, Arc::downgrade(&turn));
        turn
    }
}

impl State {
    fn of(session: Session, provider: &Provider) -> Option<Self> {
        let subject = session.claims.get("sub")?.as_str()?;
        let roles = roles_of(&session.claims, provider.issuer());
        let identity =
            Identity::new(Way::Session, subject, session.scopes.clone(), roles, session.claims.clone())
                .ok()?;
        Some(Self { fresh_until: session.fresh_until, identity: Arc::new(identity), session, is_kept: true })
    }
}

fn renewed(former: &Session, tokens: Tokens, now: SystemTime) -> Session {
    // Where the provider sends none, the one in use goes on (RFC 6749, 6).
    let fresh_until = tokens.fresh_until(now, former.ends, true);
    Session {
        scopes: tokens.scope.as_deref().map_or_else(|| former.scopes.clone(), words),
        fresh_until,
        refresh_token: tokens.refresh_token.or_else(|| former.refresh_token.clone()),
        id_token: tokens.id_token.unwrap_or_else(|| former.id_token.clone()),
        ..former.clone()
    }
}

impl std::fmt::Debug for Visits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visits").field("sessions", &self.sessions).finish_non_exhaustive()
    }
}
