//! How many instances a service has and what they may use, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::{REQUESTS_LIMIT, Size, Time};
use super::upstream_file::ROW_LIMIT;

/// As many instances as there is address space for, each with 4 GiB of it; a machine may have room for fewer.
pub const INSTANCES_LIMIT: u64 = 10_000;

/// More requests than one thread answers in time.
pub const CONCURRENCY_LIMIT: u64 = 1_000;

/// More than any guest can tell apart; each costs the host memory.
pub const RESOURCES_LIMIT: u64 = 1_000_000;

/// More than any disk takes for long.
pub const LINES_LIMIT: u64 = 1_000_000;

/// Beyond this an instance is as good as never replaced; leave `reuse` out for that.
pub const REUSE_LIMIT: u64 = u32::MAX as u64;

/// How many instances a service has.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Instances {
    /// Kept when idle; 0 when absent.
    #[schemars(range(min = 0, max = INSTANCES_LIMIT))]
    pub min: Option<u64>,
    /// At most under load; 32 when absent.
    #[schemars(range(min = 1, max = INSTANCES_LIMIT))]
    pub max: Option<u64>,
    /// Calls before an instance is replaced; 1 gives a fresh one for each call; no bound when absent.
    #[schemars(range(min = 1, max = REUSE_LIMIT))]
    pub reuse: Option<u64>,
    /// Requests that one instance handles at a time, if its component is made for that (WASI 0.3); 16 when absent.
    #[schemars(range(min = 1, max = CONCURRENCY_LIMIT))]
    pub concurrency: Option<u64>,
}

/// What one call, one instance and the whole service may use.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// One instance with everything that the host holds for it; 64MiB when absent.
    pub memory: Option<Size>,
    /// All instances of the service; 512MiB when absent.
    #[schemars(example = &"512MiB")]
    pub service_memory: Option<Size>,
    /// From the call to the response head; 10s when absent.
    pub time: Option<Time>,
    /// Computing time of one call; 2s when absent.
    pub cpu: Option<Time>,
    /// A stream without a byte; 60s when absent.
    pub idle: Option<Time>,
    /// The longest request body; as the gateway's when absent.
    pub body: Option<Size>,
    /// Streams, requests, transactions and the like that one instance may hold at a time; 10000 when absent.
    #[schemars(range(min = 100, max = RESOURCES_LIMIT))]
    pub resources: Option<u64>,
    /// Outgoing HTTP requests of all instances that may be under way at a time; 256 when absent.
    #[schemars(range(min = 1, max = REQUESTS_LIMIT))]
    pub outgoing: Option<u64>,
    /// Lines that the service may write to its log in a second; 2000 when absent.
    #[schemars(range(min = 1, max = LINES_LIMIT))]
    pub log_lines: Option<u64>,
    /// The bytes of these lines; 1MiB when absent.
    #[schemars(example = &"1MiB")]
    pub log_bytes: Option<Size>,
    /// The longest a request waits for an instance; 5s when absent. Whoever comes behind more than are served
    /// within a second, or four calls, is told at once.
    pub wait: Option<Time>,
}

/// When a service that keeps failing is left alone for a while.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Circuit {
    /// Failures in a row that open it; 5 when absent.
    #[schemars(range(min = 1, max = ROW_LIMIT))]
    pub failures: Option<u64>,
    /// How long these may take; 10s when absent.
    #[schemars(example = &"10s")]
    pub within: Option<Time>,
    /// How long it stays open first, twice as long each time it opens again right away; 1s when absent.
    #[schemars(example = &"1s")]
    pub open_min: Option<Time>,
    /// How long it stays open at most; 30s when absent.
    #[schemars(example = &"30s")]
    pub open_max: Option<Time>,
}
