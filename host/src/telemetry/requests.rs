//! Counts the requests of one route. What requests have in common that are counted together is found once, as to find
//! it costs more than to count.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Method;
use prometheus_client::metrics::counter::Counter;

use crate::names::{ServiceName, VersionNumber};
use crate::telemetry::metrics::{Durations, Metrics};

/// Kinds that a route remembers: each version adds some, and old ones are not asked for again.
const REMEMBERED_MAX: usize = 32;

/// What requests have in common that are counted together.
#[derive(Debug, Clone, Copy)]
pub struct Kind<'k> {
    /// The service; none for what the gateway answers by itself.
    pub service: Option<&'k ServiceName>,
    /// Its version.
    pub version: Option<VersionNumber>,
    /// The method; see [`known_method`].
    pub method: &'static str,
    /// The status.
    pub status: u16,
}

/// Where the requests of one kind and one route are counted.
#[derive(Debug, Clone)]
pub struct Series {
    /// See [`Kind`].
    pub service: Option<ServiceName>,
    /// See [`Kind`].
    pub version: Option<VersionNumber>,
    /// See [`Kind`].
    pub method: &'static str,
    /// See [`Kind`].
    pub status: u16,
    /// How many.
    pub count: Counter,
    /// How long they took.
    pub latency: Durations,
}

/// Counts the requests of one route.
#[derive(Debug)]
pub struct RouteRequests {
    pattern: Arc<str>,
    remembered: ArcSwap<Vec<Series>>,
}

impl RouteRequests {
    /// For the route of this pattern.
    pub fn new(pattern: Arc<str>) -> Self {
        Self { pattern, remembered: ArcSwap::default() }
    }

    /// Counts a request that took so long.
    pub fn count(&self, metrics: &Metrics, kind: Kind<'_>, duration: Duration) {
        let remembered = self.remembered.load();
        if let Some(series) = remembered.iter().find(|series| series.is_of(kind)) {
            return series.count(duration);
        }
        let series = metrics.requests(kind, Some(&self.pattern));
        series.count(duration);
        self.remembered.rcu(|before| {
            let kept = before.iter().filter(|_| before.len() < REMEMBERED_MAX);
            kept.chain([&series]).cloned().collect::<Vec<_>>()
        });
    }
}

impl Series {
    /// Counts a request that took so long.
    pub fn count(&self, duration: Duration) {
        self.count.inc();
        self.latency.observe(duration);
    }

    fn is_of(&self, kind: Kind<'_>) -> bool {
        self.status == kind.status
            && self.version == kind.version
            && self.method == kind.method
            && self.service.as_ref() == kind.service
    }
}

/// A method as a label; a client can invent some, which are counted together.
pub fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_by_itself_however_many_there_were() {
        let (metrics, route) = (Metrics::new(), RouteRequests::new("/orders/{id}".into()));
        let service: ServiceName = "order".parse().unwrap();
        for version in (0..100).chain(0..100) {
            let version = Some(VersionNumber(version));
            let kind = Kind { service: Some(&service), version, method: "GET", status: 200 };
            route.count(&metrics, kind, Duration::ZERO);
            assert!(route.remembered.load().len() <= REMEMBERED_MAX);
        }
        let text = metrics.text().unwrap();
        for version in ["v0", "v31", "v99"] {
            let line =
                format!("version=\"{version}\",route=\"/orders/{{id}}\",method=\"GET\",status=\"200\"}} 2");
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
