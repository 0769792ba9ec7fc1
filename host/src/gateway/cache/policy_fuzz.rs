//! Fuzzing of what may be kept and used: whatever heads say, nothing is kept that must not be, and nothing stale is used
//! that was forbidden.
//!
//! A short random run is part of the unit tests; `cargo bolero test gateway::cache::policy::fuzz::NAME` goes on guided
//! by coverage.

use http::HeaderValue;

use super::*;

/// Fields of requests and responses; some of them malformed.
const FIELDS: [(&str, &str); 40] = [
    ("cache-control", "no-store"),
    ("cache-control", "No-Store, max-age=9"),
    ("cache-control", "no-cache"),
    ("cache-control", "private"),
    ("cache-control", "PRIVATE,max-age=60"),
    ("cache-control", "private=\"x-user, x-name\""),
    ("cache-control", "public"),
    ("cache-control", "must-revalidate"),
    ("cache-control", "proxy-revalidate, max-age=1"),
    ("cache-control", "must-understand, no-store"),
    ("cache-control", "max-age=60"),
    ("cache-control", "max-age=60, max-age=90"),
    ("cache-control", "max-age=99999999999999999999999999"),
    ("cache-control", "max-age=-1"),
    ("cache-control", "max-age=\"60\""),
    ("cache-control", "s-maxage=30"),
    ("cache-control", "s-maxage="),
    ("cache-control", "stale-while-revalidate=10, stale-if-error=10"),
    ("cache-control", "max-stale"),
    ("cache-control", "max-stale=5, min-fresh=4, only-if-cached"),
    ("cache-control", "\"no-store"),
    ("cache-control", ",,;=,\"\\\",\","),
    ("cdn-cache-control", "max-age=10"),
    ("cdn-cache-control", "no-store;x"),
    ("cdn-cache-control", "MAX-AGE=10"),
    ("pragma", "no-cache"),
    ("expires", "0"),
    ("expires", "Tue, 14 Nov 2023 22:18:20 GMT"),
    ("expires", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
    ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("date", "yesterday"),
    ("age", "5"),
    ("age", "18446744073709551615, 5"),
    ("last-modified", "Tue, 14 Nov 2000 22:03:20 GMT"),
    ("etag", "\"a\""),
    ("authorization", "Bearer x"),
    ("cookie", "a=1"),
    ("set-cookie", "a=1"),
    ("content-type", "Text/Event-Stream"),
];

const STATUSES: [u16; 16] = [200, 203, 204, 206, 301, 302, 304, 307, 400, 404, 410, 416, 431, 500, 503, 599];

/// One exchange and one use of what it left, from bytes.
#[derive(Debug, bolero::TypeGenerator)]
struct Case {
    request: Vec<u8>,
    response: Vec<u8>,
    status: u8,
    is_identified: bool,
    delay_seconds: u16,
    later_request: Vec<u8>,
    later_seconds: u32,
    is_before: bool,
}

fn fields(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for byte in bytes.iter().take(8) {
        let (name, value) = FIELDS[usize::from(*byte) % FIELDS.len()];
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

/// Whether one of the fields has this directive, read naively; quotes are only in values that name nothing else.
fn says(headers: &HeaderMap, field: &str, directive: &str) -> bool {
    let texts = headers.get_all(field).iter().filter_map(|value| value.to_str().ok());
    let mut members = texts.filter(|text| !text.contains('"')).flat_map(|text| text.split(','));
    members.any(|member| {
        let name = member.split(['=', ';']).next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case(directive)
    })
}

#[test]
fn nothing_is_kept_or_used_that_must_not_be() {
    let received = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    bolero::check!().with_iterations(200_000).with_type().for_each(|case: &Case| {
        let (request, response) = (fields(&case.request), fields(&case.response));
        let status = STATUSES[usize::from(case.status) % STATUSES.len()];
        let exchange = Exchange {
            request: &request,
            is_identified: case.is_identified,
            status: StatusCode::from_u16(status).unwrap(),
            response: &response,
            sent: received - Duration::from_secs(case.delay_seconds.into()),
            received,
        };
        let Ok(terms) = assess(&exchange, &CacheRules::default()) else { return };
        check_kept(&exchange, &terms);
        let later = Duration::from_secs(case.later_seconds.into());
        let now =
            if case.is_before { received - later.min(Duration::from_secs(1_000)) } else { received + later };
        check_used(&terms, &fields(&case.later_request), now);
    });
}

fn check_kept(exchange: &Exchange<'_>, terms: &Terms) {
    let Exchange { request, response, .. } = *exchange;
    let targeted = response.contains_key("cdn-cache-control");
    let speaks = |directive: &str| says(response, "cache-control", directive);
    assert!(!says(request, "cache-control", "no-store"), "{exchange:?}");
    if !targeted {
        assert!(!speaks("private"), "{exchange:?}");
        assert!(!speaks("no-store") || speaks("must-understand"), "{exchange:?}");
        let is_allowed = speaks("public") || speaks("must-revalidate") || speaks("s-maxage");
        assert!(is_allowed || !is_known(request, exchange.is_identified), "{exchange:?}");
        assert!(!speaks("no-cache") || terms.is_always_validated, "{exchange:?}");
        assert!(!speaks("must-revalidate") || !terms.may_be_stale, "{exchange:?}");
    }
    assert!(!NEVER_KEPT.contains(&exchange.status.as_u16()), "{exchange:?}");
    assert!(!response.contains_key(SET_COOKIE) || terms.unkept.contains(&SET_COOKIE), "{exchange:?}");
    assert!(terms.lifetime <= Duration::from_secs(300 * 365 * 24 * 60 * 60 * 100), "{terms:?}");
}

fn check_used(terms: &Terms, later: &HeaderMap, now: SystemTime) {
    let verdict = judge(terms, &RequestDirectives::of(later), now);
    let is_stale = terms.age(now) >= terms.lifetime;
    if matches!(verdict, Verdict::Use | Verdict::UseAndFetch) {
        assert!(
            !terms.is_always_validated && !says(later, "cache-control", "no-cache"),
            "{terms:?} {later:?}"
        );
    }
    if verdict == Verdict::Use && is_stale {
        assert!(terms.may_be_stale && says(later, "cache-control", "max-stale"), "{terms:?} {later:?}");
    }
    if verdict == Verdict::UseAndFetch {
        assert!(is_stale && !terms.stale_while_revalidate.is_zero(), "{terms:?} {later:?}");
    }
    _ = terms.may_hide_error(&RequestDirectives::of(later), now);
}
