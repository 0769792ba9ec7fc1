//! The cache, checked: how much it holds, and by which rules a route uses it.

use std::time::Duration;

use http::HeaderName;

use super::cache_file::{CacheStore, RouteCache};
use super::directory::Directory;
use super::file::{self, Size, Time};
use super::grants::{self, Subscription};
use super::key::Key;
use super::report::Report;
use super::units::{self, KIB, MIB};
use crate::names::default_domain;

/// Thousands of pages, and little beside the memory of the services.
const SIZE_BYTES: u64 = 64 * MIB;

/// Pages, scripts and pictures fit; downloads and films pass by.
const ENTRY_BYTES: u64 = 4 * MIB;

/// Less holds not even one page with its head.
const SIZE_BYTES_MIN: u64 = 64 * KIB;

/// The store counts the bytes under one URL in 32 bits.
const ENTRY_BYTES_MAX: u64 = 1 << 30;

/// How much the cache holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Everything together, in bytes.
    pub size_bytes: u64,
    /// The longest body, in bytes.
    pub entry_bytes: u64,
}

/// By which rules responses are kept, beside what they say themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheRules {
    /// How long a response is fresh that says nothing about it.
    pub default_time: Duration,
    /// Request headers that make another response.
    pub key_headers: Vec<HeaderName>,
    /// How long a stale response may answer while a new one is fetched, where it does not say.
    pub stale_while_revalidate: Duration,
    /// How long a stale response may answer when the service fails, where it does not say.
    pub stale_if_error: Duration,
}

/// The rules as they are written in either place.
#[derive(Clone, Copy)]
struct Written<'w> {
    default_time: Option<&'w Time>,
    key_headers: &'w Option<Vec<String>>,
    stale_while_revalidate: Option<&'w Time>,
    stale_if_error: Option<&'w Time>,
}

/// Checks `[gateway.cache]`.
pub fn of_gateway(
    written: Option<&CacheStore>,
    key: &Key,
    report: &mut Report<'_>,
) -> (CacheLimits, CacheRules) {
    let absent = CacheStore::default();
    let written = written.unwrap_or(&absent);
    let mut bytes = |size: Option<&Size>, default, allowed, name: &str| {
        units::size(size, default, allowed, &key.field(name), report)
    };
    let size_bytes = bytes(written.size.as_ref(), SIZE_BYTES, SIZE_BYTES_MIN..=units::SIZE_BYTES_MAX, "size");
    let entry_bytes =
        bytes(written.entry.as_ref(), ENTRY_BYTES.min(size_bytes), 1..=ENTRY_BYTES_MAX, "entry");
    if entry_bytes > size_bytes && !report.refused_within(key) {
        report.refuse(&key.field("entry"), "let `entry` be at most `size` (64MiB when absent)");
    }
    let rules = Written {
        default_time: written.default_time.as_ref(),
        key_headers: &written.key_headers,
        stale_while_revalidate: written.stale_while_revalidate.as_ref(),
        stale_if_error: written.stale_if_error.as_ref(),
    };
    (CacheLimits { size_bytes, entry_bytes }, rules.check(key, report))
}

/// Checks `purged-by`: topics with their domain, since the gateway belongs to none.
pub fn purged_by(
    written: Option<&CacheStore>,
    directory: &Directory,
    key: &Key,
    report: &mut Report<'_>,
) -> Vec<Subscription> {
    let topics = written.map_or(&None, |written| &written.purged_by);
    grants::each(topics, &key.field("purged-by"), report, |text| {
        if !text.contains('/') {
            return Err(format!("write the domain before it, as in \"{}/{text}\"", default_domain()));
        }
        grants::subscription(text, &default_domain(), directory)
    })
}

/// Checks `cache` of a route; `default` is what `true` means.
pub fn of_route(
    route: &file::Route,
    default: &CacheRules,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<CacheRules> {
    let written = match route.cache.as_ref()? {
        RouteCache::Switch(false) => return None,
        written => written,
    };
    if route.files.is_some() {
        report.refuse_found(
            key,
            "`cache` beside `files`",
            "take it out: files are read from the disk anyway",
        );
        return None;
    }
    match written {
        RouteCache::Switch(_) => Some(default.clone()),
        RouteCache::On(written) => {
            let rules = Written {
                default_time: written.default_time.as_ref(),
                key_headers: &written.key_headers,
                stale_while_revalidate: written.stale_while_revalidate.as_ref(),
                stale_if_error: written.stale_if_error.as_ref(),
            };
            Some(rules.check(key, report))
        }
    }
}

impl Written<'_> {
    fn check(self, key: &Key, report: &mut Report<'_>) -> CacheRules {
        let key_headers = grants::each(self.key_headers, &key.field("key-headers"), report, |text| {
            text.parse::<HeaderName>().map_err(|_| "write the name of a header such as \"x-tenant\"".into())
        });
        let mut time = |written, name: &str| time_or_zero(written, &key.field(name), report);
        CacheRules {
            default_time: time(self.default_time, "default-time"),
            stale_while_revalidate: time(self.stale_while_revalidate, "stale-while-revalidate"),
            stale_if_error: time(self.stale_if_error, "stale-if-error"),
            key_headers,
        }
    }
}

/// A duration; here, other than for limits, none at all is a sensible one.
fn time_or_zero(written: Option<&Time>, key: &Key, report: &mut Report<'_>) -> Duration {
    match written {
        Some(Time(text)) if text == "0s" => Duration::ZERO,
        written => units::time_or_none(written, key, report).unwrap_or_default(),
    }
}
