//! Makes tokens.

use base64ct::{Base64UrlUnpadded, Encoding};
use hostel_sdk::{Result, id};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::claims::{AccessClaims, IdClaims, Profile};
use super::grant::Grant;
use super::scope::Scope;
use crate::accounts::User;
use crate::config::{Issuer, lifetimes};
use crate::keys::{Ring, SigningKey, TokenType, Vault};

/// The client that operators' tokens name: the host itself, which is none of the configured ones.
const HOST_CLIENT: &str = "hostel";

/// Everything that a token needs but what it says: taken before a code is redeemed, so that nothing fails after.
pub struct Minter<'i> {
    issuer: &'i Issuer,
    key: SigningKey,
    lifetime_s: i64,
    now_ms: i64,
}

/// Whom an access token stands for.
#[derive(Debug, Clone, Copy)]
pub enum Holder<'a> {
    /// A user, by what was granted to a client.
    User(&'a Grant),
    /// A client, by its id, and no user.
    Client(&'a str),
    /// The operator of the host, by any name.
    Operator(&'a str),
}

/// The answer of the token endpoint (RFC 6749, 5.1).
#[derive(Serialize)]
pub struct Tokens {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

impl<'i> Minter<'i> {
    /// A minter with the key that signs now.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(issuer: &'i Issuer, now_ms: i64) -> Result<Self> {
        let vault = Vault::read()?;
        let key = Ring::current(&vault, now_ms)?.signer(now_ms)?;
        Ok(Self { issuer, key, lifetime_s: lifetimes::access_token_s()?, now_ms })
    }

    /// How long its tokens count.
    pub fn lifetime_ms(&self) -> i64 {
        self.lifetime_s * 1_000
    }

    /// An access token alone.
    ///
    /// # Errors
    /// Those of the key.
    pub fn access(&self, holder: Holder<'_>, audience: &str, scope: &Scope) -> Result<Tokens> {
        let now_s = self.now_ms / 1_000;
        let (sub, client_id, grant) = match holder {
            Holder::User(grant) => (&*grant.user_id, &*grant.client_id, Some(grant)),
            Holder::Client(id) => (id, id, None),
            Holder::Operator(name) => (name, HOST_CLIENT, None),
        };
        let claims = AccessClaims {
            iss: self.issuer.as_str().to_owned(),
            sub: sub.to_owned(),
            aud: audience.to_owned(),
            client_id: client_id.to_owned(),
            exp: now_s + self.lifetime_s,
            iat: now_s,
            jti: id::new(),
            scope: scope.to_string(),
            auth_time: grant.map(|grant| grant.authenticated_ms / 1_000),
            grant: grant.map(|grant| grant.id.clone()),
        };
        Ok(Tokens {
            access_token: self.key.token(TokenType::Access, &claims)?,
            token_type: "Bearer",
            expires_in: self.lifetime_s,
            scope: claims.scope,
            refresh_token: None,
            id_token: None,
        })
    }

    /// Adds an ID token that says who the user is. The nonce belongs to the first one only (OpenID Connect Core 1.0, 12.2).
    ///
    /// # Errors
    /// Those of the key.
    pub fn with_identity(
        &self,
        tokens: Tokens,
        grant: &Grant,
        user: &User,
        nonce: Option<String>,
    ) -> Result<Tokens> {
        let now_s = self.now_ms / 1_000;
        let claims = IdClaims {
            iss: self.issuer.as_str().to_owned(),
            sub: user.id.clone(),
            aud: grant.client_id.clone(),
            exp: now_s + self.lifetime_s,
            iat: now_s,
            auth_time: grant.authenticated_ms / 1_000,
            nonce,
            at_hash: half_hash(&tokens.access_token),
            profile: Profile::new(user, &Scope::new(&grant.scope)),
        };
        Ok(Tokens { id_token: Some(self.key.token(TokenType::Id, &claims)?), ..tokens })
    }
}

impl Tokens {
    /// Adds a refresh token.
    #[must_use]
    pub fn with_refresh(self, refresh_token: Option<String>) -> Self {
        Self { refresh_token, ..self }
    }
}

impl Profile {
    /// What a client may know of a user.
    pub fn new(user: &User, scope: &Scope) -> Self {
        let email = scope.has("email").then(|| user.email.clone());
        Self {
            name: scope.has("profile").then(|| user.name.clone()),
            email_verified: email.is_some().then_some(false),
            email,
        }
    }
}

/// The left half of the hash of an access token, by which an ID token names it (OpenID Connect Core 1.0, 3.1.3.6).
fn half_hash(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    Base64UrlUnpadded::encode_string(&digest[..digest.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_knows_what_its_scope_says() {
        let user = User { id: "u".into(), email: "ada@example.com".into(), name: "Ada".into() };
        let check = |scope: &str, expected: &str| {
            let written = serde_json::to_string(&Profile::new(&user, &Scope::new(scope))).unwrap();
            assert_eq!(written, expected, "{scope}");
        };
        check("openid", "{}");
        check("openid profile", r#"{"name":"Ada"}"#);
        check("openid email", r#"{"email":"ada@example.com","email_verified":false}"#);
    }

    #[test]
    fn an_access_token_is_named_by_half_its_hash() {
        // OpenID Connect Core 1.0, A.3.
        assert_eq!(half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }

    #[test]
    fn tokens_say_what_the_standards_ask_for() {
        let issuer = Issuer::for_tests();
        let vault = Vault::for_tests();
        let key = SigningKey::generate().unwrap();
        let ring = Ring::for_tests(&vault, &key);
        let key = ring.signer(0).unwrap();
        let minter = Minter { issuer: &issuer, key, lifetime_s: 300, now_ms: 7_500 };
        let tokens = minter.access(Holder::Client("robot"), "shop", &Scope::new("orders")).unwrap();
        let claims: AccessClaims = ring.claims(TokenType::Access, &tokens.access_token).unwrap().unwrap();
        assert_eq!((claims.sub.as_str(), claims.client_id.as_str()), ("robot", "robot"));
        assert_eq!((claims.iat, claims.exp, claims.aud.as_str()), (7, 307, "shop"));
        assert!(ring.claims::<IdClaims>(TokenType::Id, &tokens.access_token).unwrap().is_none());
    }
}
