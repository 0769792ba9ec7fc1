//! Browser login, checked: the gateway as a client of one OpenID provider.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::auth::is_scope;
use super::auth_file;
use super::issuer::{IssuerConfig, Issuers, KeySource};
use super::key::Key;
use super::report::Report;
use super::secret::{Secret, Secrets};
use super::units;

/// Where the gateway answers browsers.
const PATH: &str = "/session";

/// A day at work; who comes back tomorrow signs in again, most often without typing anything.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// What makes a request one of OpenID, and what pages like to show (OpenID Connect Core 1.0, 5.4).
const SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// How browsers sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginConfig {
    /// The provider.
    pub issuer: Arc<IssuerConfig>,
    /// The name of the gateway there.
    pub client: String,
    /// Its secret; none for a public client.
    pub secret: Option<Secret>,
    /// What it asks for; `openid` is among them.
    pub scopes: Vec<String>,
    /// The path below which the gateway answers browsers, without a slash at its end.
    pub path: String,
    /// How long a session lasts.
    pub lifetime: Duration,
}

/// Checks the `login` of all issuers; there is one at most.
pub fn check(
    written: &BTreeMap<String, auth_file::Issuer>,
    issuers: &Issuers,
    secrets: &Secrets<'_>,
    report: &mut Report<'_>,
) -> Option<Arc<LoginConfig>> {
    let mut found = None;
    for (name, issuer) in written {
        let Some(login) = &issuer.login else { continue };
        let key = Key::root().field("issuers").field(name).field("login");
        if found.is_some() {
            report.refuse_found(&key, "a second `login`", "take one out: browsers sign in with one provider");
            continue;
        }
        let Some(issuer) = issuers.get(name) else { continue };
        found = Some(one(login, issuer, secrets, &key, report)?);
    }
    found.map(Arc::new)
}

fn one(
    written: &auth_file::Login,
    issuer: &Arc<IssuerConfig>,
    secrets: &Secrets<'_>,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<LoginConfig> {
    if matches!(issuer.keys, KeySource::Jwks(_)) {
        let remedy = "take `jwks` out of the issuer: where browsers sign in stands in its discovery document";
        report.refuse_found(key, "`login` beside `jwks`", remedy);
    }
    let secret = written.secret.as_deref().and_then(|reference| match secrets.read(reference) {
        Ok(secret) => Some(secret),
        Err(error) => {
            report.refuse_found(&key.field("secret"), "a secret that cannot be had", error.to_string());
            None
        }
    });
    let lifetime = units::time(written.lifetime.as_ref(), LIFETIME, &key.field("lifetime"), report);
    Some(LoginConfig {
        issuer: issuer.clone(),
        // What is missing was refused by the schema.
        client: written.client.clone()?,
        secret,
        scopes: scopes(written.scopes.as_deref(), &key.field("scopes"), report),
        path: path(written.path.as_deref(), &key.field("path"), report),
        lifetime,
    })
}

fn scopes(written: Option<&[String]>, key: &Key, report: &mut Report<'_>) -> Vec<String> {
    let Some(written) = written else { return SCOPES.map(str::to_owned).to_vec() };
    for (index, _) in written.iter().enumerate().filter(|(_, scope)| !is_scope(scope)) {
        report.refuse(&key.item(index), "write one scope, without spaces, quotes and backslashes");
    }
    if !written.iter().any(|scope| scope == SCOPES[0]) {
        report.refuse(key, "add \"openid\": without it the provider does not say who signs in");
    }
    written.to_vec()
}

fn path(written: Option<&str>, key: &Key, report: &mut Report<'_>) -> String {
    let path = written.unwrap_or(PATH);
    let is_plain = |segment: &str| {
        !segment.is_empty()
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if !path.strip_prefix('/').is_some_and(|below| below.split('/').all(is_plain)) {
        report.refuse(key, "write a path such as \"/session\", of letters, digits, `-` and `_`");
    }
    path.to_owned()
}
