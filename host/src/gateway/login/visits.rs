//! Sessions in use: found by what a browser shows, and renewed at the provider before they count as old.

use std::sync::Arc;
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

/// How long the provider is left alone when it could not be reached.
const PAUSE: Duration = Duration::from_secs(30);

/// The sessions of the gateway. It outlives every configuration, so that no session is renewed twice at once.
pub struct Visits {
    sessions: Sessions,
    live: Cache<SessionId, Arc<Visit>>,
    ended: Cache<SessionId, ()>,
}

/// A session in use.
struct Visit {
    state: ArcSwap<State>,
    /// Held while the provider is asked: it takes each refresh token once.
    renewing: Mutex<()>,
}

struct State {
    session: Session,
    identity: Arc<Identity>,
    /// From when on the provider is asked; later than the session says where it was away.
    fresh_until: SystemTime,
}

impl Visits {
    /// The sessions that are kept there.
    pub fn new(sessions: Sessions) -> Self {
        let live = Cache::builder().max_capacity(LIVE_MAX).time_to_live(LIVE_TIME).build();
        let ended = Cache::builder().max_capacity(ENDED_MAX).time_to_live(ENDED_TIME).build();
        Self { sessions, live, ended }
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

    /// Whose session this is; none when it has ended.
    pub async fn find(self: &Arc<Self>, id: &SessionId, provider: &Provider) -> Option<Arc<Identity>> {
        if self.ended.contains_key(id) {
            return None;
        }
        let visit = self.visit(id, provider).await?;
        let state = visit.state.load_full();
        let now = SystemTime::now();
        if now >= state.session.ends {
            self.live.invalidate(id).await;
            return None;
        }
        if now < state.fresh_until {
            return Some(state.identity.clone());
        }
        // In a task of its own: a client that leaves must not lose what the provider gives only once.
        let (this, id, provider) = (self.clone(), *id, provider.clone());
        tokio::spawn(async move { this.renew(&id, &visit, &provider).await }).await.ok()?
    }

    /// Ends a session, durably; answers what it was.
    ///
    /// # Errors
    ///
    /// When that cannot be kept.
    pub async fn end(&self, id: &SessionId) -> Result<Option<Session>, SessionError> {
        let visit = self.live.get(id).await;
        // A renewal under way would keep it again.
        let _still = match &visit {
            Some(visit) => Some(visit.renewing.lock().await),
            None => None,
        };
        let kept = self.sessions.find(id).await?;
        self.ended.insert(*id, ()).await;
        self.sessions.end(id).await?;
        self.live.invalidate(id).await;
        Ok(kept)
    }

    async fn visit(&self, id: &SessionId, provider: &Provider) -> Option<Arc<Visit>> {
        let load = async {
            let session = self.sessions.find(id).await.inspect_err(|error| {
                tracing::warn!(%error, "a session cannot be read: its holder has to sign in again");
            });
            let state = State::of(session.ok()??, provider)?;
            Some(Arc::new(Visit { state: ArcSwap::from_pointee(state), renewing: Mutex::default() }))
        };
        self.live.optionally_get_with(*id, load).await
    }

    /// Asks the provider whether the session goes on. While it is away the session does.
    async fn renew(&self, id: &SessionId, visit: &Visit, provider: &Provider) -> Option<Arc<Identity>> {
        let _turn = visit.renewing.lock().await;
        let state = visit.state.load_full();
        let now = SystemTime::now();
        if now < state.fresh_until {
            return Some(state.identity.clone());
        }
        let token = state.session.refresh_token.as_deref()?;
        match provider.renew(token).await {
            Ok(tokens) => {
                let session = renewed(&state.session, tokens, now);
                // Before it is used: the provider takes the old token no more.
                if let Err(error) = self.sessions.replace(id, &session).await {
                    tracing::warn!(%error, "a renewed session cannot be kept");
                }
                visit.state.store(Arc::new(State::of(session, provider)?));
            }
            Err(RenewError::Over) => {
                self.ended.insert(*id, ()).await;
                self.live.invalidate(id).await;
                if let Err(error) = self.sessions.end(id).await {
                    tracing::warn!(%error, "a session that is over cannot be removed");
                }
                return None;
            }
            Err(RenewError::Away) => {
                let state = State {
                    session: state.session.clone(),
                    identity: state.identity.clone(),
                    fresh_until: now + PAUSE,
                };
                visit.state.store(Arc::new(state));
            }
        }
        Some(visit.state.load().identity.clone())
    }
}

impl State {
    fn of(session: Session, provider: &Provider) -> Option<Self> {
        let subject = session.claims.get("sub")?.as_str()?;
        let roles = roles_of(&session.claims, provider.issuer());
        let identity =
            Identity::new(Way::Session, subject, session.scopes.clone(), roles, session.claims.clone())
                .ok()?;
        Some(Self { fresh_until: session.fresh_until, identity: Arc::new(identity), session })
    }
}

fn renewed(former: &Session, tokens: Tokens, now: SystemTime) -> Session {
    Session {
        claims: former.claims.clone(),
        scopes: tokens.scope.as_deref().map_or_else(|| former.scopes.clone(), words),
        fresh_until: tokens.fresh_until(now, former.ends),
        // Where the provider sends none, the one in use goes on (RFC 6749, 6).
        refresh_token: tokens.refresh_token.or_else(|| former.refresh_token.clone()),
        id_token: tokens.id_token.unwrap_or_else(|| former.id_token.clone()),
        ends: former.ends,
    }
}

impl std::fmt::Debug for Visits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visits").field("sessions", &self.sessions).finish_non_exhaustive()
    }
}
