//! What the store keeps, replaces, refuses and throws away.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::time::SystemTime;

use super::*;
use crate::config::CacheRules;
use crate::gateway::cache::kept::{Head, Scope};
use crate::gateway::cache::policy::Exchange;

fn scope(route: u64) -> Scope {
    Scope { route, service: "shop".parse().unwrap() }
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn exchange<'e>(request: &'e HeaderMap, response: &'e HeaderMap) -> Exchange<'e> {
    let now = SystemTime::now();
    Exchange { request, is_identified: false, status: StatusCode::OK, response, sent: now, received: now }
}

/// A response that varies by `x-tenant`, to a request of this tenant.
fn kept(tenant: &str, body: &'static str, fields: &[(&'static str, &str)]) -> Kept {
    let request = headers(&[("x-tenant", tenant)]);
    let mut response = headers(&[("cache-control", "max-age=60"), ("vary", "x-tenant")]);
    response.extend(headers(fields));
    let head = Head::new(&exchange(&request, &response), &scope(1), &CacheRules::default()).unwrap();
    Kept::new(Arc::new(head), Bytes::from_static(body.as_bytes()))
}

fn key(target: &str) -> Key {
    let host = headers(&[("host", "shop.example")]);
    Key::new(Origin::new("http", &host, None, None).unwrap(), target, None)
}

fn find(store: &Store, key: &Key, tenant: &str, route: u64) -> Option<Bytes> {
    let request = headers(&[("x-tenant", tenant)]);
    let asking = Asking { scope: &scope(route), request: &request, is_known: false };
    Some(store.find(key)?.find(asking)?.body.clone())
}

#[test]
fn responses_are_found_by_url_route_and_fields() {
    let (store, x) = (Store::new(1 << 20), key("/x"));
    store.keep(&x, kept("a", "first", &[]), store.epoch(&x));
    store.keep(&x, kept("b", "other", &[]), store.epoch(&x));
    store.keep(&x, kept("a", "second", &[]), store.epoch(&x));
    assert_eq!(find(&store, &x, "a", 1).unwrap(), "second");
    assert_eq!(find(&store, &x, "b", 1).unwrap(), "other");
    assert_eq!(store.find(&x).unwrap().variants.len(), 2, "the first was replaced");
    assert_eq!(find(&store, &x, "c", 1), None);
    assert_eq!(find(&store, &x, "a", 2), None);
    assert_eq!(find(&store, &key("/y"), "a", 1), None);
}

#[test]
fn a_known_caller_gets_only_what_is_for_all() {
    let (store, scope) = (Store::new(1 << 20), scope(1));
    let request = headers(&[("x-tenant", "a")]);
    for (target, control, is_found) in [("/x", "max-age=60", false), ("/y", "max-age=60, public", true)] {
        let key = key(target);
        store.keep(&key, kept("a", "body", &[("cache-control", control)]), store.epoch(&key));
        let shelf = store.find(&key).unwrap();
        let asking = |is_known| Asking { scope: &scope, request: &request, is_known };
        assert_eq!(shelf.find(asking(true)).is_some(), is_found, "{control}");
        assert!(shelf.find(asking(false)).is_some(), "{control}");
    }
}

#[test]
fn the_responses_of_one_url_are_bounded() {
    let (store, x) = (Store::new(1 << 20), key("/x"));
    for tenant in 0..100 {
        store.keep(&x, kept(&tenant.to_string(), "body", &[]), store.epoch(&x));
    }
    assert_eq!(store.find(&x).unwrap().variants.len(), VARIANTS_MAX);
    assert!(find(&store, &x, "99", 1).is_some() && find(&store, &x, "0", 1).is_none());
    let small = Store::new(8 << 10);
    for tenant in 0..10 {
        small.keep(&x, kept(&tenant.to_string(), "body", &[]), small.epoch(&x));
    }
    assert!(small.find(&x).unwrap().bytes() <= 2 << 10);
}

#[test]
fn what_was_on_its_way_when_its_url_changed_is_not_kept() {
    let (store, x) = (Store::new(1 << 20), key("/x"));
    let before = store.epoch(&x);
    store.invalidate(&x);
    store.keep(&x, kept("a", "old", &[]), before);
    assert_eq!(find(&store, &x, "a", 1), None);
    store.keep(&x, kept("a", "new", &[]), store.epoch(&x));
    assert_eq!(find(&store, &x, "a", 1).unwrap(), "new");
    store.invalidate(&x);
    assert!(store.find(&x).is_none());
}

#[test]
fn operators_purge_by_path_prefix_and_tag() {
    let check = |path: Option<&str>, tag: Option<&str>, expected: usize| {
        let store = Store::new(1 << 20);
        for target in ["/a", "/a/1", "/b"] {
            let key = key(target);
            store.keep(&key, kept("a", "1", &[("surrogate-key", "red green")]), store.epoch(&key));
            store.keep(&key, kept("b", "2", &[]), store.epoch(&key));
        }
        let purge = Purge { path: path.map(str::to_owned), tag: tag.map(str::to_owned) };
        assert_eq!(store.purge(&purge), expected, "{purge:?}");
        assert_eq!(store.purge(&purge), 0, "{purge:?} a second time");
    };
    check(None, None, 6);
    check(Some("/a"), None, 2);
    check(Some("/a*"), None, 4);
    check(Some("/a/*"), None, 2);
    check(Some("/nothing"), None, 0);
    check(None, Some("green"), 3);
    check(Some("/b"), Some("green"), 1);
    check(None, Some("gree"), 0);
}

#[test]
fn requests_wait_for_each_other_again_once_something_is_kept() {
    let (store, x) = (Store::new(1 << 20), key("/x"));
    store.mark_unshared(&x);
    assert!(!store.find(&x).unwrap().is_shared());
    store.keep(&x, kept("a", "body", &[]), store.epoch(&x));
    assert!(store.find(&x).unwrap().is_shared());
}

#[test]
fn a_304_renews_the_fields_but_not_those_of_the_body() {
    let old = kept("a", "body", &[("etag", "\"1\""), ("x-old", "1"), ("content-type", "text/plain")]);
    let news = headers(&[
        ("etag", "W/\"1\""),
        ("cache-control", "max-age=90"),
        ("x-new", "1"),
        ("x-new", "2"),
        ("content-length", "0"),
        ("vary", "x-tenant"),
    ]);
    assert!(old.is_meant_by(&news) && !old.is_meant_by(&headers(&[("etag", "\"2\"")])));
    let request = headers(&[("x-tenant", "a")]);
    let fresh = renewed(&old, &request, &news).unwrap();
    let fields = &fresh.head.headers;
    assert_eq!(fields["cache-control"], "max-age=90");
    assert_eq!(
        (&fields["x-old"], &fields["content-length"], &fields["content-type"]),
        (&"1".parse().unwrap(), &"4".parse().unwrap(), &"text/plain".parse().unwrap())
    );
    assert_eq!(fields.get_all("x-new").iter().count(), 2);
    assert!(fresh.head.replaces(&old.head));
    let stopped = headers(&[("cache-control", "no-store")]);
    assert_eq!(renewed(&old, &request, &stopped).unwrap_err(), "no-store");
}

#[test]
fn a_304_without_a_date_is_as_young_as_it_came() {
    let old = kept("a", "body", &[("etag", "\"1\""), ("date", "Tue, 14 Nov 2000 22:13:20 GMT")]);
    assert!(old.head.terms.initial_age > old.head.terms.lifetime);
    let request = headers(&[("x-tenant", "a")]);
    let fresh = renewed(&old, &request, &headers(&[("etag", "\"1\"")])).unwrap();
    assert_eq!(fresh.head.terms.initial_age.as_secs(), 0);
    assert_eq!(fresh.head.headers.get_all("date").iter().count(), 1);
    let dated = headers(&[("date", "Tue, 14 Nov 2000 22:14:20 GMT")]);
    assert_eq!(renewed(&old, &request, &dated).unwrap().head.headers["date"], dated["date"]);
}

fn renewed(old: &Kept, request: &HeaderMap, news: &HeaderMap) -> Result<Kept, &'static str> {
    let exchange = exchange(request, news);
    let fields = old.with_news(news, exchange.received);
    let exchange = Exchange { response: &fields, ..exchange };
    old.renewed(&exchange, &scope(1), &CacheRules::default())
}
