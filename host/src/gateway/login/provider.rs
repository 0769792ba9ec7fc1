//! The provider as a client sees it: where its endpoints are, and the tokens that it gives.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, Uri};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::fault::LoginFault;
use crate::config::{IssuerConfig, KeySource, LoginConfig, provider_address};
use crate::gateway::auth::{Discovery, Fetcher};
use crate::sessions::Session;

/// How long what the provider says of itself is taken as true without asking again.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// How long it is left alone when it could not be asked: each try may take seconds.
const PAUSE: Duration = Duration::from_secs(5);

/// How long before their end tokens are renewed, so that none ends on its way.
const MARGIN: Duration = Duration::from_secs(10);

/// Requests that come together do not each ask for new tokens, however short their life is.
const LIFE_MIN: Duration = Duration::from_secs(1);

/// How long tokens count whose life the provider does not tell.
const TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);

/// One provider and this gateway's place there; cheap to clone.
#[derive(Clone)]
pub struct Provider {
    shared: Arc<Shared>,
}

struct Shared {
    config: Arc<LoginConfig>,
    fetcher: Fetcher,
    known: Mutex<Known>,
}

/// What it said of itself.
struct Known {
    endpoints: Option<Arc<Endpoints>>,
    /// From when on it is asked again.
    next: Instant,
}

/// Where a login goes.
struct Endpoints {
    authorization: Uri,
    token: Uri,
    end_of_session: Option<Uri>,
    names_itself: bool,
}

/// What a provider gives for a code or a refresh token (RFC 6749, 5.1).
#[derive(Deserialize)]
pub struct Tokens {
    /// Who has signed in.
    pub id_token: Option<String>,
    /// What gets the next ones.
    pub refresh_token: Option<String>,
    /// What they allow, where that is not what was asked for.
    pub scope: Option<String>,
    /// The seconds that they count.
    expires_in: Option<u64>,
}

/// Why there are no new tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewError {
    /// The provider has ended the session.
    Over,
    /// It cannot be reached, or fails.
    Away,
}

impl Provider {
    /// A provider that is asked through this.
    pub fn new(config: Arc<LoginConfig>, fetcher: Fetcher) -> Self {
        let known = Mutex::new(Known { endpoints: None, next: Instant::now() });
        Self { shared: Arc::new(Shared { config, fetcher, known }) }
    }

    /// Who it is.
    pub fn issuer(&self) -> &IssuerConfig {
        &self.shared.config.issuer
    }

    /// Whether a session was begun with it, by this client: another provider may mean another person by the same name.
    pub fn has_begun(&self, session: &Session) -> bool {
        let config = &self.shared.config;
        session.issuer == config.issuer.issuer && session.client == config.client
    }

    /// Where a browser signs in with these parameters.
    ///
    /// # Errors
    ///
    /// When the provider cannot be asked.
    pub async fn authorization(&self, parameters: &[(&str, &str)]) -> Result<String, LoginFault> {
        Ok(with_query(&self.endpoints().await?.authorization, parameters))
    }

    /// Whether it says with every answer who it is (RFC 9207).
    ///
    /// # Errors
    ///
    /// When the provider cannot be asked.
    pub async fn names_itself(&self) -> Result<bool, LoginFault> {
        Ok(self.endpoints().await?.names_itself)
    }

    /// Where a browser ends its session there, and comes back to `home`; none where it has no such place.
    pub async fn end_of_session(&self, id_token: &str, home: &str) -> Option<String> {
        let endpoints = self.endpoints().await.ok()?;
        let client = &self.shared.config.client;
        let parameters =
            [("id_token_hint", id_token), ("post_logout_redirect_uri", home), ("client_id", client)];
        Some(with_query(endpoints.end_of_session.as_ref()?, &parameters))
    }

    /// The tokens for a code.
    ///
    /// # Errors
    ///
    /// When the provider gives none.
    pub async fn redeem(&self, code: &str, verifier: &str, back: &str) -> Result<Tokens, LoginFault> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", back),
            ("code_verifier", verifier),
        ];
        let (status, body) = self.ask(&form).await?;
        if !status.is_success() {
            let said = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            tracing::warn!(%status, said, "a provider gives no tokens for a code");
            return Err(if status.is_server_error() { LoginFault::Away } else { LoginFault::Provider });
        }
        serde_json::from_slice(&body).map_err(|error| {
            tracing::warn!(%error, "the tokens of a provider cannot be read");
            LoginFault::Provider
        })
    }

    /// New tokens.
    ///
    /// # Errors
    ///
    /// Whether the session is over, or the provider away.
    pub async fn renew(&self, refresh_token: &str) -> Result<Tokens, RenewError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let (status, body) = self.ask(&form).await.map_err(|_| RenewError::Away)?;
        // Only this word is about the session; whatever else a provider says is its own trouble or the operator's.
        let says_over = || {
            #[derive(Deserialize)]
            struct Refusal {
                error: String,
            }
            serde_json::from_slice::<Refusal>(&body).is_ok_and(|refusal| refusal.error == "invalid_grant")
        };
        match status {
            status if status.is_success() => serde_json::from_slice(&body).map_err(|_| RenewError::Away),
            status if status.is_client_error() && says_over() => Err(RenewError::Over),
            status => {
                tracing::warn!(%status, "a provider renews no session; those that count go on");
                Err(RenewError::Away)
            }
        }
    }

    async fn ask(&self, form: &[(&str, &str)]) -> Result<(StatusCode, bytes::Bytes), LoginFault> {
        let endpoints = self.endpoints().await?;
        let config = &self.shared.config;
        let authorization = config.secret.as_ref().and_then(|secret| basic(&config.client, secret.reveal()));
        // A public client has nothing to prove, and says who it is.
        let public = authorization.is_none().then_some(("client_id", config.client.as_str()));
        let form =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(form).extend_pairs(public).finish();
        let answer = self.shared.fetcher.post(&endpoints.token, form, authorization).await;
        answer.map_err(|error| {
            tracing::warn!(issuer = config.issuer.name, %error, "the tokens of a provider cannot be asked for");
            LoginFault::Away
        })
    }

    /// What it says of itself; what was known before, where it cannot be asked.
    async fn endpoints(&self) -> Result<Arc<Endpoints>, LoginFault> {
        let mut known = self.shared.known.lock().await;
        if Instant::now() >= known.next {
            let found = self.discover().await;
            // All who wait here go on with what was found, also when that is nothing.
            known.next = Instant::now() + if found.is_ok() { FRESH } else { PAUSE };
            match found {
                Ok(endpoints) => known.endpoints = Some(Arc::new(endpoints)),
                Err(fault) if known.endpoints.is_none() => return Err(fault),
                Err(_) => {}
            }
        }
        known.endpoints.clone().ok_or(LoginFault::Away)
    }

    async fn discover(&self) -> Result<Endpoints, LoginFault> {
        let issuer = &self.shared.config.issuer;
        let KeySource::Discovery(place) = &issuer.keys else { return Err(LoginFault::Provider) };
        let found = Discovery::fetch(&self.shared.fetcher, place, issuer).await.map_err(|error| {
            tracing::warn!(issuer = issuer.name, %error, "a provider cannot be asked where to sign in");
            LoginFault::Away
        })?;
        let address = |text: Option<String>| provider_address(&text?).ok();
        let needed = |text: Option<String>| {
            address(text).ok_or_else(|| {
                tracing::warn!(issuer = issuer.name, "a provider does not say where to sign in");
                LoginFault::Provider
            })
        };
        Ok(Endpoints {
            authorization: needed(found.authorization_endpoint)?,
            token: needed(found.token_endpoint)?,
            end_of_session: address(found.end_session_endpoint),
            names_itself: found.authorization_response_iss_parameter_supported,
        })
    }
}

impl Tokens {
    /// Until when nobody needs to ask the provider again.
    pub fn fresh_until(&self, now: SystemTime, ends: SystemTime, is_renewable: bool) -> SystemTime {
        if !is_renewable {
            return ends;
        }
        let life = self.expires_in.map_or(TOKEN_LIFE, Duration::from_secs);
        now.checked_add(life.saturating_sub(MARGIN).max(LIFE_MIN)).unwrap_or(ends).min(ends)
    }
}

/// The words of a list with spaces between them.
pub fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

fn with_query(place: &Uri, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let separator = if place.query().is_some() { '&' } else { '?' };
    format!("{place}{separator}{}", query.finish())
}

/// The proof of a client with a secret (RFC 6749, 2.3.1).
fn basic(client: &str, secret: &str) -> Option<HeaderValue> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = STANDARD.encode(format!("{}:{}", encode(client), encode(secret)));
    let mut value = HeaderValue::from_str(&format!("Basic {pair}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
