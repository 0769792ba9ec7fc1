//! What may be kept, for how long, and used for whom: tables of heads.

use super::*;

/// Tue, 14 Nov 2023 22:13:20 GMT.
const NOW_SECONDS: u64 = 1_700_000_000;

const NOW_TEXT: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_SECONDS + seconds)
}

/// Fields one a line, as in a message.
fn headers(lines: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), value.trim().parse().unwrap());
    }
    headers
}

fn assessed(status: u16, request: &str, response: &str, rules: &CacheRules) -> Result<Terms, &'static str> {
    let exchange = Exchange {
        request: &headers(request),
        is_identified: false,
        status: StatusCode::from_u16(status).unwrap(),
        response: &headers(response),
        sent: at(0),
        received: at(0),
    };
    assess(&exchange, rules)
}

/// The lifetime in seconds, or why it is not kept.
fn lifetime(status: u16, request: &str, response: &str) -> Result<u64, &'static str> {
    assessed(status, request, response, &CacheRules::default()).map(|terms| terms.lifetime.as_secs())
}

#[test]
fn freshness_comes_from_the_strongest_word() {
    let check = |response: &str, expected: Result<u64, &'static str>| {
        let response = format!("date: {NOW_TEXT}\n{response}");
        assert_eq!(lifetime(200, "", &response), expected, "{response}");
    };
    check("cache-control: max-age=60", Ok(60));
    check("cache-control: max-age=60, s-maxage=90", Ok(90));
    check("cache-control: s-maxage=0, max-age=60\netag: \"a\"", Ok(0));
    check("cache-control: max-age=60\nexpires: Tue, 14 Nov 2023 22:18:20 GMT", Ok(60));
    check("expires: Tue, 14 Nov 2023 22:18:20 GMT", Ok(300));
    check("expires: Tuesday, 14-Nov-23 22:18:20 GMT", Ok(300));
    check("expires: Tue Nov 14 22:18:20 2023", Ok(300));
    check("expires: TUE, 14 nov 2023 22:18:20 gmt", Ok(300));
    check("expires: Fri Nov 14 22:18:20 2023", Ok(300));
    check("expires: 0\netag: \"a\"", Ok(0));
    check("expires: 0", Err("no-freshness"));
    check(
        "expires: Tue, 14 Nov 2023 22:18:20 GMT\nexpires: Tue, 14 Nov 2023 22:18:20 GMT",
        Err("no-freshness"),
    );
    check("cache-control: max-age=x\nexpires: Tue, 14 Nov 2023 22:18:20 GMT", Err("no-freshness"));
    check("cdn-cache-control: max-age=90\ncache-control: no-store", Ok(90));
    check("cdn-cache-control: public\nexpires: Tue, 14 Nov 2023 22:18:20 GMT", Err("no-freshness"));
    // A tenth of the time since the last change, at most a day.
    check("last-modified: Tue, 14 Nov 2023 22:03:20 GMT", Ok(60));
    check("last-modified: Tue, 14 Nov 2000 22:03:20 GMT", Ok(24 * 60 * 60));
    check("last-modified: Thu, 14 Nov 2030 22:03:20 GMT", Ok(0));
    check("last-modified: yesterday", Ok(0));
    check("etag: \"a\"", Ok(0));
    check("", Err("no-freshness"));
}

#[test]
fn only_what_is_for_all_is_kept() {
    let check = |status: u16, request: &str, response: &str, expected: Result<u64, &'static str>| {
        assert_eq!(lifetime(status, request, response), expected, "{status} {request:?} {response:?}");
    };
    let fresh = "cache-control: max-age=60";
    check(200, "cache-control: no-store", fresh, Err(REQUEST_NO_STORE));
    check(200, "cache-control: no-cache", fresh, Ok(60));
    check(200, "", "cache-control: max-age=60, no-store", Err("no-store"));
    check(200, "", "cache-control: max-age=60, private", Err("private"));
    check(200, "", "cache-control: max-age=60, private=\"x-user\"", Ok(60));
    check(200, "", "cache-control: max-age=60\ncontent-type: text/event-stream", Err("event-stream"));
    // Credentials (RFC 9111, 3.5).
    check(200, "authorization: x", fresh, Err("authorization"));
    check(200, "authorization: x", "cache-control: max-age=60, max-age=90", Err("authorization"));
    check(200, "authorization: x", "cache-control: max-age=60, public", Ok(60));
    check(200, "authorization: x", "cache-control: max-age=60, must-revalidate", Ok(60));
    check(200, "authorization: x", "cache-control: s-maxage=60", Ok(60));
    // Cookies.
    check(200, "", "cache-control: max-age=60\nset-cookie: a=1", Err("set-cookie"));
    check(200, "", "cache-control: max-age=60, public\nset-cookie: a=1", Ok(60));
    check(200, "cookie: a=1", fresh, Ok(60));
    check(200, "cookie: a=1", "last-modified: Tue, 14 Nov 2000 22:03:20 GMT", Err("personal"));
    // Statuses.
    for status in [206, 304, 412, 413, 416, 417, 425, 431] {
        check(status, "", "cache-control: public, max-age=60", Err("status"));
    }
    for status in [200, 203, 204, 301, 302, 307, 400, 403, 404, 410, 500, 503, 599] {
        check(status, "", fresh, Ok(60));
    }
    check(302, "", "last-modified: Tue, 14 Nov 2000 22:03:20 GMT", Err("status"));
    check(302, "", "cache-control: must-understand, no-store, max-age=60", Ok(60));
    check(599, "", "cache-control: must-understand, max-age=60", Err("status"));
    check(599, "", "cache-control: must-understand, no-store, max-age=60", Err("status"));
}

#[test]
fn a_caller_known_by_other_means_counts_like_authorization() {
    let check = |response: &str, is_kept: bool| {
        let exchange = Exchange {
            request: &HeaderMap::new(),
            is_identified: true,
            status: StatusCode::OK,
            response: &headers(response),
            sent: at(0),
            received: at(0),
        };
        assert_eq!(assess(&exchange, &CacheRules::default()).is_ok(), is_kept, "{response}");
    };
    check("cache-control: max-age=60", false);
    check("last-modified: Tue, 14 Nov 2000 22:03:20 GMT", false);
    check("cache-control: max-age=60, public", true);
}

#[test]
fn fields_for_one_client_are_left_out() {
    let response = "cache-control: public, max-age=60, private=\"x-user\"\nset-cookie: a=1";
    let terms = assessed(200, "", response, &CacheRules::default()).unwrap();
    assert_eq!(terms.unkept, [HeaderName::from_static("x-user"), SET_COOKIE]);
}

#[test]
fn the_operators_times_hold_where_the_service_is_silent() {
    let rules = CacheRules {
        default_time: Duration::from_secs(30),
        stale_while_revalidate: Duration::from_secs(5),
        stale_if_error: Duration::from_secs(6),
        key_headers: Vec::new(),
    };
    let check = |status: u16, response: &str, expected: [u64; 3]| {
        let terms = assessed(status, "", response, &rules).unwrap();
        let found = [terms.lifetime, terms.stale_while_revalidate, terms.stale_if_error];
        assert_eq!(found.map(|time| time.as_secs()), expected, "{status} {response:?}");
    };
    check(200, "", [30, 5, 6]);
    check(404, "", [0, 5, 6]);
    check(200, "cache-control: max-age=0", [0, 5, 6]);
    check(200, "cache-control: max-age=9, stale-while-revalidate=1, stale-if-error=2", [9, 1, 2]);
    check(200, "cache-control: max-age=9, stale-if-error=x", [9, 5, 0]);
    check(200, "cache-control: max-age=9, must-revalidate, stale-if-error=2", [9, 0, 0]);
    check(200, "cache-control: max-age=9, proxy-revalidate", [9, 0, 0]);
    check(200, "cache-control: s-maxage=9", [9, 0, 0]);
    check(200, "cache-control: s-maxage=9, stale-while-revalidate=1", [9, 1, 0]);
    assert!(assessed(302, "", "", &rules).is_err());
}

#[test]
fn age_counts_from_where_the_response_was_made() {
    let check = |response: &str, delay: u64, expected: u64| {
        let exchange = Exchange {
            request: &HeaderMap::new(),
            is_identified: false,
            status: StatusCode::OK,
            response: &headers(&format!("cache-control: max-age=1000\n{response}")),
            sent: at(0),
            received: at(delay),
        };
        let terms = assess(&exchange, &CacheRules::default()).unwrap();
        assert_eq!(terms.age(at(delay + 10)).as_secs(), expected + 10, "{response:?} after {delay} s");
        assert_eq!(terms.age(at(0)), terms.initial_age, "a clock that was set back");
    };
    check("", 0, 0);
    check("age: 50", 0, 50);
    check("age: 50", 3, 53);
    check("age: 50, 70", 0, 50);
    check("age: -1", 0, 0);
    check("age: x", 0, 0);
    check("date: Tue, 14 Nov 2023 22:12:20 GMT", 0, 60);
    check("date: Tue, 14 Nov 2023 22:12:20 GMT\nage: 50", 0, 60);
    check("date: Tue, 14 Nov 2023 22:12:20 GMT\nage: 70", 0, 70);
    check("date: Mon, 14 Nov 2033 22:12:20 GMT", 0, 0);
}

#[test]
fn a_kept_response_is_used_as_service_and_client_allow() {
    let check = |response: &str, request: &str, age: u64, expected: Verdict| {
        let terms =
            assessed(200, "", &format!("etag: \"a\"\ncache-control: {response}"), &CacheRules::default());
        let wishes = RequestDirectives::of(&headers(request));
        assert_eq!(judge(&terms.unwrap(), &wishes, at(age)), expected, "{response}; {request:?}; {age} s");
    };
    use Verdict::{Use, UseAndFetch, Validate, ValidateForClient};
    check("max-age=60", "", 59, Use);
    check("max-age=60", "", 60, Validate);
    check("max-age=60, no-cache", "", 0, Validate);
    check("max-age=60, no-cache", "cache-control: max-stale", 0, Validate);
    check("max-age=60", "cache-control: no-cache", 0, ValidateForClient);
    check("max-age=60", "pragma: no-cache", 0, ValidateForClient);
    check("max-age=60", "cache-control: max-age=10", 10, Use);
    check("max-age=60", "cache-control: max-age=10", 11, ValidateForClient);
    check("max-age=60, immutable", "cache-control: max-age=0", 11, Use);
    check("max-age=60, immutable", "cache-control: no-cache", 11, ValidateForClient);
    check("max-age=60", "cache-control: min-fresh=10", 50, Use);
    check("max-age=60", "cache-control: min-fresh=10", 51, ValidateForClient);
    check("max-age=60", "cache-control: max-stale", 6000, Use);
    check("max-age=60", "cache-control: max-stale=5", 65, Use);
    check("max-age=60", "cache-control: max-stale=5", 66, Validate);
    check("max-age=60, must-revalidate", "cache-control: max-stale", 61, Validate);
    check("max-age=60, proxy-revalidate", "cache-control: max-stale", 61, Validate);
    check("s-maxage=60", "cache-control: max-stale", 61, Validate);
    check("max-age=60, stale-while-revalidate=5", "", 64, UseAndFetch);
    check("max-age=60, stale-while-revalidate=5", "", 65, Validate);
    check("max-age=60, stale-while-revalidate=5, must-revalidate", "", 61, Validate);
}

#[test]
fn errors_are_hidden_only_while_the_service_allows_it() {
    let check_for = |request: &str, response: &str, age: u64, expected: bool| {
        let response = format!("etag: \"a\"\ncache-control: {response}");
        let terms = assessed(200, "", &response, &CacheRules::default()).unwrap();
        let wishes = RequestDirectives::of(&headers(request));
        assert_eq!(terms.may_hide_error(&wishes, at(age)), expected, "{request} {response} at {age} s");
    };
    let check = |response: &str, age: u64, expected: bool| check_for("", response, age, expected);
    check("max-age=60, stale-if-error=10", 69, true);
    check("max-age=60, stale-if-error=10", 70, false);
    check("max-age=60", 60, false);
    check("max-age=60, stale-if-error=10, must-revalidate", 61, false);
    check("no-cache, stale-if-error=10", 0, false);
    let wish = "cache-control: stale-if-error=10";
    check_for(wish, "max-age=60", 69, true);
    check_for(wish, "max-age=60", 70, false);
    check_for(wish, "max-age=60, stale-if-error=20", 75, true);
    for forbidding in ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"] {
        check_for(wish, &format!("max-age=60, {forbidding}"), 61, false);
    }
}

#[test]
fn no_head_panics() {
    let odd =
        ["", "=", ",", "\"", "=\"", "max-age", "max-age=18446744073709551616", "private=\"\\", "*", ";;"];
    for one in odd {
        for other in odd {
            let response = format!("cache-control: {one},{other}\nage: {one}\nexpires: {other}\ndate: {one}");
            let request = format!("cache-control: {other}={one}");
            if let Ok(terms) = assessed(200, &request, &response, &CacheRules::default()) {
                judge(&terms, &RequestDirectives::of(&headers(&request)), SystemTime::UNIX_EPOCH);
            }
        }
    }
}
