//! Cache-Status (RFC 9211): what the cache did with a request, told in one line of the response.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::policy::Terms;

/// The field.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// The cache does not handle such a request.
    Bypass,
    /// Its method always goes there.
    Method,
    /// Nothing is kept under its URL.
    UriMiss,
    /// Nothing is kept for its other fields.
    VaryMiss,
    /// What is kept is stale.
    Stale,
    /// The client wants it.
    Request,
}

/// What the cache did.
#[derive(Debug, Clone, Copy)]
pub enum CacheStatus {
    /// It answered.
    Hit {
        /// How long the response stays fresh, in seconds; negative when it is stale.
        ttl: i64,
    },
    /// The service answered, perhaps to another request that was on its way.
    Forwarded {
        /// Why it was asked.
        why: Forwarded,
        /// Its status, where the response has another.
        status: Option<StatusCode>,
        /// Whether the response is being kept.
        is_stored: bool,
        /// Whether another request asked.
        is_collapsed: bool,
        /// Why the response is not kept, or used although it is stale.
        detail: Option<&'static str>,
    },
}

impl CacheStatus {
    /// A kept response answered.
    pub fn hit(terms: &Terms, now: SystemTime) -> Self {
        let (lifetime, age) = (terms.lifetime, terms.age(now));
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Self::Hit { ttl: seconds(lifetime) - seconds(age) }
    }

    /// The service answered.
    pub fn forwarded(why: Forwarded) -> Self {
        Self::Forwarded { why, status: None, is_stored: false, is_collapsed: false, detail: None }
    }

    /// The service answered, and the response is not kept.
    pub fn not_kept(why: Forwarded, detail: &'static str) -> Self {
        Self::Forwarded { why, status: None, is_stored: false, is_collapsed: false, detail: Some(detail) }
    }

    /// Adds the line behind those of caches nearer to the service.
    pub fn write(self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.to_string()) {
            headers.append(CACHE_STATUS, value);
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit { ttl } => write!(f, "hostel; hit; ttl={ttl}"),
            Self::Forwarded { why, status, is_stored, is_collapsed, detail } => {
                write!(f, "hostel; fwd={why}")?;
                if let Some(status) = status {
                    write!(f, "; fwd-status={}", status.as_u16())?;
                }
                if *is_stored {
                    f.write_str("; stored")?;
                }
                if *is_collapsed {
                    f.write_str("; collapsed")?;
                }
                detail.map_or(Ok(()), |detail| write!(f, "; detail={detail}"))
            }
        }
    }
}

impl fmt::Display for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::Request => "request",
        })
    }
}
