//! Checks one token: a JWT that is signed, by RFC 7519 with the rules of RFC 8725 and RFC 9068.
//!
//! Which key checks it is decided by the configuration and the keys of the issuer alone. What its own header says of
//! keys (`jku`, `jwk`, `x5u`, `x5c`) is never looked at; its `kid` is a name to look up, nothing else.

use std::time::{Duration, SystemTime};

use jsonwebtoken::{Header, TokenData, crypto, dangerous};
use serde_json::{Map, Value};

use self::TokenFault::Invalid;
use super::identity::{self, Identity, Way};
use super::jwks::{Key, KeySet, algorithm};
use crate::config::IssuerConfig;

/// The longest token: header fields share 32 KiB.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The types that a header may name (RFC 7519, 5.1; RFC 9068, 2.1); an ID token of OpenID has none or the first.
const TYPES: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];

/// A token that is well formed, and nothing more: nobody may rely on it yet.
pub struct Unverified<'t> {
    header: Header,
    claims: Map<String, Value>,
    message: &'t str,
    signature: &'t str,
}

/// A token whose signature and claims are right.
#[derive(Debug)]
pub struct Accepted {
    /// Who shows it.
    pub identity: Identity,
    /// From when on it counts no more.
    pub expires: SystemTime,
}

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// It is signed with a key that its issuer has not shown yet, or never.
    UnknownKey,
    /// It never counts; the text says why.
    Invalid(&'static str),
}

impl<'t> Unverified<'t> {
    /// Reads a token without relying on it.
    ///
    /// # Errors
    ///
    /// When it is too long or malformed.
    pub fn read(token: &'t str) -> Result<Self, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Invalid("the token is longer than 8 KiB"));
        }
        let malformed = Invalid("the token is malformed");
        // Three parts: five would be an encrypted one, and one is a name that only its issuer understands.
        let [_, _, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            return Err(malformed);
        };
        let message = &token[..token.len() - signature.len() - 1];
        // Not dangerous here: `verify` checks everything. The library decodes base64url strictly, and knows no `none`.
        let TokenData { header, claims } = dangerous::insecure_decode(token).map_err(|_| malformed)?;
        Ok(Self { header, claims, message, signature })
    }

    /// Who it says has issued it: whose keys must be asked.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Checks everything: header, claims, and with a key of the issuer the signature.
    ///
    /// # Errors
    ///
    /// Why it does not count.
    pub fn verify(
        &self,
        issuer: &IssuerConfig,
        keys: &KeySet,
        now: SystemTime,
    ) -> Result<Accepted, TokenFault> {
        self.check_header(issuer)?;
        let expires = self.check_claims(issuer, now)?;
        self.check_signature(keys)?;
        Ok(Accepted { identity: self.identity(issuer)?, expires })
    }

    fn check_header(&self, issuer: &IssuerConfig) -> Result<(), TokenFault> {
        if !issuer.algorithms.iter().any(|allowed| algorithm(*allowed) == self.header.alg) {
            return Err(Invalid("the token is signed in a way that does not count here"));
        }
        if self.header.crit.is_some() {
            return Err(Invalid("the token has a critical header parameter that is not understood here"));
        }
        let kind = self.header.typ.as_deref().unwrap_or(TYPES[0]);
        if !TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
            return Err(Invalid("the token is of another type"));
        }
        Ok(())
    }

    /// Answers from when on it counts no more.
    fn check_claims(&self, issuer: &IssuerConfig, now: SystemTime) -> Result<SystemTime, TokenFault> {
        if self.issuer() != Some(issuer.issuer.as_str()) {
            return Err(Invalid("the token is from another issuer"));
        }
        if !self.claims.get("aud").is_some_and(|audience| is_for(audience, &issuer.audience)) {
            return Err(Invalid("the token is for another audience"));
        }
        let expires = self.time("exp")?.ok_or(Invalid("the token does not say when it expires"))?;
        let expires = expires.checked_add(issuer.leeway).unwrap_or(expires);
        if now >= expires {
            return Err(Invalid("the token has expired"));
        }
        let latest = now + issuer.leeway;
        if self.time("nbf")?.is_some_and(|begin| begin > latest) {
            return Err(Invalid("the token is not valid yet"));
        }
        if self.time("iat")?.is_some_and(|issued| issued > latest) {
            return Err(Invalid("the token was issued in the future"));
        }
        Ok(expires)
    }

    fn check_signature(&self, keys: &KeySet) -> Result<(), TokenFault> {
        let algorithm = self.header.alg;
        let found = keys.find(self.header.kid.as_deref(), algorithm);
        let mut keys = found.ok_or(TokenFault::UnknownKey)?;
        let is_signed_with = |key: &Key| {
            let verified = crypto::verify(self.signature, self.message.as_bytes(), &key.decoding, algorithm);
            verified.unwrap_or(false)
        };
        match keys.any(is_signed_with) {
            true => Ok(()),
            false => Err(Invalid("the signature of the token is wrong")),
        }
    }

    fn identity(&self, issuer: &IssuerConfig) -> Result<Identity, TokenFault> {
        let subject = self.claims.get("sub").and_then(Value::as_str);
        let subject = subject.ok_or(Invalid("the token does not say whom it stands for"))?;
        let words = |name: &str| identity::claim(&self.claims, name).map(identity::words).unwrap_or_default();
        let (scopes, roles) = (words(&issuer.scopes_claim), words(&issuer.roles_claim));
        Identity::new(Way::Token, subject, scopes, roles, self.claims.clone())
            .map_err(|_| Invalid("the token has a subject or claims that cannot be passed on"))
    }

    /// A claim that is a time: seconds since 1970, perhaps with a fraction.
    fn time(&self, name: &str) -> Result<Option<SystemTime>, TokenFault> {
        let Some(value) = self.claims.get(name) else { return Ok(None) };
        let seconds = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let time = seconds.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(seconds));
        time.map(Some).ok_or(Invalid("the token has a time that is none"))
    }
}

fn is_for(audience: &Value, ours: &[String]) -> bool {
    let is_ours = |one: &Value| one.as_str().is_some_and(|one| ours.iter().any(|own| own == one));
    match audience {
        Value::Array(all) => all.iter().any(is_ours),
        one => is_ours(one),
    }
}
