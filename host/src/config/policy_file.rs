//! The policies of routes as they are written; their keys stand in a route, and as defaults in `[gateway]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::Time;

/// More in one period than any one host answers.
pub const RATE_LIMIT: u64 = 1_000_000;

/// How often a client may ask.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum RateLimits {
    /// `false`: without the default of `[gateway]`.
    Switch(bool),
    /// One limit.
    One(RateLimit),
    /// Several limits; a request must pass them all.
    Several(Vec<RateLimit>),
}

/// One limit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RateLimit {
    /// How many requests a period allows.
    #[schemars(required, range(min = 1, max = RATE_LIMIT), example = 100)]
    pub requests: Option<u64>,
    /// The period; 1s when absent.
    #[schemars(example = &"1s")]
    pub per: Option<Time>,
    /// How many may come at once after a rest; as `requests` when absent.
    #[schemars(range(min = 1, max = RATE_LIMIT))]
    pub burst: Option<u64>,
    /// Who is counted: `address`, `subject`, `key`, `route`, or `header:NAME`; `address` when absent.
    #[schemars(example = &"subject")]
    pub by: Option<String>,
}

/// Which pages of other origins may ask.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Cors {
    /// `false`: without the default of `[gateway]`.
    Switch(bool),
    /// The origins and what they may do.
    On(Box<CorsRules>),
}

/// The origins and what they may do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CorsRules {
    /// The origins, `https://*.` and a name for all below it, or only `*` for any.
    #[schemars(required, extend("examples" = [["https://app.example.com"]]))]
    pub origins: Option<Vec<String>>,
    /// The methods; those of the route when absent.
    #[schemars(extend("examples" = [["GET", "POST"]]))]
    pub methods: Option<Vec<String>>,
    /// The request headers beyond those that every page may send, or only `*` for any; none when absent.
    #[schemars(extend("examples" = [["authorization", "content-type"]]))]
    pub headers: Option<Vec<String>>,
    /// The response headers that a page may read beyond the usual ones, or only `*` for any; none when absent.
    #[schemars(extend("examples" = [["etag"]]))]
    pub expose: Option<Vec<String>>,
    /// Whether a page may send cookies and other credentials; not when absent.
    pub credentials: Option<bool>,
    /// How long a browser may keep the answer to its question; 10m when absent.
    #[schemars(example = &"10m")]
    pub max_age: Option<Time>,
    /// Whether pages of public networks may ask a host in a private one; not when absent.
    pub private_network: Option<bool>,
}
