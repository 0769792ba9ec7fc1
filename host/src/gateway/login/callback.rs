//! Takes a browser back from the provider: the code becomes tokens, the tokens a session.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use http::request::Parts;
use serde_json::Value;

use super::cookies::{PENDING_TIME_MAX, Pending};
use super::fault::LoginFault;
use super::origin::Origin;
use super::provider::{Tokens, words};
use super::{Login, redirect};
use crate::body::Response;
use crate::sessions::Session;

/// Claims about the ID token itself rather than about who signed in.
const OF_THE_TOKEN: [&str; 12] =
    ["aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "s_hash", "auth_time", "sid"];

/// What the provider sends along with the browser.
type Answer<'q> = BTreeMap<Cow<'q, str>, Cow<'q, str>>;

impl Login {
    /// Ends a login that was begun in the same browser.
    pub(super) async fn callback(&self, head: &Parts, origin: &Origin) -> Result<Response, LoginFault> {
        let answer = answer(head.uri.query().unwrap_or_default())?;
        let state = answer.get("state").ok_or(LoginFault::Unexpected)?;
        let pending = self.cookies.pending(&head.headers, origin, state).ok_or(LoginFault::Unexpected)?;
        self.check(&answer, &pending).await?;
        if let Some(error) = answer.get("error") {
            tracing::debug!(%error, "a provider has let nobody in");
            return Err(LoginFault::Refused);
        }
        let code = answer.get("code").ok_or(LoginFault::Provider)?;
        let tokens = self.provider.redeem(code, &pending.verifier, &self.redirect_uri(origin)).await?;
        let session = self.session(&tokens, &pending).await?;
        // A session that the browser had before is not the one that it gets: nobody can have planted it.
        if let Some(former) = self.cookies.session(&head.headers, origin) {
            _ = self.visits.end(former).await;
        }
        let id = self.visits.begin(session).await.map_err(|error| {
            tracing::warn!(%error, "a session cannot be kept");
            LoginFault::Store
        })?;
        let mut response = redirect(StatusCode::SEE_OTHER, &pending.to)?;
        self.cookies.give_session(response.headers_mut(), origin, &id);
        self.cookies.forget_pending(response.headers_mut(), origin, &pending.state);
        Ok(response)
    }

    /// Whether the answer is to the question that this browser was sent with (RFC 6749, 10.12; RFC 9207).
    async fn check(&self, answer: &Answer<'_>, pending: &Pending) -> Result<(), LoginFault> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_late = now.saturating_sub(Duration::from_secs(pending.begun)) > PENDING_TIME_MAX;
        if is_late || answer.get("state").map(AsRef::as_ref) != Some(pending.state.as_str()) {
            return Err(LoginFault::Unexpected);
        }
        let is_named = self.provider.names_itself().await?;
        match answer.get("iss") {
            Some(issuer) if *issuer == self.config.issuer.issuer => Ok(()),
            None if !is_named => Ok(()),
            _ => Err(LoginFault::Provider),
        }
    }

    async fn session(&self, tokens: &Tokens, pending: &Pending) -> Result<Session, LoginFault> {
        let id_token = tokens.id_token.as_deref().ok_or(LoginFault::Provider)?;
        let checked = self.authenticator.check_id_token(id_token, &self.config).await;
        let mut claims = checked.map_err(|denial| {
            tracing::warn!(reason = denial.detail(), "the ID token of a login does not count");
            LoginFault::Provider
        })?;
        if claims.get("nonce").and_then(Value::as_str) != Some(pending.nonce.as_str()) {
            tracing::warn!("the ID token of a login was made for another one");
            return Err(LoginFault::Provider);
        }
        claims.retain(|name, _| !OF_THE_TOKEN.contains(&name.as_str()));
        let now = SystemTime::now();
        let ends = now + self.config.lifetime;
        Ok(Session {
            issuer: self.config.issuer.issuer.clone(),
            client: self.config.client.clone(),
            claims,
            scopes: tokens.scope.as_deref().map_or_else(|| self.config.scopes.clone(), words),
            fresh_until: tokens.fresh_until(now, ends, tokens.refresh_token.is_some()),
            refresh_token: tokens.refresh_token.clone(),
            id_token: id_token.to_owned(),
            ends,
        })
    }
}

/// Each parameter once (RFC 6749, 3.1).
fn answer(query: &str) -> Result<Answer<'_>, LoginFault> {
    let mut answer = Answer::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if answer.insert(name, value).is_some() {
            return Err(LoginFault::Unexpected);
        }
    }
    Ok(answer)
}
