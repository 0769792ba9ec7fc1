//! An external service: its addresses, and how requests find the right one of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, StatusCode, Uri};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::file;
use super::key::Key;
use super::origin::Origin;
use super::report::Report;
use super::units;
pub use super::upstream_file::HttpVersion;
use super::upstream_file::{HostHeader, OutlierRules, UpstreamAddress};

/// Another address is tried before people notice.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What a service of one machine answers at once.
const REQUESTS: usize = 1_000;
/// An address that is gone is out after 15 s.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// A check costs next to nothing; one that takes longer shows a service in trouble.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// One good answer may be luck.
const CHECK_HEALTHY: u32 = 2;
/// Two bad ones may be a restart.
const CHECK_UNHEALTHY: u32 = 3;
/// So many in a row are no accident.
const FAILURES: u32 = 5;
/// As long as a restart takes.
const EJECTION: Duration = Duration::from_secs(10);
/// The other half must carry what is left.
const EJECTED_PERCENT_MAX: usize = 50;

/// An external service, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstreams {
    /// At least one, none twice.
    pub addresses: Vec<Address>,
    /// Which of them gets a request.
    pub balance: Balance,
    /// How long an address that comes back gets less than its share.
    pub slow_start: Option<Duration>,
    /// How they are asked for their health.
    pub health_check: Option<HealthCheck>,
    /// When one that fails requests is passed over.
    pub outlier: Option<Outlier>,
    /// The version of HTTP; none for 1.1 in clear text, and what the address offers through TLS.
    pub http: Option<HttpVersion>,
    /// Whether the client's host is asked for, not that of the address.
    pub keeps_host: bool,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// What certificates of the addresses lead to; empty for the public authorities.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Requests in flight to all addresses.
    pub requests_max: usize,
}

/// One address of an external service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `http` or `https`, without a path.
    pub uri: Uri,
    /// Its share; at least 1.
    pub weight: u32,
}

/// Which address gets a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// One after the other, by weight.
    RoundRobin,
    /// Of two by chance the one with fewer requests in flight.
    LeastRequests,
    /// Any, by weight.
    Random,
    /// The same address for the same value of a header field.
    HashHeader(HeaderName),
    /// The same address for the same value of a cookie.
    HashCookie(String),
    /// The same address for the same client.
    HashAddress,
}

/// How addresses are asked for their health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for.
    pub path: PathAndQuery,
    /// The pause between two checks.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Good answers in a row that bring an address back.
    pub healthy: u32,
    /// Bad answers in a row that take an address out.
    pub unhealthy: u32,
    /// The statuses that are good.
    pub statuses: Vec<StatusCode>,
}

/// When an address that fails requests is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlier {
    /// Failures in a row.
    pub failures: u32,
    /// How long it is passed over the first time.
    pub ejection: Duration,
    /// The percentage of addresses that may be out by this.
    pub ejected_percent_max: usize,
}

/// Checks the keys of an external service.
pub fn check(written: &file::Service, folder: &Path, key: &Key, report: &mut Report<'_>) -> Arc<Upstreams> {
    let keeps_host = written.host == Some(HostHeader::Keep);
    if keeps_host && written.http == Some(HttpVersion::Http2) {
        let remedy = "take one of them out: over HTTP/2 the host is that of the address";
        report.refuse_found(&key.field("host"), "`host = \"keep\"` beside `http = \"2\"`", remedy);
    }
    // Over HTTP/2 the host is part of the address that is asked.
    let http = if keeps_host { Some(HttpVersion::Http1) } else { written.http };
    let time = |written: &Option<file::Time>, name: &str, report: &mut Report<'_>| {
        units::time_or_none(written.as_ref(), &key.field(name), report)
    };
    let connect_timeout = time(&written.connect_timeout, "connect-timeout", report);
    Arc::new(Upstreams {
        addresses: addresses(written.upstreams.as_deref(), &key.field("upstreams"), report),
        balance: balance(written.balance.as_deref(), &key.field("balance"), report),
        slow_start: time(&written.slow_start, "slow-start", report),
        health_check: health_check(written, &key.field("health-check"), report),
        outlier: outlier(written.outlier.as_ref(), &key.field("outlier"), report),
        http,
        keeps_host,
        connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        authorities: authorities(written.ca.as_deref(), folder, &key.field("ca"), report),
        requests_max: units::count(written.requests_max, REQUESTS),
    })
}

/// Refuses what only an external service can have.
pub fn refuse_keys(written: &file::Service, key: &Key, report: &mut Report<'_>) {
    let keys = [
        ("balance", written.balance.is_some()),
        ("slow-start", written.slow_start.is_some()),
        ("health-check", written.health_check.is_some()),
        ("outlier", written.outlier.is_some()),
        ("http", written.http.is_some()),
        ("host", written.host.is_some()),
        ("connect-timeout", written.connect_timeout.is_some()),
        ("ca", written.ca.is_some()),
        ("requests-max", written.requests_max.is_some()),
    ];
    // Misspelt `upstreams` were refused, and they were meant.
    if report.refused_within(&key.field("upstreams")) {
        return;
    }
    for (name, _) in keys.iter().filter(|(_, is_written)| *is_written) {
        let remedy = "take it out, or add `upstreams`: it is for external services";
        report.refuse_found(&key.field(name), format!("`{name}` without `upstreams`"), remedy);
    }
}

fn addresses(written: Option<&[UpstreamAddress]>, key: &Key, report: &mut Report<'_>) -> Vec<Address> {
    if written.is_some_and(<[_]>::is_empty) {
        report.refuse(key, "write at least one address such as [\"http://127.0.0.1:9001\"]");
    }
    let mut addresses = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, written) in written.into_iter().flatten().enumerate() {
        let item = key.item(index);
        let (url, weight, key) = match written {
            UpstreamAddress::Url(url) => (url, None, item),
            UpstreamAddress::Weighted(address) => {
                // What is missing was refused by the schema.
                let Some(url) = &address.url else { continue };
                (url, address.weight, item.field("url"))
            }
        };
        match address(url) {
            Ok(uri) if seen.insert(uri.to_string()) => {
                let weight = weight.and_then(|weight| weight.try_into().ok()).unwrap_or(1);
                addresses.push(Address { uri, weight });
            }
            Ok(_) => report.refuse(&key, "take it out: it stands here twice"),
            Err(remedy) => report.refuse(&key, remedy),
        }
    }
    addresses
}

fn address(text: &str) -> Result<Uri, String> {
    let origin = Origin::parse(text)?;
    if origin.is_pattern() {
        return Err("write one host: a pattern cannot be called".into());
    }
    origin.to_string().parse().map_err(|error| format!("write an address: {error}"))
}

fn balance(written: Option<&str>, key: &Key, report: &mut Report<'_>) -> Balance {
    let found = match written {
        None | Some("round-robin") => Some(Balance::RoundRobin),
        Some("least-requests") => Some(Balance::LeastRequests),
        Some("random") => Some(Balance::Random),
        Some("hash:address") => Some(Balance::HashAddress),
        Some(text) => hashed(text),
    };
    found.unwrap_or_else(|| {
        report.refuse(
            key,
            "write round-robin, least-requests, random, hash:address, hash:header:NAME or hash:cookie:NAME",
        );
        Balance::RoundRobin
    })
}

fn hashed(text: &str) -> Option<Balance> {
    if let Some(name) = text.strip_prefix("hash:header:") {
        return name.parse().ok().map(Balance::HashHeader);
    }
    // The name of a cookie is a token, as that of a header field, but its case counts.
    let name = text.strip_prefix("hash:cookie:")?;
    name.parse::<HeaderName>().is_ok().then(|| Balance::HashCookie(name.to_owned()))
}

fn health_check(written: &file::Service, key: &Key, report: &mut Report<'_>) -> Option<HealthCheck> {
    let written = written.health_check.as_ref()?;
    let path = written.path.as_ref()?;
    let path_key = key.field("path");
    let path = PathAndQuery::try_from(path.as_str()).ok().filter(|path| path.as_str().starts_with('/'));
    if path.is_none() {
        report.refuse(&path_key, "write a path that begins with `/`, such as \"/healthz\"");
    }
    let every = units::time(written.every.as_ref(), CHECK_EVERY, &key.field("every"), report);
    let timeout = units::time(written.timeout.as_ref(), CHECK_TIMEOUT, &key.field("timeout"), report);
    if written.status.as_ref().is_some_and(Vec::is_empty) {
        report.refuse(&key.field("status"), "name a status, or take the key out for 200");
    }
    let statuses = written.status.iter().flatten();
    let statuses = statuses.filter_map(|status| StatusCode::from_u16(u16::try_from(*status).ok()?).ok());
    let statuses: Vec<StatusCode> = statuses.collect();
    Some(HealthCheck {
        path: path?,
        every,
        timeout,
        healthy: small(written.healthy, CHECK_HEALTHY),
        unhealthy: small(written.unhealthy, CHECK_UNHEALTHY),
        statuses: if statuses.is_empty() { vec![StatusCode::OK] } else { statuses },
    })
}

fn outlier(
    written: Option<&super::upstream_file::Outlier>,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<Outlier> {
    use super::upstream_file::Outlier as Written;
    let absent = OutlierRules::default();
    let rules = match written {
        Some(Written::Switch(false)) => return None,
        Some(Written::Rules(rules)) => rules,
        Some(Written::Switch(true)) | None => &absent,
    };
    Some(Outlier {
        failures: small(rules.failures, FAILURES),
        ejection: units::time(rules.ejection.as_ref(), EJECTION, &key.field("ejection"), report),
        ejected_percent_max: units::count(rules.max_ejected, EJECTED_PERCENT_MAX),
    })
}

fn authorities(
    written: Option<&str>,
    folder: &Path,
    key: &Key,
    report: &mut Report<'_>,
) -> Vec<CertificateDer<'static>> {
    let Some(path) = written else { return Vec::new() };
    let path = units::path(path, folder, key, report);
    let found = match CertificateDer::pem_file_iter(&path) {
        Ok(found) => found.collect::<Result<Vec<_>, _>>(),
        Err(error) => Err(error),
    };
    let remedy = match found {
        Ok(found) if found.is_empty() => "name a PEM file with a certificate: there is none in it".into(),
        Ok(found) => {
            let mut roots = RootCertStore::empty();
            match found.iter().try_for_each(|certificate| roots.add(certificate.clone())) {
                Ok(()) => return found,
                Err(error) => format!("replace the certificate that cannot be used: {error}"),
            }
        }
        Err(error) => format!("name a PEM file with certificates: {error}"),
    };
    if !report.refused_within(key) {
        report.refuse(key, remedy);
    }
    Vec::new()
}

/// A number that the schema has already bounded.
fn small(written: Option<u64>, default: u32) -> u32 {
    written.and_then(|count| count.try_into().ok()).unwrap_or(default)
}
