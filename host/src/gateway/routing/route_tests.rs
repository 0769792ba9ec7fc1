//! Tables of requests and the routes that they reach.

use http::{HeaderMap, HeaderName};

use super::*;
use crate::config::Policies;

/// Routes as `METHODS host path`, where `-` is any, and perhaps conditions: `name=value` on the header, `?name=value`
/// on the query. Each is named by its line, counted from 1.
pub fn routes(lines: &[&str]) -> Result<Routes, RouteError> {
    let config: Vec<RouteConfig> = lines
        .iter()
        .enumerate()
        .map(|(index, line)| {
            let words: Vec<&str> = line.split(' ').collect();
            let methods = words[0].split(',').filter(|word| *word != "-");
            RouteConfig {
                host: Some(words[1]).filter(|word| *word != "-").map(String::from),
                path: words[2].into(),
                methods: methods.map(|word| word.parse().unwrap()).collect(),
                conditions: conditions(&words[3..]),
                target: Target::Service("order".parse().unwrap()),
                transform: Transform::default(),
                time: None,
                body_bytes_max: None,
                policies: Policies::default(),
                retry: None,
                auth: None,
                cache: None,
                line: index + 1,
            }
        })
        .collect();
    Routes::new(&config, &RateLimiters::default(), &Arc::default())
}

fn conditions(words: &[&str]) -> Conditions {
    let mut conditions = Conditions::default();
    for word in words {
        let (name, value) = word.split_once('=').unwrap();
        let exact = (value != "*").then_some(value);
        match name.strip_prefix('?') {
            Some(name) => conditions.query.push((name.into(), exact.map(String::from))),
            None => conditions.headers.push((name.parse().unwrap(), exact.map(|text| text.parse().unwrap()))),
        }
    }
    conditions
}

/// What a request reaches: the line of the route, or the status of the refusal.
fn reach(routes: &Routes, request: &str) -> String {
    let words: Vec<&str> = request.split(' ').collect();
    let method: Method = words[0].parse().unwrap();
    let (path, query) = words[2].split_once('?').unwrap_or((words[2], ""));
    let mut headers = HeaderMap::new();
    for field in &words[3..] {
        let (name, value) = field.split_once('=').unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    match routes.find(
        Some(words[1]),
        &method,
        path,
        Facts { headers: &headers, query: Some(query), is_promise: false },
    ) {
        Ok(found) => found.route.line.to_string(),
        Err(refusal) => refusal.status().as_u16().to_string(),
    }
}

fn check(lines: &[&str], cases: &[(&str, &str)]) {
    let routes = routes(lines).unwrap();
    for (request, expected) in cases {
        assert_eq!(reach(&routes, request), *expected, "{request}");
    }
}

#[test]
fn the_most_specific_path_wins() {
    check(
        &["- - /{*rest}", "- - /api/{*rest}", "- - /api/orders", "- - /api/orders/{id}", "- - /api/{any}/7"],
        &[
            ("GET a /", "1"),
            ("GET a /index.html", "1"),
            ("GET a /apis", "1"),
            ("GET a /api", "2"),
            ("GET a /api/", "2"),
            ("GET a /api/x/y", "2"),
            ("GET a /api/orders", "3"),
            ("GET a /api/orders/", "2"),
            ("GET a /api/orders/8", "4"),
            ("GET a /api/orders/8/lines", "2"),
            ("GET a /api/customers/7", "5"),
            ("GET a /api/orders/7", "4"),
            ("GET a /API/orders", "1"),
        ],
    );
}

#[test]
fn an_exact_host_goes_before_a_wildcard_before_any() {
    check(
        &["- - /{*rest}", "- *.example.com /", "- *.eu.example.com /", "- shop.example.com /", "GET b /x"],
        &[
            ("GET shop.example.com /", "4"),
            ("GET SHOP.example.com.:8080 /", "4"),
            ("GET api.example.com /", "2"),
            ("GET a.eu.example.com /", "3"),
            ("GET example.com /", "1"),
            ("GET evilexample.com /", "1"),
            ("GET shop.example.com /other", "1"),
            ("POST b /x", "405"),
        ],
    );
}

#[test]
fn the_method_is_looked_at_last() {
    check(
        &["GET - /orders", "POST - /orders", "- - /orders/{id}", "DELETE - /orders/{id}"],
        &[
            ("GET a /orders", "1"),
            ("HEAD a /orders", "1"),
            ("POST a /orders", "2"),
            ("PUT a /orders", "405"),
            ("DELETE a /orders/7", "4"),
            ("PATCH a /orders/7", "3"),
            ("GET a /", "404"),
            ("GET a /orders/7/lines", "404"),
        ],
    );
    let routes = routes(&["GET - /orders", "POST - /orders"]).unwrap();
    let headers = HeaderMap::new();
    match routes.find(
        None,
        &Method::PUT,
        "/orders",
        Facts { headers: &headers, query: None, is_promise: false },
    ) {
        Err(Refusal::Method { allow }) => assert_eq!(allow, "GET, HEAD, POST"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn among_the_routes_of_a_path_the_method_goes_before_the_most_conditions() {
    check(
        &[
            "- - /x/{*rest}",
            "- - /x/{*rest} x-version=2",
            "- - /x/{*rest} x-version=*",
            "- - /x/{*rest} x-version=2 ?beta=1",
            "GET - /x/{*rest}",
            "GET - /x/{*rest} x-version=2",
            "POST - /only",
            "- - /only x-a=1",
            "- - /only/{id} ?beta=*",
            "- - /{*rest}",
        ],
        &[
            ("PUT a /x", "1"),
            ("PUT a /x/y x-version=1", "3"),
            ("PUT a /x x-version=2", "2"),
            ("PUT a /x?beta=1 x-version=2", "4"),
            ("PUT a /x?beta=2 x-version=2", "2"),
            ("GET a /x?beta=1", "5"),
            ("GET a /x?beta=1 x-version=2", "6"),
            ("HEAD a /x x-version=2", "6"),
            ("PUT a /x//y x-version=2", "2"),
            // The path is decided first: what its routes refuse reaches no other path's.
            ("GET a /only", "405"),
            ("GET a /only x-a=1", "8"),
            ("GET a /only/7", "404"),
            ("GET a /only/7?beta", "9"),
            ("GET a /other?beta", "10"),
        ],
    );
}

#[test]
fn many_routes_are_found_as_few_are() {
    let lines: Vec<String> = (0..2_000)
        .flat_map(|index| {
            [
                format!("- *.h{index}.example /"),
                format!("- - /a/s{index}/{{id}}"),
                format!("- h{index}.example /"),
            ]
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    check(
        &lines,
        &[
            ("GET x.h7.example /", "22"),
            ("GET a /a/s7/1", "23"),
            ("GET h7.example /", "24"),
            ("GET .h7.example /", "404"),
        ],
    );
}

#[test]
fn no_spelling_reaches_another_route() {
    check(
        &["- - /{*rest}", "- - /admin/{*rest}", "- - /public/{*rest}"],
        &[
            ("GET a /admin/x", "2"),
            ("GET a /%61dmin/x", "2"),
            ("GET a /adm%69n", "2"),
            ("GET a //admin/x", "400"),
            ("GET a /public/../admin/x", "400"),
            ("GET a /public/%2e%2e/admin/x", "400"),
            ("GET a /public/..;/admin", "400"),
            ("GET a /./admin", "400"),
            ("GET a /admin%2fx", "400"),
            ("GET a /public%5c..%5cadmin", "400"),
            ("GET a /admin%00", "400"),
            ("GET a /admin;x/y", "400"),
            ("GET a /admin%3bx", "400"),
            ("GET a /;x/admin", "400"),
            ("GET a /admin//x", "2"),
            ("GET a /admin/x;version=2", "2"),
            ("GET a /public//..//admin", "400"),
        ],
    );
}

#[test]
fn equal_routes_and_bad_patterns_are_refused() {
    let error = |lines: &[&str]| routes(lines).unwrap_err().to_string();
    assert!(error(&["- - /a/{x}", "- - /a/{y}"]).contains("line 2 matches what that of line 1"));
    assert!(error(&["GET,POST - /a", "POST - /%61"]).contains("line 1"));
    assert!(error(&["- A /a", "- a /a"]).contains("line 1"));
    assert!(error(&["- - /a x=1", "- - /a y=1"]).contains("line 1"));
    assert!(routes(&["GET - /a", "- - /a"]).is_ok());
    assert!(routes(&["- - /a x=1", "- - /a x=2", "- - /a x=*", "- - /a x=1 y=1", "- - /a"]).is_ok());
    for pattern in ["a", "/{*rest}/x", "/a{b}", "/{}", "/{*a}{b}", "/a/../b"] {
        assert!(error(&[&format!("- - {pattern}")]).contains("is no pattern"), "{pattern}");
    }
}
