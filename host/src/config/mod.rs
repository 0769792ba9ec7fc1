//! The configuration: gateway.toml, read as written, then checked as a whole and never changed.
//!
//! `structure` holds the text against the schema of the types in `file`; `check` turns what is sound into a
//! [`Config`]. Both report into one `report`, so that all problems of a file are told at once.

mod key;
mod problem;
mod report;
mod suggest;
mod file;
mod route_file;
mod upstream_file;
mod service_file;
mod structure;
mod units;
mod origin;
mod secret;
mod pattern;
mod section;
mod listener_file;
mod listener;
mod auth_file;
mod issuer;
mod login;
mod auth;
mod directory;
mod grants;
mod retry;
mod circuit;
mod upstream;
mod service;
mod conditions;
mod template;
mod header_rules;
mod rewrite;
mod redirect;
mod split;
mod files;
mod target;
mod transform;
mod cache_file;
mod cache;
mod route;
mod policy_file;
mod policies;
mod rate_limit;
mod cors;
mod check;
mod locate;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::names::ServiceName;

pub use auth::{AuthConfig, Ways, is_scope};
pub use auth_file::TokenAlgorithm;
pub use cache::{CacheLimits, CacheRules};
pub use circuit::Circuit;
pub use conditions::Conditions;
pub use cors::{Cors, Origins};
pub use file::schema;
pub use files::FilesConfig;
pub use grants::{Grants, Subscription};
pub use header_rules::HeaderRules;
pub use issuer::{IssuerConfig, KeySource, provider_address};
pub use listener::{
    CertificateConfig, ClientCaConfig, ClientCertificates, Http2Config, ListenerConfig, ProxyConfig,
    RedirectListenerConfig, TlsConfig, TlsVersion,
};
pub use locate::storage_of;
pub use login::LoginConfig;
pub use origin::Origin;
pub use policies::Policies;
pub use problem::{ConfigError, Problem};
pub use rate_limit::{By, RateLimit};
pub use redirect::RedirectConfig;
pub use retry::Retry;
pub use rewrite::Rewrite;
pub use route::RouteConfig;
pub use secret::{MadeSecret, Secret};
pub use section::{
    AdminConfig, DeploysConfig, GatewayConfig, LogFormat, MessagingConfig, StorageConfig, TelemetryConfig,
};
pub use service::{Instances, Limits, ServiceConfig, Source};
pub use service_file::INSTANCES_LIMIT;
pub use split::{Share, SplitConfig, Sticky};
pub use target::Target;
pub use template::Template;
pub use transform::Transform;
pub use upstream::{Address, Balance, HealthCheck, HttpVersion, Outlier, Upstreams};

use key::Key;
use report::Report;

/// Ten thousand services fit; a file that was named by mistake does not fill the memory.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A gateway.toml that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file, absolute.
    pub file: PathBuf,
    /// Its folder, absolute, which all paths in the file are relative to.
    pub folder: PathBuf,
    /// The listener for clients and its limits.
    pub gateway: GatewayConfig,
    /// The listener for operators.
    pub admin: AdminConfig,
    /// Where the host keeps its data.
    pub storage: StorageConfig,
    /// What the host tells about itself.
    pub telemetry: TelemetryConfig,
    /// How messages are kept and repeated.
    pub messaging: MessagingConfig,
    /// What a component may take to be compiled.
    pub deploys: DeploysConfig,
    /// The OpenID providers whose tokens count, by name.
    pub issuers: BTreeMap<String, Arc<IssuerConfig>>,
    /// The services by name.
    pub services: BTreeMap<ServiceName, Arc<ServiceConfig>>,
    /// The routes in the order of the file, no two of them equal.
    pub routes: Vec<RouteConfig>,
    /// Secrets that were generated for it, to be kept before it is used.
    pub made_secrets: Vec<MadeSecret>,
}

impl Config {
    /// Keeps the secrets that were generated for it.
    ///
    /// # Errors
    ///
    /// When the storage folder cannot be written.
    pub fn keep_secrets(&mut self) -> std::io::Result<()> {
        self.made_secrets.drain(..).try_for_each(|made| made.keep())
    }
}

/// Reads and checks the file, with its secrets and the files it names. An error holds every problem.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let bytes = read(path).map_err(|error| {
        let remedy = "name a gateway.toml that the host can read with `--config FILE`";
        whole_file(path, "", 0, error, remedy)
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let sound = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        whole_file(path, sound, sound.len(), "bytes that are no text".into(), "save the file as UTF-8")
    })?;
    parse(text, path)
}

/// Checks the text as if it stood in the file at this path, which need not exist.
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let file = std::path::absolute(path)
        .map_err(|error| whole_file(path, text, 0, error.to_string(), "name the file"))?;
    let folder = file.parent().unwrap_or(&file);
    let mut report = Report::new(text);
    let Some(sound) = structure::read(text, &schema(), &mut report) else {
        return Err(report.into_error(path));
    };
    let written: file::File = serde_json::from_value(sound).map_err(|error| {
        whole_file(path, text, 0, error.to_string(), "report this: the schema let it pass")
    })?;
    let config = check::check(&written, &file, folder, &mut report);
    if report.is_empty() { Ok(config) } else { Err(report.into_error(path)) }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("more than {FILE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

/// An error about the file as a whole.
fn whole_file(path: &Path, text: &str, offset: usize, found: String, remedy: &str) -> ConfigError {
    let mut report = Report::new(text);
    report.refuse_at(offset, &Key::root(), found, remedy);
    report.into_error(path)
}
