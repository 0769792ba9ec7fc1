//! How often a client may ask, checked.

use std::fmt;
use std::time::Duration;

use http::HeaderName;

use super::header_rules;
use super::key::Key;
use super::policy_file::{RateLimit as Written, RateLimits};
use super::report::Report;
use super::units;

/// A limit without a period counts by the second.
const PER: Duration = Duration::from_secs(1);

/// The counts lie in memory; over a longer period a restart would forgive too much.
const PER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a burst may take to come back; longer is a slip in `requests` or `burst`.
const REFILL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Each limit costs every request a look-up.
const LIMITS_MAX: usize = 8;

/// One limit: `burst` requests at once, which come back at the rate of `requests` in each `per`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// How many requests a period allows.
    pub requests: u32,
    /// The period.
    pub per: Duration,
    /// How many may come at once.
    pub burst: u32,
    /// Who is counted.
    pub by: By,
}

/// What tells one client from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum By {
    /// The address, of IPv6 the network that one client owns.
    Address,
    /// The subject of the identity.
    Subject,
    /// The API key.
    Key,
    /// Nothing: all clients of the route together.
    Route,
    /// The value of a request header.
    Header(HeaderName),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address"),
            Self::Subject => f.write_str("subject"),
            Self::Key => f.write_str("key"),
            Self::Route => f.write_str("route"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

impl RateLimit {
    /// The time in which one request comes back, rounded up so that never more pass than allowed.
    pub fn interval(&self) -> Duration {
        let nanos = self.per.as_nanos().div_ceil(u128::from(self.requests));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Checks the limits under the key; empty for none.
pub fn check(written: &RateLimits, key: &Key, report: &mut Report<'_>) -> Vec<RateLimit> {
    match written {
        RateLimits::Switch(false) => Vec::new(),
        RateLimits::Switch(true) => {
            report.refuse(key, "write a limit such as `{ requests = 100, per = \"1s\" }`, or false");
            Vec::new()
        }
        RateLimits::One(limit) => check_one(limit, key, report).into_iter().collect(),
        RateLimits::Several(limits) => {
            if limits.len() > LIMITS_MAX {
                report.refuse_found(
                    key,
                    format!("{} limits", limits.len()),
                    format!("keep at most {LIMITS_MAX}"),
                );
            }
            let limits = limits.iter().enumerate();
            limits.filter_map(|(index, limit)| check_one(limit, &key.item(index), report)).collect()
        }
    }
}

fn check_one(written: &Written, key: &Key, report: &mut Report<'_>) -> Option<RateLimit> {
    let by = by(written.by.as_deref().unwrap_or("address"), &key.field("by"), report);
    let per = units::time(written.per.as_ref(), PER, &key.field("per"), report);
    if per > PER_MAX {
        report.refuse(&key.field("per"), "write a period of at most \"24h\": the counts end with the host");
        return None;
    }
    // What is missing or out of range was refused by the schema.
    let requests = u32::try_from(written.requests?).ok().filter(|requests| *requests > 0)?;
    let burst = written.burst.map_or(Some(requests), |burst| u32::try_from(burst).ok())?;
    let limit = RateLimit { requests, per, burst, by: by? };
    if limit.interval().saturating_mul(burst) > REFILL_MAX {
        let most = REFILL_MAX.as_nanos() / limit.interval().as_nanos();
        let remedy = format!("write at most {most}: a longer burst takes over 30 days to come back");
        report.refuse(&key.field("burst"), remedy);
        return None;
    }
    Some(limit)
}

fn by(text: &str, key: &Key, report: &mut Report<'_>) -> Option<By> {
    let by = match text {
        "address" => Some(By::Address),
        "subject" => Some(By::Subject),
        "key" => Some(By::Key),
        "route" => Some(By::Route),
        text => {
            match text.strip_prefix("header:").and_then(|name| name.parse().ok()).map(header_rules::of_client)
            {
                Some(Ok(name)) => Some(By::Header(name)),
                Some(Err(remedy)) => {
                    report.refuse(key, remedy);
                    return None;
                }
                None => None,
            }
        }
    };
    if by.is_none() {
        report.refuse(
            key,
            "write \"address\", \"subject\", \"key\", \"route\", or a header as in \"header:x-tenant\"",
        );
    }
    by
}
