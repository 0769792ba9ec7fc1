//! Who asks, and whether it may: tokens of OpenID providers, API keys of this host, client certificates.
//!
//! Knows nothing of where API keys are kept. Files in reading order: `credentials` is what a request shows; `token`
//! checks a token, with a key of `jwks`, which `keys` keeps fresh through `fetch`, where the `discovery` document says; `api_keys` knows API keys;
//! `identity` is who asks, and what that permits; `denial` is how a caller is told that it may not pass.

mod credentials;
mod token;
mod jwks;
mod keys;
mod fetch;
mod discovery;
mod api_keys;
mod identity;
mod denial;

#[cfg(test)]
mod token_tests;

#[cfg(test)]
mod token_fuzz;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::request::Parts;
use moka::sync::Cache;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use self::credentials::Credential;
use self::jwks::KeySet;
use self::keys::Keys;
use self::token::{TokenFault, Unverified};
use super::context::Context;
use super::listener::client_certificate::ClientCertificate;
use super::login::Login;
use crate::config::{AuthConfig, IssuerConfig, LoginConfig};

pub use self::api_keys::{ApiKey, ApiKeys, NewKey};
pub use self::denial::Denial;
pub use self::discovery::Discovery;
pub use self::fetch::Fetcher;
pub use self::identity::{Identity, Way, roles_of};

/// The memory of tokens that were checked: some ten thousand of usual size.
const CHECKED_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// How long a token that was checked is not checked again: a signature costs as much as the rest of a request.
const CHECKED_TIME_MAX: Duration = Duration::from_secs(60);

/// What all routes share: issuers, API keys, tokens that were checked. It outlives every configuration.
pub struct Authenticator {
    fetcher: Fetcher,
    /// The issuers in use; those of which no route is left are gone.
    issuers: Mutex<Vec<Weak<Issuer>>>,
    /// By the digest of the token.
    checked: Cache<[u8; 32], Checked>,
    api_keys: Arc<ApiKeys>,
}

/// An issuer and its keys.
#[derive(Debug)]
struct Issuer {
    config: Arc<IssuerConfig>,
    keys: Keys,
}

/// A token that was checked.
#[derive(Clone)]
struct Checked {
    identity: Arc<Identity>,
    /// With which keys: when its issuer has others, or other rules, it must be checked again.
    keys: Arc<KeySet>,
    expires: SystemTime,
}

/// Who may use one route.
pub struct Auth {
    rules: AuthConfig,
    issuers: Vec<Arc<Issuer>>,
    shared: Arc<Authenticator>,
}

impl Default for Authenticator {
    fn default() -> Self {
        let weight = |_: &[u8; 32], checked: &Checked| {
            u32::try_from(size_of::<Checked>() + checked.identity.weight()).unwrap_or(u32::MAX)
        };
        let checked = Cache::builder().max_capacity(CHECKED_BYTES_MAX).time_to_live(CHECKED_TIME_MAX);
        Self {
            fetcher: Fetcher::default(),
            issuers: Mutex::default(),
            checked: checked.weigher(weight).build(),
            api_keys: Arc::default(),
        }
    }
}

impl Authenticator {
    /// The API keys that count.
    pub fn api_keys(&self) -> &Arc<ApiKeys> {
        &self.api_keys
    }

    /// What documents of issuers are fetched through.
    pub fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// The claims of an ID token that was made for this client (OpenID Connect Core 1.0, 3.1.3.7).
    ///
    /// # Errors
    ///
    /// Why it does not count.
    pub async fn check_id_token(
        &self,
        token: &str,
        login: &LoginConfig,
    ) -> Result<Map<String, Value>, Denial> {
        let for_client = IssuerConfig { audience: vec![login.client.clone()], ..(*login.issuer).clone() };
        let issuer = self.issuer(&login.issuer);
        let unverified = Unverified::read(token).map_err(denial)?;
        let checked = check(&unverified, &for_client, &issuer.keys, SystemTime::now()).await?;
        let claims = checked.identity.claims();
        // One for several audiences says for whom it was made.
        let is_ours = |party: &Value| party.as_str() == Some(login.client.as_str());
        if !claims.get("azp").is_none_or(is_ours) {
            return Err(Denial::Invalid("the token was made for another client"));
        }
        Ok(claims.clone())
    }

    /// The issuer of this configuration: the one that is in use already, with its keys, or a new one.
    fn issuer(&self, config: &Arc<IssuerConfig>) -> Arc<Issuer> {
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        issuers.retain(|issuer| issuer.strong_count() > 0);
        if let Some(known) = issuers.iter().filter_map(Weak::upgrade).find(|known| known.config == *config) {
            return known;
        }
        let keys = Keys::follow(config.clone(), self.fetcher.clone());
        let issuer = Arc::new(Issuer { config: config.clone(), keys });
        issuers.push(Arc::downgrade(&issuer));
        issuer
    }
}

impl Auth {
    /// The rules of a route as checked.
    pub fn new(rules: &AuthConfig, shared: &Arc<Authenticator>) -> Self {
        let issuers = rules.issuers.iter().map(|config| shared.issuer(config)).collect();
        Self { rules: rules.clone(), issuers, shared: shared.clone() }
    }

    /// Who asks, when it may pass.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub async fn admit(
        &self,
        head: &Parts,
        context: &Context,
        login: Option<&Login>,
    ) -> Result<Arc<Identity>, Denial> {
        let ways = self.rules.ways;
        let identity = match credentials::shown(&head.headers, ways)? {
            Some(Credential::Token(token)) => self.bearer(token).await?,
            Some(Credential::Key(key)) => self.shared.api_keys.find(key, SystemTime::now())?,
            None => match self.unspoken(head, context, login).await? {
                Some(identity) => identity,
                None if ways.token || ways.key || ways.session => return Err(Denial::Missing),
                None => return Err(Denial::NoCertificate),
            },
        };
        identity.check(&self.rules)?;
        Ok(identity)
    }

    /// Whether a browser may sign in for it, with the provider of this login.
    pub fn takes_sessions_of(&self, login: &Login) -> bool {
        self.rules.ways.session && self.rules.issuers.iter().any(|issuer| **issuer == *login.issuer())
    }

    /// Who asks by what goes along with every request: the session of a browser, or the certificate of a connection.
    async fn unspoken(
        &self,
        head: &Parts,
        context: &Context,
        login: Option<&Login>,
    ) -> Result<Option<Arc<Identity>>, Denial> {
        if let Some(login) = login.filter(|login| self.takes_sessions_of(login))
            && let Some(identity) = login.visitor(head, context).await?
        {
            return Ok(Some(identity));
        }
        let certificate = context.certificate.as_deref().filter(|_| self.rules.ways.certificate);
        certificate.map(|certificate| holder(certificate).map(Arc::new)).transpose()
    }

    /// Tells the service who asks, and takes out what the caller has shown unless the service may see it.
    pub fn pass_on(&self, identity: &Identity, headers: &mut HeaderMap) {
        identity.tell(headers);
        match (self.rules.forward_authorization, &identity.way) {
            (Some(true), _) => {}
            (Some(false), _) | (None, Way::Key(_)) => credentials::remove(headers),
            // A component that reads an API key could use it as its holder does, also where nobody looks at it.
            (None, Way::Token | Way::Certificate | Way::Session) => credentials::remove_keys(headers),
        }
    }

    /// Who shows this token.
    async fn bearer(&self, token: &str) -> Result<Arc<Identity>, Denial> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let now = SystemTime::now();
        if let Some(checked) = self.shared.checked.get(&digest) {
            let is_current = self.issuers.iter().any(|issuer| issuer.keys.are(&checked.keys));
            if is_current && now < checked.expires {
                return Ok(checked.identity);
            }
        }
        let unverified = Unverified::read(token).map_err(denial)?;
        let said = unverified.issuer();
        let issuer = self.issuers.iter().find(|issuer| Some(issuer.config.issuer.as_str()) == said);
        let issuer = issuer.ok_or(Denial::Invalid("the token is from an issuer that does not count here"))?;
        let checked = check(&unverified, &issuer.config, &issuer.keys, now).await?;
        self.shared.checked.insert(digest, checked.clone());
        Ok(checked.identity)
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// Checks a token, and once more when its key is not known and the issuer can be asked.
async fn check(
    token: &Unverified<'_>,
    rules: &IssuerConfig,
    source: &Keys,
    now: SystemTime,
) -> Result<Checked, Denial> {
    let mut keys = match source.current() {
        Some(keys) => keys,
        None => source.renewed().await.ok_or(Denial::KeysAway)?,
    };
    let mut accepted = token.verify(rules, &keys, now);
    if matches!(accepted, Err(TokenFault::UnknownKey)) {
        keys = source.renewed().await.ok_or(Denial::KeysAway)?;
        accepted = token.verify(rules, &keys, now);
    }
    let accepted = accepted.map_err(denial)?;
    Ok(Checked { identity: Arc::new(accepted.identity), keys, expires: accepted.expires })
}

fn denial(fault: TokenFault) -> Denial {
    match fault {
        TokenFault::UnknownKey => {
            Denial::Invalid("the token is signed with a key that its issuer does not show")
        }
        TokenFault::Invalid(reason) => Denial::Invalid(reason),
    }
}

/// The holder of a certificate, whose names are a claim, so that a route can ask for one of them.
fn holder(certificate: &ClientCertificate) -> Result<Identity, Denial> {
    let subject = subject(certificate).ok_or(Denial::Invalid("the certificate names nobody"))?;
    let claims = [("sub", json!(subject)), ("names", json!(certificate.names))];
    let claims = claims.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    Identity::new(Way::Certificate, &subject, Vec::new(), Vec::new(), claims)
        .map_err(|_| Denial::Invalid("the certificate has a subject or names that cannot be passed on"))
}

/// Whom a certificate names: its subject, or where that is empty its first name, whose kind stands before it, so that
/// it is never taken for a subject. A URI has a scheme and an e-mail address an `@` (RFC 5280, 4.2.1.6), which no name
/// of DNS has.
fn subject(certificate: &ClientCertificate) -> Option<Cow<'_, str>> {
    if !certificate.subject.is_empty() {
        return Some(Cow::Borrowed(&certificate.subject));
    }
    let name = certificate.names.iter().find(|name| !name.is_empty())?;
    let kind = match name {
        name if name.contains(':') => "URI",
        name if name.contains('@') => "email",
        _ => "DNS",
    };
    Some(Cow::Owned(format!("{kind}:{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_without_a_subject_stands_for_its_first_name() {
        for (subject, names, expected) in [
            ("CN=ada", &["ada.test"][..], Some("CN=ada")),
            ("", &["ada.test", "spiffe://shop/ada"], Some("DNS:ada.test")),
            ("", &["spiffe://shop/ada", "ada.test"], Some("URI:spiffe://shop/ada")),
            ("", &["ftp://ada@shop.test"], Some("URI:ftp://ada@shop.test")),
            ("", &["ada@shop.test"], Some("email:ada@shop.test")),
            ("", &["", "ada.test"], Some("DNS:ada.test")),
            ("", &["ada.test "], None),
            ("", &[], None),
        ] {
            let names = names.iter().map(ToString::to_string).collect();
            let holder = holder(&ClientCertificate { subject: subject.into(), names });
            assert_eq!(holder.ok().map(|identity| identity.subject).as_deref(), expected, "{subject}");
        }
    }
}
