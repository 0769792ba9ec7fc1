//! OpenID providers whose tokens count: who they are, and where their keys are found.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use super::auth_file::{self, TokenAlgorithm};
use super::directory::Directory;
use super::key::Key;
use super::report::Report;
use super::suggest;
use super::units;
use crate::names::ServiceName;

/// Clocks of servers that are kept in time differ by less.
const LEEWAY: Duration = Duration::from_secs(60);

/// With more, tokens live visibly longer than their issuer wants.
const LEEWAY_MAX: Duration = Duration::from_secs(10 * 60);

/// Where scopes stand by RFC 9068, 2.2.3.
const SCOPES_CLAIM: &str = "scope";

/// Where roles stand by RFC 9068, 2.2.3.1.
const ROLES_CLAIM: &str = "roles";

/// Where a provider describes itself (OpenID Connect Discovery 1.0, 4).
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// Every signature that counts where an issuer names none.
const ALGORITHMS: [TokenAlgorithm; 7] = [
    TokenAlgorithm::RS256,
    TokenAlgorithm::RS384,
    TokenAlgorithm::RS512,
    TokenAlgorithm::PS256,
    TokenAlgorithm::ES256,
    TokenAlgorithm::ES384,
    TokenAlgorithm::EdDSA,
];

/// One OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerConfig {
    /// Its name in gateway.toml.
    pub name: String,
    /// Its name in tokens.
    pub issuer: String,
    /// Whom its tokens must be for: one of these.
    pub audience: Vec<String>,
    /// How far its clock may be from this host's.
    pub leeway: Duration,
    /// Where its keys are found.
    pub keys: KeySource,
    /// The signatures that count.
    pub algorithms: Vec<TokenAlgorithm>,
    /// The claim in which scopes stand.
    pub scopes_claim: String,
    /// The claim in which roles stand.
    pub roles_claim: String,
    /// The service of this host that it is.
    pub service: Option<ServiceName>,
}

/// Where the keys of a provider are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Its keys themselves.
    Jwks(Uri),
    /// The document that says where they are.
    Discovery(Uri),
}

/// The issuers of a file by their names in it.
pub type Issuers = BTreeMap<String, Arc<IssuerConfig>>;

/// Checks all issuers.
pub fn check_all(
    written: &BTreeMap<String, auth_file::Issuer>,
    directory: &Directory,
    report: &mut Report<'_>,
) -> Issuers {
    let mut issuers = Issuers::new();
    for (name, written) in written {
        let key = Key::root().field("issuers").field(name);
        let Some(issuer) = check(name, written, directory, &key, report) else { continue };
        if let Some(other) = issuers.values().find(|other| other.issuer == issuer.issuer) {
            let remedy = format!("take one out: `issuers.{}` is the same", other.name);
            report.refuse(&key.field("issuer"), remedy);
        }
        issuers.insert(name.clone(), Arc::new(issuer));
    }
    issuers
}

/// The address of a provider or of its keys: https, since whoever can change keys on their way can make tokens;
/// http only where there is no way. An error says what would be right.
pub fn provider_address(text: &str) -> Result<Uri, String> {
    let remedy = "write an address such as \"https://id.example.com\"";
    let uri: Uri = text.parse().map_err(|_| remedy.to_owned())?;
    let host = uri.host().unwrap_or_default();
    if text.contains('#') || uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err(format!("{remedy}, without user, password and `#`"));
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_loopback(host) => Ok(uri),
        _ => Err(format!(
            "{remedy}; http is allowed only to this machine itself, as in \"http://127.0.0.1:4000\""
        )),
    }
}

fn check(
    name: &str,
    written: &auth_file::Issuer,
    directory: &Directory,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<IssuerConfig> {
    let audience = audience(written.audience.as_deref(), &key.field("audience"), report);
    let leeway_key = key.field("leeway");
    let leeway = units::time(written.leeway.as_ref(), LEEWAY, &leeway_key, report);
    if leeway > LEEWAY_MAX && !report.refused_within(&leeway_key) {
        report.refuse(&leeway_key, "write at most \"10m\": longer is no difference of clocks");
    }
    let algorithms = written.algorithms.as_deref().unwrap_or(&ALGORITHMS);
    if algorithms.is_empty() {
        report.refuse(
            &key.field("algorithms"),
            "name a signature such as \"ES256\", or take the key out for all",
        );
    }
    let claim = |written: &Option<String>, default: &str| written.as_deref().unwrap_or(default).to_owned();
    // What is missing was refused by the schema.
    let issuer = written.issuer.as_deref()?;
    Some(IssuerConfig {
        name: name.to_owned(),
        issuer: issuer.to_owned(),
        audience,
        leeway,
        keys: keys(issuer, written.jwks.as_deref(), key, report)?,
        algorithms: algorithms.to_vec(),
        scopes_claim: claim(&written.scopes_claim, SCOPES_CLAIM),
        roles_claim: claim(&written.roles_claim, ROLES_CLAIM),
        service: service(written.service.as_deref(), directory, &key.field("service"), report),
    })
}

fn service(
    written: Option<&str>,
    directory: &Directory,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<ServiceName> {
    let name = written?;
    if !directory.services.contains(name) {
        report.refuse(key, suggest::advise(name, "services", directory.services()));
    }
    name.parse().ok()
}

fn audience(written: Option<&[String]>, key: &Key, report: &mut Report<'_>) -> Vec<String> {
    let audience = written.unwrap_or_default();
    if written.is_some() && (audience.is_empty() || audience.iter().any(String::is_empty)) {
        let remedy = "name whom the tokens must be for, as the provider writes it into their `aud`: a token for \
                      another service must not open this one";
        report.refuse(key, remedy);
    }
    audience.to_vec()
}

fn keys(issuer: &str, jwks: Option<&str>, key: &Key, report: &mut Report<'_>) -> Option<KeySource> {
    let mut read =
        |text: &str, key: Key| provider_address(text).map_err(|remedy| report.refuse(&key, remedy)).ok();
    if let Some(jwks) = jwks {
        return Some(KeySource::Jwks(read(jwks, key.field("jwks"))?));
    }
    let address = read(issuer, key.field("issuer"))?;
    if address.query().is_some() {
        report.refuse(&key.field("issuer"), "take the query out, or say where the keys are by `jwks`");
        return None;
    }
    let document = format!("{}{DISCOVERY_PATH}", issuer.trim_end_matches('/'));
    Some(KeySource::Discovery(read(&document, key.field("issuer"))?))
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_by_https_or_from_this_machine() {
        for good in [
            "https://id.example.com",
            "https://id.example.com:8443/tenant/",
            "https://id.example.com/keys?p=main",
            "http://127.0.0.1:4000",
            "http://localhost/x",
            "http://[::1]:4000",
        ] {
            assert!(provider_address(good).is_ok(), "{good}");
        }
        for bad in [
            "id.example.com",
            "/keys",
            "http://id.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "ftp://id.example.com",
            "https://user:password@id.example.com",
            "https://id.example.com/#keys",
            "https://",
            "",
        ] {
            assert!(provider_address(bad).is_err(), "{bad}");
        }
    }
}
