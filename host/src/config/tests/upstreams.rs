//! External services and retries: what is written, and what holds when nothing is.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::Folder;
use crate::config::*;

fn config(folder: &Folder, service: &str, route: &str) -> Config {
    let text = format!(
        "[gateway]\nlisten = \"[::1]:0\"\n[admin]\nlisten = \"[::1]:0\"\n[services.a]\n{service}\n\
         [[routes]]\npath = \"/\"\nservice = \"a\"\n{route}\n"
    );
    folder.parse(&text).unwrap()
}

fn upstreams(folder: &Folder, keys: &str) -> Arc<Upstreams> {
    let config = config(folder, keys, "");
    let Source::Upstreams(upstreams) = &config.services["a"].source else { panic!("external") };
    upstreams.clone()
}

#[test]
fn an_external_service_is_read_as_it_is_written() {
    let folder = Folder::new();
    let found = upstreams(
        &folder,
        r#"upstreams = ["http://a:1", { url = "https://b:2", weight = 3 }]
balance = "hash:cookie:sid"
slow-start = "30s"
health-check = { path = "/healthz?deep=1", every = "2s", timeout = "500ms", healthy = 1, unhealthy = 4, status = [200, 204] }
outlier = { failures = 2, ejection = "3s", max-ejected = 20 }
http = "2"
connect-timeout = "1s"
requests-max = 7"#,
    );
    let address = |uri: &str, weight| Address { uri: uri.parse().unwrap(), weight };
    assert_eq!(found.addresses, [address("http://a:1", 1), address("https://b:2", 3)]);
    assert_eq!(found.balance, Balance::HashCookie("sid".into()));
    assert_eq!(found.slow_start, Some(Duration::from_secs(30)));
    assert_eq!(
        found.health_check,
        Some(HealthCheck {
            path: "/healthz?deep=1".parse().unwrap(),
            every: Duration::from_secs(2),
            timeout: Duration::from_millis(500),
            healthy: 1,
            unhealthy: 4,
            statuses: vec![StatusCode::OK, StatusCode::NO_CONTENT],
        })
    );
    let ejection = Duration::from_secs(3);
    assert_eq!(found.outlier, Some(Outlier { failures: 2, ejection, ejected_percent_max: 20 }));
    assert_eq!((found.http, found.keeps_host), (Some(HttpVersion::Http2), false));
    assert_eq!((found.connect_timeout, found.requests_max), (Duration::from_secs(1), 7));
}

#[test]
fn what_is_absent_has_the_defaults_of_the_documentation() {
    let folder = Folder::new();
    let found = upstreams(&folder, "upstreams = [\"http://a\"]");
    assert_eq!((&found.balance, found.http, found.keeps_host), (&Balance::RoundRobin, None, false));
    assert_eq!((found.slow_start, &found.health_check), (None, &None));
    let ejection = Duration::from_secs(10);
    assert_eq!(found.outlier, Some(Outlier { failures: 5, ejection, ejected_percent_max: 50 }));
    assert_eq!((found.connect_timeout, found.requests_max), (Duration::from_secs(2), 1_000));
    assert!(found.authorities.is_empty());
    let found = upstreams(&folder, "upstreams = [\"http://a\"]\noutlier = false\nhost = \"keep\"");
    assert_eq!(found.outlier, None);
    // The host is part of the address over HTTP/2.
    assert_eq!((found.keeps_host, found.http), (true, Some(HttpVersion::Http1)));
}

#[test]
fn a_balance_is_read_by_its_name() {
    let folder = Folder::new();
    for (written, expected) in [
        ("round-robin", Balance::RoundRobin),
        ("least-requests", Balance::LeastRequests),
        ("random", Balance::Random),
        ("hash:address", Balance::HashAddress),
        ("hash:header:X-User", Balance::HashHeader("x-user".parse().unwrap())),
        ("hash:cookie:Sid", Balance::HashCookie("Sid".into())),
    ] {
        let keys = format!("upstreams = [\"http://a\"]\nbalance = {written:?}");
        assert_eq!(upstreams(&folder, &keys).balance, expected);
    }
}

#[test]
fn retries_stand_at_any_service_and_a_route_says_otherwise() {
    let folder = Folder::new();
    let rules = "retry = { attempts = 3, budget = 10, per-try = \"2s\", back-off = { min = \"1ms\", max = \"9ms\" } }";
    let config = config(&folder, rules, "retry = false");
    let expected = Retry {
        tries: 3,
        budget_percent: 10,
        per_try: Some(Duration::from_secs(2)),
        back_off_min: Duration::from_millis(1),
        back_off_max: Duration::from_millis(9),
    };
    assert_eq!(config.services["a"].retry.as_deref(), Some(&expected));
    assert_eq!(config.routes[0].retry.as_ref().unwrap().tries, 1);
    let absent = super::upstreams::config(&folder, "", "retry = {}");
    assert_eq!(absent.services["a"].retry, None);
    let retry = absent.routes[0].retry.as_ref().unwrap();
    assert_eq!((retry.tries, retry.budget_percent, retry.per_try), (2, 20, None));
    assert_eq!((retry.back_off_min.as_millis(), retry.back_off_max.as_millis()), (25, 250));
}
