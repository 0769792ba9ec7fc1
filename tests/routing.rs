//! Which route takes a request, and what becomes of it on the way: redirects, rewriting, header rules, splits.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::gateway::{external, raw};
use crate::support::guests::component;
use crate::support::host::Host;

/// Header fields of a request.
type Fields<'f> = &'f [(&'f str, &'f str)];

/// Requests by which a split shows its weights.
const REQUESTS: u32 = 400;

/// A client that follows no redirect and keeps no cookie.
fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none());
    client.timeout(Duration::from_secs(60)).build().unwrap()
}

async fn send(host: &Host, method: Method, path: &str, fields: &[(&str, &str)]) -> Response {
    let mut request = client().request(method, format!("{}{path}", host.gateway()));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn field<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_route_with_the_most_conditions_wins() {
    let route = |rest: &str, name: &str| {
        format!("[[routes]]\n{rest}\nredirect = {{ to = \"/{name}\", status = 307 }}\n")
    };
    let host = Host::start(
        &[
            route("path = \"/x/{*rest}\"", "plain"),
            route("path = \"/x/{*rest}\"\nheaders = { x-version = \"2\" }", "second"),
            route("path = \"/x/{*rest}\"\nheaders = { x-version = \"*\" }", "any"),
            route("path = \"/x/{*rest}\"\nheaders = { x-version = \"2\" }\nquery = { beta = \"1\" }", "beta"),
            route("path = \"/x/{*rest}\"\nmethods = [\"PUT\"]", "put"),
            route("path = \"/only\"\nheaders = { x-key = \"*\" }\nmethods = [\"GET\"]", "only"),
            route("path = \"/{*rest}\"", "rest"),
        ]
        .concat(),
    )
    .await;
    let cases: &[(Method, &str, Fields, &str)] = &[
        (Method::GET, "/x", &[], "/plain"),
        (Method::GET, "/x/y", &[("x-version", "1")], "/any"),
        (Method::GET, "/x/y", &[("x-version", "2")], "/second"),
        (Method::GET, "/x/y", &[("x-version", "2"), ("x-version", "3")], "/any"),
        (Method::GET, "/x/y?a&beta=1", &[("x-version", "2")], "/beta?a&beta=1"),
        (Method::GET, "/x/y?beta=1", &[], "/plain?beta=1"),
        (Method::PUT, "/x/y", &[("x-version", "2")], "/put"),
        (Method::GET, "/only", &[("x-key", "a")], "/only"),
        (Method::GET, "/only", &[], "404"),
        (Method::POST, "/only", &[("x-key", "a")], "405"),
        (Method::GET, "/other", &[], "/rest"),
    ];
    for (method, path, fields, expected) in cases {
        let response = send(&host, method.clone(), path, fields).await;
        let status = response.status().as_u16();
        let seen = if status == 307 { field(&response, "location").to_owned() } else { status.to_string() };
        assert_eq!(seen, *expected, "{method} {path} {fields:?}");
    }
    let routes = host.run_json(&["routes"]);
    assert_eq!(routes[3]["headers"], json!({ "x-version": "2" }), "{routes}");
    assert_eq!((&routes[3]["query"], &routes[3]["redirect"]), (&json!({ "beta": "1" }), &json!("/beta")));
    let (_, table, _) = host.run(&["routes"]);
    assert!(table.contains("x-version: 2 ?beta=1") && table.contains("redirect to /beta"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_keep_parameters_and_query_and_stay_on_their_host() {
    let host = Host::start(
        "[[routes]]\npath = \"/old/{*rest}\"\nredirect = { to = \"https://new.example.com/{rest}\" }\n\
         [[routes]]\npath = \"/items/{id}\"\nredirect = { to = \"/things/{id}/?from=items\", status = 301 }\n\
         [[routes]]\npath = \"/bare/{*rest}\"\nredirect = { to = \"/{rest}\", status = 302 }\n\
         response-headers = { set = { cache-control = \"no-store\" } }\n",
    )
    .await;
    for (target, status, location) in [
        ("/old/a/b?x=1", "308", "https://new.example.com/a/b?x=1"),
        ("/old", "308", "https://new.example.com/"),
        ("/items/7", "301", "/things/7/?from=items"),
        ("/items/7?y", "301", "/things/7/?from=items&y"),
        ("/items/%61%20", "301", "/things/a%20/?from=items"),
        ("/bare/evil.example", "302", "/evil.example"),
        ("/bare//evil.example", "400", ""),
        ("/bare/%2fevil.example", "400", ""),
        ("/bare/%5cevil.example", "400", ""),
        ("/bare/..//evil.example", "400", ""),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = raw(&host, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
        let line = answer.lines().find_map(|line| line.strip_prefix("location: "));
        assert_eq!(line.unwrap_or_default(), location, "{target}");
    }
    let response = send(&host, Method::POST, "/bare/x", &[]).await;
    assert_eq!((response.status().as_u16(), field(&response, "cache-control")), (302, "no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_sees_the_rewritten_path() {
    let (address, _server) = external().await;
    let route = |path: &str, rewrite: &str| {
        format!("[[routes]]\npath = \"{path}\"\nservice = \"billing\"\nrewrite = {{ {rewrite} }}\n")
    };
    let host = Host::start(
        &[
            format!("[services.billing]\nupstreams = [\"http://{address}\"]\n"),
            route("/api/{*rest}", "strip-prefix = \"/api\""),
            route("/add/{*rest}", "add-prefix = \"/v1\""),
            route("/from/{*rest}", "replace-prefix = { from = \"/from\", to = \"/to/it\" }"),
            route("/orders/{id}/{*rest}", "path = \"/x/{id}/{rest}\""),
        ]
        .concat(),
    )
    .await;
    for (path, seen, prefix) in [
        ("/api/orders/7?x=%2F&y", "/orders/7?x=%2F&y", json!("/api")),
        ("/api", "/", json!("/api")),
        ("/%61pi/a%20b/", "/a%20b/", json!("/api")),
        ("/add/x", "/v1/add/x", Value::Null),
        ("/from/x/", "/to/it/x/", Value::Null),
        ("/from", "/to/it", Value::Null),
        ("/orders/7/lines/2", "/x/7/lines/2", Value::Null),
    ] {
        let request = host.client().request(Method::GET, path).header("x-forwarded-prefix", "/forged");
        let answer = host.client().send(request).await;
        assert_eq!((answer.status, &answer.body["target"]), (200, &json!(seen)), "{path}");
        assert_eq!(answer.body["headers"]["x-forwarded-prefix"], prefix, "{path}");
    }
    for target in ["/api//x", "/api//"] {
        let answer =
            raw(&host, &format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("ambiguous-path"),
            "{target}: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_set_added_and_removed() {
    let (address, _server) = external().await;
    let host = Host::start(&format!(
        "[services.billing]\nupstreams = [\"http://{address}\"]\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"billing\"\n\
         request-headers = {{ host = \"billing.example\", set = {{ x-set = \"ours\" }}, add = {{ x-added = \"1\" }}, \
         remove = [\"x-internal\", \"cookie\"] }}\n\
         response-headers = {{ set = {{ x-frame-options = \"DENY\" }}, add = {{ vary = \"x-set\" }}, remove = [\"date\"] }}\n"
    ))
    .await;
    let fields = [("x-set", "theirs"), ("x-internal", "1"), ("cookie", "a=b"), ("x-kept", "1")];
    let response = send(&host, Method::GET, "/", &fields).await;
    assert_eq!((field(&response, "x-frame-options"), field(&response, "vary")), ("DENY", "x-set"));
    let seen: Value = response.json().await.unwrap();
    let headers = &seen["headers"];
    for (name, value) in [
        ("host", json!("billing.example")),
        ("x-set", json!("ours")),
        ("x-added", json!("1")),
        ("x-internal", Value::Null),
        ("cookie", Value::Null),
        ("x-kept", json!("1")),
    ] {
        assert_eq!(headers[name], value, "{name}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_follows_its_weights_and_keeps_a_client() {
    let probe = component("probe").display().to_string();
    let service = |name: &str| {
        format!(
            "[services.{name}]\ncomponent = \"{probe}\"\nbuild = \"true\"\ndatabase = \"embedded\"\npublishes = [\"probe.*\"]\nbuckets = [\"probe\"]\n"
        )
    };
    let route = |path: &str, sticky: &str| {
        format!(
            "[[routes]]\npath = \"{path}/{{*rest}}\"\n{sticky}\n\
             split = [{{ service = \"now\", weight = 75 }}, {{ service = \"next\", weight = 25 }}]\n"
        )
    };
    let host = Host::start(
        &[
            service("now"),
            service("next"),
            route("/free", ""),
            route("/cookie", "sticky = \"cookie:side\""),
            route("/header", "sticky = \"header:x-user\""),
            route("/address", "sticky = \"address\""),
        ]
        .concat(),
    )
    .await;
    let mut served: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..REQUESTS {
        let answer = host.client().get("/free/ok").await;
        *served.entry(answer.body["service"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    // Four standard deviations on either side of a quarter.
    let next = f64::from(served["next"]) / f64::from(REQUESTS);
    assert!((0.16..0.34).contains(&next) && served.len() == 2, "{served:?}");
    let ask = async |path: &str, name: &str, value: &str| {
        let response = send(&host, Method::GET, path, &[(name, value)]).await;
        let cookie = field(&response, "set-cookie").to_owned();
        let body: Value = response.json().await.unwrap();
        (body["service"].as_str().unwrap().to_owned(), cookie)
    };
    for client in 0..20 {
        let (first, cookie) = ask("/cookie/ok", "x-other", "1").await;
        assert!(
            cookie.starts_with("side=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
            "{cookie}"
        );
        let sent = cookie.split(';').next().unwrap();
        let user = format!("user-{client}");
        let (by_header, none) = ask("/header/ok", "x-user", &user).await;
        assert_eq!(none, "");
        let (by_address, _) = ask("/address/ok", "x-user", &user).await;
        for _ in 0..3 {
            assert_eq!(ask("/cookie/ok", "cookie", sent).await, (first.clone(), String::new()), "{sent}");
            assert_eq!(ask("/header/ok", "x-user", &user).await.0, by_header, "{user}");
            assert_eq!(ask("/address/ok", "x-user", "1").await.0, by_address);
        }
    }
    let metrics = host.admin().get("/metrics").await.body;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("service=\"now\"") && metrics.contains("service=\"next\""), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_limits_of_its_own() {
    let probe = component("probe").display().to_string();
    let host = Host::start(&format!(
        "[services.probe]\ncomponent = \"{probe}\"\nbuild = \"true\"\ndatabase = \"embedded\"\npublishes = [\"probe.*\"]\nbuckets = [\"probe\"]\n\
         [[routes]]\npath = \"/short/{{*rest}}\"\nservice = \"probe\"\ntime = \"400ms\"\nbody = \"8B\"\n\
         [[routes]]\npath = \"/long/{{*rest}}\"\nservice = \"probe\"\n"
    ))
    .await;
    assert_eq!(host.client().get("/long/slow?ms=800").await.status, 200);
    assert_eq!(host.client().get("/short/slow?ms=60000").await.status, 504);
    for (path, status) in [("/short/echo", 413), ("/long/echo", 200)] {
        let request = host.client().request(Method::POST, path).body("nine byte");
        assert_eq!(host.client().send(request).await.status, status, "{path}");
    }
    let request = host.client().request(Method::POST, "/short/echo").body("eight by");
    assert_eq!(host.client().send(request).await.status, 200);
}
