//! What tokens say: access tokens of RFC 9068, ID tokens of OpenID Connect Core 1.0, 2.

use hostel_sdk::Result;
use serde::{Deserialize, Serialize};

use super::grant::Grant;
use super::scope::Scope;
use crate::config::Issuer;
use crate::keys::{Ring, TokenType};

/// The claims of an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub client_id: String,
    pub exp: i64,
    pub iat: i64,
    pub jti: String,
    pub scope: String,
    /// When the user proved who it is; none where there is no user.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auth_time: Option<i64>,
    /// The grant that it belongs to and ends with; none where there is no user.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grant: Option<String>,
}

/// The claims of an ID token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdClaims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub exp: i64,
    pub iat: i64,
    pub auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nonce: Option<String>,
    pub at_hash: String,
    #[serde(flatten)]
    pub profile: Profile,
}

/// What a client learns of a user, by scope (OpenID Connect Core 1.0, 5.4).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Profile {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    /// Always false: nobody has sent a message there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email_verified: Option<bool>,
}

impl AccessClaims {
    /// The claims of a token that counts now: one of ours that has not expired and whose grant has not ended.
    ///
    /// # Errors
    /// Those of the database.
    pub fn of(token: &str, ring: &Ring<'_>, issuer: &Issuer, now_ms: i64) -> Result<Option<Self>> {
        let claims: Option<Self> = ring.claims(TokenType::Access, token)?;
        let Some(claims) = claims.filter(|claims| claims.counts(issuer, now_ms)) else {
            return Ok(None);
        };
        let is_alive = match &claims.grant {
            Some(grant) => Grant::is_alive(grant, now_ms)?,
            None => true,
        };
        Ok(is_alive.then_some(claims))
    }

    /// What it may be used for.
    pub fn scope(&self) -> Scope {
        Scope::new(&self.scope)
    }

    fn counts(&self, issuer: &Issuer, now_ms: i64) -> bool {
        self.iss == issuer.as_str() && now_ms < self.exp.saturating_mul(1_000)
    }
}

impl IdClaims {
    /// The claims of an ID token of ours that hints at a user; it may have expired (OpenID Connect RP-Initiated Logout 1.0, 4).
    ///
    /// # Errors
    /// Those of the keys.
    pub fn of_hint(token: &str, ring: &Ring<'_>, issuer: &Issuer) -> Result<Option<Self>> {
        let claims: Option<Self> = ring.claims(TokenType::Id, token)?;
        Ok(claims.filter(|claims| claims.iss == issuer.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_token_counts_until_it_expires() {
        let issuer = Issuer::for_tests();
        let claims = AccessClaims {
            iss: issuer.as_str().to_owned(),
            sub: "u".into(),
            aud: "shop".into(),
            client_id: "shop".into(),
            exp: 10,
            iat: 5,
            jti: "j".into(),
            scope: "orders".into(),
            auth_time: None,
            grant: None,
        };
        assert!(claims.counts(&issuer, 9_999));
        assert!(!claims.counts(&issuer, 10_000));
        let other = AccessClaims { iss: "https://other.example".into(), ..claims.clone() };
        assert!(!other.counts(&issuer, 0));
        let written = serde_json::to_value(&claims).unwrap();
        assert!(written.get("auth_time").is_none() && written.get("grant").is_none());
    }
}
