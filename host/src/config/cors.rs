//! Which pages of other origins may ask, checked (Fetch standard, CORS protocol).

use std::time::Duration;

use http::{HeaderName, Method};

use super::grants;
use super::key::Key;
use super::origin::Origin;
use super::policy_file::{self, CorsRules};
use super::report::Report;
use super::route::METHODS;
use super::suggest;
use super::units;

/// A change of the rules reaches every browser within minutes, and a busy page asks rarely.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);

/// Stands for everything, and only without credentials.
const ANY: &str = "*";

/// Which pages of other origins may ask, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// The origins.
    pub origins: Origins,
    /// The methods; empty: those of the route.
    pub methods: Vec<Method>,
    /// The request headers beyond those that every page may send; `*` is any.
    pub headers: Vec<HeaderName>,
    /// The response headers that a page may read beyond the usual ones; `*` is any.
    pub expose: Vec<HeaderName>,
    /// Whether a page may send credentials; then nothing above is `*`.
    pub credentials: bool,
    /// How long a browser may keep the answer to its question.
    pub max_age: Duration,
    /// Whether pages of public networks may ask a host in a private one.
    pub private_network: bool,
}

/// The origins that may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All of them.
    Any,
    /// These; a pattern is all names below its own.
    Listed(Vec<Origin>),
}

/// Checks the rules under the key; none when pages of other origins may not ask.
pub fn check(written: &policy_file::Cors, key: &Key, report: &mut Report<'_>) -> Option<Cors> {
    match written {
        policy_file::Cors::Switch(false) => None,
        policy_file::Cors::Switch(true) => {
            report.refuse(key, "name who may ask: `{ origins = [\"https://app.example.com\"] }`, or false");
            None
        }
        policy_file::Cors::On(rules) => check_rules(rules, key, report),
    }
}

fn check_rules(written: &CorsRules, key: &Key, report: &mut Report<'_>) -> Option<Cors> {
    let origins = origins(written, &key.field("origins"), report);
    let credentials = written.credentials.unwrap_or_default();
    let methods = grants::each(&written.methods, &key.field("methods"), report, |text| {
        let known = METHODS.iter().find(|known| **known == text);
        let known = known.ok_or_else(|| suggest::advise(&text.to_ascii_uppercase(), "methods", METHODS))?;
        Method::from_bytes(known.as_bytes()).map_err(|error| error.to_string())
    });
    let headers = names(&written.headers, credentials, &key.field("headers"), report);
    let expose = names(&written.expose, credentials, &key.field("expose"), report);
    let origins = origins?;
    if credentials && origins == Origins::Any {
        let remedy = "name the origins: credentials for `*` would let every page act as its visitor";
        report.refuse(&key.field("credentials"), remedy);
    }
    Some(Cors {
        origins,
        methods,
        headers,
        expose,
        credentials,
        max_age: units::time(written.max_age.as_ref(), MAX_AGE, &key.field("max-age"), report),
        private_network: written.private_network.unwrap_or_default(),
    })
}

/// None when there is none or one was refused.
fn origins(written: &CorsRules, key: &Key, report: &mut Report<'_>) -> Option<Origins> {
    let texts = written.origins.as_ref()?;
    if texts.is_empty() {
        report.refuse(key, "name an origin such as \"https://app.example.com\", or write `cors = false`");
        return None;
    }
    if texts.iter().any(|text| text == ANY) {
        if texts.len() > 1 {
            report.refuse(key, "write only \"*\", or take it out: it covers all the others");
        }
        return Some(Origins::Any);
    }
    let origins = grants::each(&written.origins, key, report, Origin::parse);
    Some(Origins::Listed(origins))
}

fn names(
    written: &Option<Vec<String>>,
    credentials: bool,
    key: &Key,
    report: &mut Report<'_>,
) -> Vec<HeaderName> {
    grants::each(written, key, report, |text| {
        if text == ANY && credentials {
            return Err("name the headers: with credentials browsers take `*` for a name".into());
        }
        text.parse().map_err(|_| "write the name of a header such as \"content-type\"".to_owned())
    })
}
