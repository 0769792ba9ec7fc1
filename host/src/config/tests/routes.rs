//! The parts of routes as they are written and what they mean.

use http::{HeaderName, HeaderValue, StatusCode};

use super::*;

const HEAD: &str =
    "[gateway]\nlisten = \"[::1]:0\"\n[admin]\nlisten = \"[::1]:0\"\n[services.a]\n[services.b]\n";

/// The only route of a file with two services `a` and `b`.
fn route(text: &str) -> RouteConfig {
    let folder = Folder::new();
    fs::write(folder.0.join("site/index.html"), "").unwrap();
    let config = folder.parse(&format!("{HEAD}[[routes]]\n{text}\n"));
    let config = config.unwrap_or_else(|error| panic!("{text}\n{error}"));
    config.routes.into_iter().next().unwrap()
}

#[test]
fn conditions_are_read_as_they_are_written() {
    let route = route(
        "path = \"/\"\nservice = \"a\"\nheaders = { X-Version = \"2\", x-any = \"*\" }\nquery = { beta = \"1\" }",
    );
    let headers = [("x-version", Some("2")), ("x-any", None)];
    let headers = headers.map(|(name, value)| {
        let value = value.map(|value| value.parse::<HeaderValue>().unwrap());
        (name.parse::<HeaderName>().unwrap(), value)
    });
    assert_eq!(route.conditions.headers, headers);
    assert_eq!(route.conditions.query, [("beta".to_owned(), Some("1".to_owned()))]);
}

#[test]
fn a_redirect_is_permanent_unless_it_says_otherwise() {
    let to = |rest: &str| match route(&format!("path = \"/old/{{*rest}}\"\nredirect = {{ {rest} }}")).target {
        Target::Redirect(redirect) => redirect,
        other => panic!("{other:?}"),
    };
    let redirect = to("to = \"https://new.example.com/{rest}\"");
    assert_eq!(redirect.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(redirect.origin.as_deref(), Some("https://new.example.com"));
    assert_eq!(redirect.path.fill("/old/a"), "/a");
    assert_eq!(to("to = \"/x\", status = 302").status, StatusCode::FOUND);
}

#[test]
fn a_split_has_services_weights_and_a_key() {
    let route = route(
        "path = \"/\"\nsplit = [{ service = \"a\", weight = 90 }, { service = \"b\" }]\nsticky = \"cookie:side\"",
    );
    let Target::Split(split) = route.target else { panic!("{route:?}") };
    let shares: Vec<(&str, u32)> =
        split.shares.iter().map(|share| (share.service.as_str(), share.weight)).collect();
    assert_eq!(shares, [("a", 90), ("b", 1)]);
    assert_eq!(split.sticky, Some(Sticky::Cookie("side".into())));
}

#[test]
fn changes_are_read_as_they_are_written() {
    let change =
        |rest: &str| route(&format!("path = \"/api/{{id}}/{{*rest}}\"\nservice = \"a\"\n{rest}")).transform;
    assert_eq!(change("rewrite = { strip-prefix = \"/api\" }").rewrite, Some(Rewrite::Strip { segments: 1 }));
    assert_eq!(
        change("rewrite = { add-prefix = \"/v1\" }").rewrite,
        Some(Rewrite::Add { prefix: "/v1".into() })
    );
    assert_eq!(
        change("rewrite = { replace-prefix = { from = \"/api\", to = \"/v1\" } }").rewrite,
        Some(Rewrite::Replace { segments: 1, prefix: "/v1".into() })
    );
    let Some(Rewrite::Path(template)) = change("rewrite = { path = \"/x/{id}\" }").rewrite else { panic!() };
    assert_eq!(template.fill("/api/7/y"), "/x/7");
    let rules = change("request-headers = { host = \"b:80\", set = { X-A = \"1\" }, remove = [\"X-B\"] }");
    let rules = rules.request_headers.unwrap();
    assert_eq!(rules.remove, ["x-b"]);
    let set: Vec<(&str, &str)> =
        rules.set.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(set, [("x-a", "1"), ("host", "b:80")]);
    assert_eq!(change("response-headers = { }").response_headers, Some(HeaderRules::default()));
    assert_eq!(change(""), Transform::default());
}

#[test]
fn files_have_rules_or_defaults() {
    let files = |rest: &str| match route(&format!("path = \"/{{*rest}}\"\nfiles = {rest}")).target {
        Target::Files(files) => files,
        other => panic!("{other:?}"),
    };
    let plain = files("\"site\"");
    assert_eq!(plain, FilesConfig::from(plain.folder.clone()));
    assert_eq!(plain.cache_control, "no-cache");
    let rules = files(
        "{ folder = \"site\", fallback = \"/index.html\", index = true, immutable = [\"assets/*\"], cache-control = \"max-age=60\" }",
    );
    assert_eq!(rules.fallback.as_deref(), Some("index.html"));
    assert_eq!((rules.lists_folders, rules.immutable.as_slice()), (true, &["assets/*".to_owned()][..]));
    assert_eq!(rules.cache_control, "max-age=60");
}
