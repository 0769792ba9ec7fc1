//! The cache as it is written: its size in `[gateway.cache]`, its rules there and in routes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::{Size, Time};

/// How much is kept, and what `cache = true` means on a route.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CacheStore {
    /// All kept responses with their heads; 64MiB when absent.
    #[schemars(example = &"256MiB")]
    pub size: Option<Size>,
    /// The longest body that is kept; 4MiB when absent.
    #[schemars(example = &"4MiB")]
    pub entry: Option<Size>,
    /// How long a response is fresh that says nothing about it; 0s when absent.
    pub default_time: Option<Time>,
    /// Request headers that make another response even where Vary does not name them; none when absent.
    #[schemars(extend("examples" = [["x-tenant"]]))]
    pub key_headers: Option<Vec<String>>,
    /// How long a stale response may answer while a new one is fetched; 0s when absent.
    pub stale_while_revalidate: Option<Time>,
    /// How long a stale response may answer when the service fails; 0s when absent.
    pub stale_if_error: Option<Time>,
    /// The topics, as domain/topic, whose messages throw kept responses away; none when absent.
    #[schemars(extend("examples" = [["inventory-management/cache.purge"]]))]
    pub purged_by: Option<Vec<String>>,
}

/// Whether and how responses are kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum RouteCache {
    /// `true`: by the rules of `[gateway.cache]`.
    Switch(bool),
    /// By rules of its own.
    On(Box<RouteCacheRules>),
}

/// How responses are kept.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RouteCacheRules {
    /// How long a response is fresh that says nothing about it; 0s when absent.
    pub default_time: Option<Time>,
    /// Request headers that make another response even where Vary does not name them; none when absent.
    #[schemars(extend("examples" = [["x-tenant"]]))]
    pub key_headers: Option<Vec<String>>,
    /// How long a stale response may answer while a new one is fetched; 0s when absent.
    pub stale_while_revalidate: Option<Time>,
    /// How long a stale response may answer when the service fails; 0s when absent.
    pub stale_if_error: Option<Time>,
}
