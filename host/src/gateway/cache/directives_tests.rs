//! How Cache-Control is read, well written or not.

use super::*;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let fields = fields.iter();
    fields.map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

fn response(text: &str) -> ResponseDirectives {
    ResponseDirectives::of(&headers(&[("cache-control", text)]))
}

fn time(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn times_are_digits_once_or_the_same_twice() {
    let check = |text: &str, expected: Option<Duration>| {
        assert_eq!(response(text).max_age, expected, "{text}");
    };
    check("max-age=60", time(60));
    check("MAX-AGE=60", time(60));
    check("max-age=\"60\"", time(60));
    check(", ,max-age=60,", time(60));
    check("x=\"a, max-age=5\", max-age=60", time(60));
    check("max-age=60, max-age=60", time(60));
    check("max-age=0060", time(60));
    check("max-age=99999999999999999999999", time(SECONDS_MAX));
    check("s-maxage=60", None);
    for malformed in
        ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age= 60", "max-age='60'", "max-age=60s"]
    {
        check(malformed, time(0));
    }
    check("max-age=60, max-age=90", time(0));
}

#[test]
fn directives_are_found_in_any_company() {
    let found = response("Public, no-CACHE=\"a, b\",must-revalidate , immutable, unknown=1");
    assert!(found.public && found.no_cache && found.must_revalidate && found.immutable);
    assert!(!found.no_store);
    let mut several = headers(&[("cache-control", "max-age=1"), ("x-other", "no-store")]);
    assert!(!ResponseDirectives::of(&several).no_store);
    several.append(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    assert!(ResponseDirectives::of(&several).no_store, "a second line counts too");
    assert!(response("private=\"x, no-store").no_store, "a quote that does not end hides nothing");
}

#[test]
fn private_may_be_about_some_fields_only() {
    assert_eq!(response("max-age=1").private, Private::No);
    assert_eq!(response("private").private, Private::All);
    assert_eq!(response("private=\"a b\"").private, Private::All);
    assert_eq!(response("private=").private, Private::All);
    let fields = |names: [&'static str; 2]| Private::Fields(names.map(HeaderName::from_static).to_vec());
    assert_eq!(response("private=\"X-One, x-two\"").private, fields(["x-one", "x-two"]));
    assert_eq!(response("private=x-one, private=x-two").private, fields(["x-one", "x-two"]));
    assert_eq!(response("private=x-one, private").private, Private::All);
}

#[test]
fn the_targeted_field_stands_instead_of_cache_control() {
    let check = |targeted: &str, expected: Option<Duration>, is_targeted: bool| {
        let found = ResponseDirectives::of(&headers(&[
            ("cache-control", "max-age=1"),
            ("cdn-cache-control", targeted),
        ]));
        assert_eq!((found.max_age, found.is_targeted), (expected, is_targeted), "{targeted}");
    };
    check("max-age=60", time(60), true);
    check("max-age=60;x=1, public", time(60), true);
    check("no-store=?0, max-age=60", time(60), true);
    check("public", None, true);
    check("max-age=5, max-age=60", time(60), true);
    check("max-age=60, x=\"a, b\", y=(1 2);z", time(60), true);
    check("max-age=-1", time(0), true);
    for ignored in [
        "max-age=\"10000\"",
        "max-age=1.5",
        "max-age=abc",
        "max-age",
        "max-age=(60)",
        "max-age= 60",
        "max-age='60'",
        "max-age=60s",
        "public, s-maxage=\"60\"",
    ] {
        check(ignored, time(1), false);
    }
    check("max-age=", time(1), false);
    check("Max-Age=60", time(1), false);
    check("max-age=60,", time(1), false);
    check("", time(1), false);
    let stopped = headers(&[("cache-control", "max-age=1"), ("cdn-cache-control", "no-store=?1")]);
    assert!(ResponseDirectives::of(&stopped).no_store);
}

#[test]
fn requests_say_what_they_accept() {
    let check = |text: &str| RequestDirectives::of(&headers(&[("cache-control", text)]));
    assert_eq!(check("max-age=0").max_age, time(0));
    assert_eq!(check("max-age=x").max_age, None);
    assert_eq!(check("max-stale").max_stale, Some(Duration::MAX));
    assert_eq!(check("max-stale=5, min-fresh=7").max_stale, time(5));
    assert_eq!(check("max-stale=5, min-fresh=7").min_fresh, time(7));
    assert_eq!(check("stale-if-error=9").stale_if_error, time(9));
    assert!(
        check("no-cache").no_cache && check("no-store").no_store && check("only-if-cached").only_if_cached
    );
    let pragma = |fields: &[(&'static str, &str)]| RequestDirectives::of(&headers(fields)).no_cache;
    assert!(pragma(&[("pragma", "no-cache")]));
    assert!(!pragma(&[("pragma", "no-cache"), ("cache-control", "max-age=60")]));
    assert!(!pragma(&[("pragma", "x-no-cache")]));
}
