//! What a route does to its requests and responses beside answering them. A default for each policy stands in
//! `[gateway]`; a route's own value replaces it whole.

use super::cors::{self, Cors};
use super::file;
use super::key::Key;
use super::policy_file;
use super::rate_limit::{self, RateLimit};
use super::report::Report;

/// The policies of one route, or the defaults of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    /// How often a client may ask; a request must pass all of them.
    pub rate_limits: Vec<RateLimit>,
    /// Which pages of other origins may ask; none: the service decides.
    pub cors: Option<Cors>,
    /// Whether responses are compressed.
    pub compress: bool,
    /// Whether responses get the security headers that they lack.
    pub security_headers: bool,
}

/// The keys of the policies in one table.
#[derive(Debug, Clone, Copy)]
pub struct Written<'w> {
    rate_limit: Option<&'w policy_file::RateLimits>,
    cors: Option<&'w policy_file::Cors>,
    compress: Option<bool>,
    security_headers: Option<bool>,
}

impl<'w> From<&'w file::Gateway> for Written<'w> {
    fn from(table: &'w file::Gateway) -> Self {
        Self {
            rate_limit: table.rate_limit.as_ref(),
            cors: table.cors.as_ref(),
            compress: table.compress,
            security_headers: table.security_headers,
        }
    }
}

impl<'w> From<&'w file::Route> for Written<'w> {
    fn from(table: &'w file::Route) -> Self {
        Self {
            rate_limit: table.rate_limit.as_ref(),
            cors: table.cors.as_ref(),
            compress: table.compress,
            security_headers: table.security_headers,
        }
    }
}

/// Checks the policies of the table under the key; what is absent there is as in the defaults.
pub fn check<'w>(
    written: impl Into<Written<'w>>,
    defaults: &Policies,
    key: &Key,
    report: &mut Report<'_>,
) -> Policies {
    let written = written.into();
    Policies {
        rate_limits: written.rate_limit.map_or_else(
            || defaults.rate_limits.clone(),
            |limits| rate_limit::check(limits, &key.field("rate-limit"), report),
        ),
        cors: written
            .cors
            .map_or_else(|| defaults.cors.clone(), |rules| cors::check(rules, &key.field("cors"), report)),
        compress: written.compress.unwrap_or(defaults.compress),
        security_headers: written.security_headers.unwrap_or(defaults.security_headers),
    }
}
