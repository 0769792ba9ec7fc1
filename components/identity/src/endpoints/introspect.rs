//! `POST /introspect`: whether a token counts, for a service that cannot check it itself (RFC 7662).

use hostel_sdk::{Request, Response, Result, time};
use serde_json::{Value, json};

use crate::config::{Client, Clients, Issuer};
use crate::keys::{Ring, Vault};
use crate::protocol::{AccessClaims, Failure, Grant, OauthError, Parameters, authenticate, settle, uncached};

/// `POST /introspect`. Only clients with a secret may ask, and only of tokens that are theirs or for them; of all others
/// they learn nothing.
pub fn answer(request: &Request) -> Result<Response> {
    settle(try_answer(request))
}

fn try_answer(request: &Request) -> Result<Response, Failure> {
    let form = Parameters::of_form(request)?;
    let clients = Clients::read()?;
    let client = authenticate(request, &form, &clients)?;
    if !client.is_confidential() {
        return Err(OauthError::new("unauthorized_client", "Only a client with a secret may ask.").into());
    }
    let state = describe(form.require("token")?, client)?.unwrap_or_else(|| json!({"active": false}));
    Ok(uncached(Response::ok(&state)?))
}

fn describe(token: &str, client: &Client) -> Result<Option<Value>> {
    let (issuer, now_ms) = (Issuer::read()?, time::now_ms());
    if let Some(grant) = Grant::of_refresh_token(token, now_ms)? {
        let is_own = grant.client_id == client.id;
        return Ok(is_own.then(|| of_grant(&grant, &issuer)));
    }
    let vault = Vault::read()?;
    let claims = AccessClaims::of(token, &Ring::current(&vault, now_ms)?, &issuer, now_ms)?;
    let is_theirs = |claims: &AccessClaims| claims.client_id == client.id || claims.aud == client.audience();
    Ok(claims.filter(is_theirs).map(of_claims))
}

fn of_grant(grant: &Grant, issuer: &Issuer) -> Value {
    json!({
        "active": true,
        "iss": issuer.as_str(),
        "sub": grant.user_id,
        "client_id": grant.client_id,
        "scope": grant.scope,
        "exp": grant.expires_ms / 1_000,
    })
}

fn of_claims(claims: AccessClaims) -> Value {
    json!({
        "active": true,
        "token_type": "Bearer",
        "iss": claims.iss,
        "sub": claims.sub,
        "aud": claims.aud,
        "client_id": claims.client_id,
        "scope": claims.scope,
        "exp": claims.exp,
        "iat": claims.iat,
        "jti": claims.jti,
    })
}
