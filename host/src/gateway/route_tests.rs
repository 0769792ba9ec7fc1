//! Tables of requests and the routes that they reach.

use super::*;

/// Routes as `METHODS host path`, where `-` is any; each is named by its line, counted from 1.
fn routes(lines: &[&str]) -> Result<Routes, RouteError> {
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
                target: Target::Service("order".parse().unwrap()),
                time: None,
                body_bytes_max: None,
                cache: None,
                line: index + 1,
            }
        })
        .collect();
    Routes::new(&config)
}

/// What a request reaches: the line of the route, or the status of the refusal.
fn reach(routes: &Routes, request: &str) -> String {
    let words: Vec<&str> = request.split(' ').collect();
    let method: Method = words[0].parse().unwrap();
    match routes.find(Some(words[1]), &method, words[2]) {
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
    match routes.find(None, &Method::PUT, "/orders") {
        Err(Refusal::Method { allow }) => assert_eq!(allow, "GET, HEAD, POST"),
        other => panic!("{other:?}"),
    }
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
    assert!(routes(&["GET - /a", "- - /a"]).is_ok());
    for pattern in ["a", "/{*rest}/x", "/a{b}", "/{}", "/{*a}{b}", "/a/../b"] {
        assert!(error(&[&format!("- - {pattern}")]).contains("is no pattern"), "{pattern}");
    }
}
