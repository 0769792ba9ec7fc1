//! The rights of a service: what it may open, publish, receive, call and read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use crate::names::{DomainName, InvalidName, ServiceName, TopicPattern};

use super::auth::AuthDefaults;
use super::cache::CacheRules;
use super::directory::Directory;
use super::file;
use super::key::Key;
use super::origin::Origin;
use super::policies::Policies;
use super::report::Report;
use super::secret::{Secret, SecretError, Secrets};
use super::suggest;

/// The longest name of a bucket; it becomes part of a file's name.
const BUCKET_BYTES_MAX: usize = 63;

/// Everything that a service may reach. What is not here is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Whether it has a database of its own.
    pub database: bool,
    /// The key-value buckets it may open.
    pub buckets: BTreeSet<String>,
    /// The topics it may publish in its own domain.
    pub publishes: Vec<TopicPattern>,
    /// The topics it receives.
    pub subscribes: Vec<Subscription>,
    /// The services it may call.
    pub calls: BTreeSet<ServiceName>,
    /// The outside origins it may call.
    pub fetches: Vec<Origin>,
    /// The settings it reads by name; no name is also a secret's.
    pub config: BTreeMap<String, String>,
    /// The secrets it reads by name.
    pub secrets: BTreeMap<String, Secret>,
}

/// Topics of one domain that a service receives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscription {
    /// The domain whose broker the messages come from.
    pub domain: DomainName,
    /// Which of its topics.
    pub pattern: TopicPattern,
}

/// What a service is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The folder of the file.
    pub folder: &'a Path,
    /// The secrets that it names.
    pub secrets: &'a Secrets<'a>,
    /// Everybody in the file.
    pub directory: &'a Directory,
    /// What routes do that do not say it themselves.
    pub policies: &'a Policies,
    /// The issuers, and who may use a route that does not say.
    pub auth: &'a AuthDefaults,
    /// What `cache = true` means on a route.
    pub cache: &'a CacheRules,
}

/// Checks the grants of the service `name` of the domain, which stands under the key.
pub fn check(
    written: &file::Service,
    name: &str,
    domain: &DomainName,
    around: Surroundings<'_>,
    key: &Key,
    report: &mut Report<'_>,
) -> Grants {
    let directory = around.directory;
    let config: BTreeMap<String, String> =
        written.config.iter().flatten().map(|(name, text)| (name.clone(), text.0.clone())).collect();
    Grants {
        database: database(written.database.as_deref(), &key.field("database"), report),
        buckets: each(&written.buckets, &key.field("buckets"), report, bucket).into_iter().collect(),
        publishes: each(&written.publishes, &key.field("publishes"), report, name_of),
        subscribes: each(&written.subscribes, &key.field("subscribes"), report, |text| {
            subscription(text, domain, directory)
        }),
        calls: each(&written.calls, &key.field("calls"), report, |text| call(text, name, directory))
            .into_iter()
            .collect(),
        fetches: each(&written.fetches, &key.field("fetches"), report, fetch),
        secrets: secrets(written, &config, around.secrets, key, report),
        config,
    }
}

/// Reads every element of a list; an error says what would be right.
pub fn each<T>(
    written: &Option<Vec<String>>,
    key: &Key,
    report: &mut Report<'_>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut sound = Vec::new();
    for (index, text) in written.iter().flatten().enumerate() {
        match read(text) {
            Ok(value) => sound.push(value),
            Err(remedy) => report.refuse(&key.item(index), remedy),
        }
    }
    sound
}

fn database(written: Option<&str>, key: &Key, report: &mut Report<'_>) -> bool {
    match written {
        None => return false,
        Some("embedded") => return true,
        // The address may hold a password.
        Some(address) if address.starts_with("postgres") && address.contains("://") => report.refuse_found(
            key,
            "a PostgreSQL address",
            "write \"embedded\": PostgreSQL comes with the distributed back ends",
        ),
        Some(_) => report.refuse(key, "write \"embedded\", or take the key out for none"),
    }
    false
}

fn bucket(text: &str) -> Result<String, String> {
    let is_name = (1..=BUCKET_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    if !is_name {
        return Err(format!(
            "name a bucket with 1 to {BUCKET_BYTES_MAX} lower-case letters, digits, `-` and `_`"
        ));
    }
    Ok(text.to_owned())
}

fn name_of<T: FromStr<Err = InvalidName>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: InvalidName| format!("correct it: {error}"))
}

/// Topics as a service of the domain `own` names them: its own, or another domain's as domain/topic.
pub fn subscription(text: &str, own: &DomainName, directory: &Directory) -> Result<Subscription, String> {
    let (domain, pattern) = match text.split_once('/') {
        Some((domain, pattern)) => (name_of(domain)?, pattern),
        None => (own.clone(), text),
    };
    let pattern: TopicPattern = name_of(pattern)?;
    if directory.is_unclear {
        return Ok(Subscription { domain, pattern });
    }
    if !directory.has_domain(&domain) {
        let advice = suggest::advise(domain.as_str(), "domains", directory.domains());
        return Err(format!("name a domain that a service belongs to: {advice}"));
    }
    if !directory.is_published(&domain, &pattern) {
        return Err(format!(
            "add `publishes = [\"{pattern}\"]` to a service of the domain `{domain}`, or take it out: nobody may publish such a topic"
        ));
    }
    Ok(Subscription { domain, pattern })
}

fn call(text: &str, own: &str, directory: &Directory) -> Result<ServiceName, String> {
    if text == own {
        return Err("take it out: a service that waits for itself waits for ever".into());
    }
    if !directory.services.contains(text) {
        return Err(suggest::advise(text, "services", directory.services()));
    }
    name_of(text)
}

fn fetch(text: &str) -> Result<Origin, String> {
    let origin = Origin::parse(text)?;
    if origin.is_internal() {
        return Err("name the service in `calls` instead: `.internal` is not outside".into());
    }
    Ok(origin)
}

fn secrets(
    written: &file::Service,
    config: &BTreeMap<String, String>,
    secrets: &Secrets<'_>,
    key: &Key,
    report: &mut Report<'_>,
) -> BTreeMap<String, Secret> {
    let mut sound = BTreeMap::new();
    for (name, reference) in written.secrets.iter().flatten() {
        let key = key.field("secrets").field(name);
        if config.contains_key(name) {
            let remedy =
                format!("give it another name: `config` has a `{name}` too, and both are read by name");
            report.refuse_found(&key, format!("a second `{name}`"), remedy);
        }
        match secrets.read(&reference.0) {
            Ok(secret) => _ = sound.insert(name.clone(), secret),
            Err(error @ SecretError::Plain) => report.refuse(&key, error.to_string()),
            Err(error) => report.refuse_found(&key, format!("{:?}", reference.0), error.to_string()),
        }
    }
    sound
}
