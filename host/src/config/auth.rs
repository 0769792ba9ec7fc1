//! Who may use a route, checked; what it needs to know of the issuers goes with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::auth_file::{Auth, AuthRules, ClaimValues, Way};
use super::issuer::{IssuerConfig, Issuers};
use super::key::Key;
use super::report::Report;
use super::suggest;

/// Who may use a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// The scopes that a caller has, all of them.
    pub scopes: Vec<String>,
    /// The roles of which a caller has one; empty: none needed.
    pub roles: Vec<String>,
    /// The claims that a caller has, each with one of these values.
    pub claims: BTreeMap<String, Vec<String>>,
    /// Whose tokens and sessions count.
    pub issuers: Vec<Arc<IssuerConfig>>,
    /// The ways in which a caller may show who it is.
    pub ways: Ways,
    /// Whether the service gets what the caller has shown; none: tokens, but no API keys.
    pub forward_authorization: Option<bool>,
}

/// The ways in which a caller may show who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// A token of an issuer.
    pub token: bool,
    /// An API key of this host.
    pub key: bool,
    /// A client certificate.
    pub certificate: bool,
    /// The session of a browser.
    pub session: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self { token: true, key: true, certificate: true, session: true }
    }
}

/// What the routes of a file are checked against.
#[derive(Debug, Default)]
pub struct AuthDefaults {
    /// The issuers that are sound.
    pub issuers: Issuers,
    /// Every issuer that the file names, sound or not.
    pub names: Vec<String>,
    /// Whether browsers can sign in.
    pub has_login: bool,
    /// Who may use a route that does not say; none: everybody.
    pub auth: Option<AuthConfig>,
}

impl AuthConfig {
    /// The same for a route to an external service: it must not get what opens this host, unless the file says so.
    pub fn for_external(self) -> Self {
        Self { forward_authorization: self.forward_authorization.or(Some(false)), ..self }
    }
}

/// Checks the `auth` under the key; none: everybody may.
pub fn check(
    written: Option<&Auth>,
    defaults: &AuthDefaults,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<AuthConfig> {
    match written {
        None => defaults.auth.clone(),
        Some(Auth::Switch(false)) => None,
        Some(Auth::Switch(true)) => Some(rules(&AuthRules::default(), defaults, key, report)),
        Some(Auth::Rules(written)) => Some(rules(written, defaults, key, report)),
    }
}

fn rules(written: &AuthRules, defaults: &AuthDefaults, key: &Key, report: &mut Report<'_>) -> AuthConfig {
    let ways = ways(written.ways.as_deref(), defaults, &key.field("ways"), report);
    let issuers = issuers(written.issuers.as_deref(), defaults, &key.field("issuers"), report);
    AuthConfig {
        scopes: scopes(written.scopes.as_deref(), &key.field("scopes"), report),
        roles: words(written.roles.as_deref(), &key.field("roles"), report),
        claims: claims(written.claims.as_ref(), &key.field("claims"), report),
        issuers: if ways.token || ways.session { issuers } else { Vec::new() },
        ways,
        forward_authorization: written.forward_authorization,
    }
}

fn ways(written: Option<&[Way]>, defaults: &AuthDefaults, key: &Key, report: &mut Report<'_>) -> Ways {
    let Some(written) = written else { return Ways::default() };
    let ways = Ways {
        token: written.contains(&Way::Token),
        key: written.contains(&Way::Key),
        certificate: written.contains(&Way::Certificate),
        session: written.contains(&Way::Session),
    };
    if written.is_empty() {
        report.refuse(key, "name a way (token, key, certificate, session), or take the key out for all");
    } else if ways.token && defaults.names.is_empty() {
        report.refuse(key, "add an issuer of tokens as `[issuers.NAME]`: there is none");
    } else if ways.session && !defaults.has_login {
        report.refuse(key, "add `login` to an issuer: nobody can sign in here");
    }
    ways
}

fn issuers(
    written: Option<&[String]>,
    defaults: &AuthDefaults,
    key: &Key,
    report: &mut Report<'_>,
) -> Vec<Arc<IssuerConfig>> {
    let Some(written) = written else { return defaults.issuers.values().cloned().collect() };
    if written.is_empty() {
        report.refuse(key, "name an issuer, or take the key out for all");
    }
    for (index, name) in written.iter().enumerate().filter(|(_, name)| !defaults.names.contains(name)) {
        let advice = suggest::advise(name, "issuers", defaults.names.iter().map(String::as_str));
        report.refuse(&key.item(index), advice);
    }
    written.iter().filter_map(|name| defaults.issuers.get(name).cloned()).collect()
}

/// Scopes are words (RFC 6749, 3.3): one with a space in it would be two for the service.
fn scopes(written: Option<&[String]>, key: &Key, report: &mut Report<'_>) -> Vec<String> {
    let scopes = words(written, key, report);
    for (index, _) in scopes.iter().enumerate().filter(|(_, scope)| !is_scope(scope) && !scope.is_empty()) {
        report.refuse(&key.item(index), "write one scope, without spaces, quotes and backslashes");
    }
    scopes
}

/// Whether the text is one scope.
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

fn words(written: Option<&[String]>, key: &Key, report: &mut Report<'_>) -> Vec<String> {
    let Some(written) = written else { return Vec::new() };
    if written.is_empty() {
        report.refuse(key, "name one, or take the key out when none is needed");
    }
    for (index, _) in written.iter().enumerate().filter(|(_, word)| word.is_empty()) {
        report.refuse(&key.item(index), "write what must be there; this is empty");
    }
    written.to_vec()
}

fn claims(
    written: Option<&BTreeMap<String, ClaimValues>>,
    key: &Key,
    report: &mut Report<'_>,
) -> BTreeMap<String, Vec<String>> {
    let mut claims = BTreeMap::new();
    for (name, values) in written.into_iter().flatten() {
        let values = match values {
            ClaimValues::One(value) => vec![value.clone()],
            ClaimValues::OneOf(values) => values.clone(),
        };
        if values.is_empty() {
            report.refuse(&key.field(name), "name a value that the claim may have");
        }
        claims.insert(name.clone(), values);
    }
    claims
}
