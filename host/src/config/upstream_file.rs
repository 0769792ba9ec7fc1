//! External services as they are written: addresses, health, outliers; and the retries of any service.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::Time;

/// Finer shares than one in a thousand cannot be seen in any traffic.
pub const WEIGHT_LIMIT: u64 = 1_000;

/// More tries only multiply the load on a service that is already failing.
pub const TRIES_LIMIT: u64 = 10;

/// More in a row than any fault needs to show.
pub const ROW_LIMIT: u64 = 1_000;

/// One address of an external service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum UpstreamAddress {
    /// The address alone.
    Url(String),
    /// The address and its share.
    Weighted(WeightedAddress),
}

/// An address and its share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WeightedAddress {
    /// Scheme, host and port.
    #[schemars(required, example = &"https://b.example.com")]
    pub url: Option<String>,
    /// Its share of the requests, against those of the others; 1 when absent.
    #[schemars(range(min = 1, max = WEIGHT_LIMIT))]
    pub weight: Option<u64>,
}

/// How addresses are asked for their health.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HealthCheck {
    /// The path that is asked by GET.
    #[schemars(required, example = &"/healthz")]
    pub path: Option<String>,
    /// The pause between two checks; 5s when absent.
    pub every: Option<Time>,
    /// How long an answer may take; 1s when absent.
    #[schemars(example = &"1s")]
    pub timeout: Option<Time>,
    /// Good answers in a row that bring an address back; 2 when absent.
    #[schemars(range(min = 1, max = ROW_LIMIT))]
    pub healthy: Option<u64>,
    /// Bad answers in a row that take an address out; 3 when absent.
    #[schemars(range(min = 1, max = ROW_LIMIT))]
    pub unhealthy: Option<u64>,
    /// The statuses that are good; 200 when absent.
    #[schemars(inner(range(min = 200, max = 599)), extend("examples" = [[200, 204]]))]
    pub status: Option<Vec<u64>>,
}

/// When an address that fails requests is passed over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Outlier {
    /// `false`: never.
    Switch(bool),
    /// After so many failures, for so long.
    Rules(OutlierRules),
}

/// After how many failures an address is passed over, and for how long.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OutlierRules {
    /// Failures in a row; 5 when absent.
    #[schemars(range(min = 1, max = ROW_LIMIT))]
    pub failures: Option<u64>,
    /// How long it is passed over first; twice as long each time it fails again right away; 10s when absent.
    #[schemars(example = &"10s")]
    pub ejection: Option<Time>,
    /// The percentage of the addresses that may be out by this; 50 when absent.
    #[schemars(range(min = 0, max = 100))]
    pub max_ejected: Option<u64>,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2, in clear text with prior knowledge.
    #[serde(rename = "2")]
    Http2,
}

/// The host that the addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostHeader {
    /// As the client wrote it.
    Keep,
    /// That of the address.
    Upstream,
}

/// How requests that fail are tried again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Retry {
    /// `false`: never.
    Switch(bool),
    /// So often, with these pauses.
    Rules(RetryRules),
}

/// How often requests that fail are tried again, and after which pauses.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RetryRules {
    /// Tries in all, the first one included; 2 when absent.
    #[schemars(range(min = 2, max = TRIES_LIMIT))]
    pub attempts: Option<u64>,
    /// Repeated requests for each hundred requests of the service; 20 when absent.
    #[schemars(range(min = 1, max = 100))]
    pub budget: Option<u64>,
    /// How long a try may take that another one can follow; as long as the request when absent.
    #[schemars(example = &"2s")]
    pub per_try: Option<Time>,
    /// The pause before the next try, doubled each time; 25ms to 250ms when absent.
    #[serde(default)]
    pub back_off: RetryPause,
}

/// The pause before the next try.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RetryPause {
    /// The first pause; 25ms when absent.
    #[schemars(example = &"25ms")]
    pub min: Option<Time>,
    /// The longest pause; 250ms when absent.
    #[schemars(example = &"250ms")]
    pub max: Option<Time>,
}
