//! Who may use a route, from outside: tokens of an issuer and of a real OpenID provider, API keys, what services see.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::guests::{component, repository};
use crate::support::host::Host;
use crate::support::issuer::{Issuer, SigningKey};

/// Long enough for a slow machine, and for keys that may be asked for once in 30 s.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often an issuer may be asked for its keys.
const FETCH_INTERVAL: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_what_its_scopes_roles_and_claims_allow() {
    let (issuer, host, key) = start("").await;
    let token = |more: Value| issuer.token(&key, &more);
    until(&host, "/known/caller", &token(json!({})), 200).await;
    let scoped = token(json!({ "scope": "stock orders" }));
    let role = token(json!({ "roles": ["admin"], "tenant": ["x", "b"] }));
    for (path, token, status) in [
        ("/open/caller", "", 200),
        ("/open/caller", "nonsense", 200),
        ("/known/caller", "", 401),
        ("/known/caller", "nonsense", 401),
        ("/known/caller", &scoped, 200),
        ("/scoped/caller", &scoped, 200),
        ("/scoped/caller", &role, 403),
        ("/ruled/caller", &role, 200),
        ("/ruled/caller", &scoped, 403),
        ("/keys/caller", &scoped, 401),
        ("/certificate/caller", &scoped, 403),
        ("/nothing", "", 404),
    ] {
        assert_eq!(get(&host, path, token).await.status(), status, "{path} {token}");
    }
    let expired = token(json!({ "exp": 1_000_000_000 }));
    let other = token(json!({ "aud": "other" }));
    let foreign = issuer.token(&SigningKey::new("one"), &json!({}));
    for wrong in [&expired, &other, &foreign] {
        let refused = get(&host, "/known/caller", wrong).await;
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\", error_description=\""), "{challenge}");
        assert_eq!(refused.status(), 401);
    }
    let missing = get(&host, "/known/caller", "").await;
    assert_eq!(missing.headers()["www-authenticate"], "Bearer");
    let problem: Value = missing.json().await.unwrap();
    assert_eq!(problem["type"], "urn:hostel:problem:unauthenticated", "{problem}");
    let lacking = get(&host, "/scoped/caller", &role).await;
    let challenge = &lacking.headers()["www-authenticate"];
    assert_eq!(challenge, "Bearer error=\"insufficient_scope\", scope=\"orders\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_path_is_judged_as_the_route_that_answers() {
    let (issuer, host, key) = start("").await;
    until(&host, "/known/caller", &issuer.token(&key, &json!({})), 200).await;
    for path in [
        "/known/caller",
        "//known/caller",
        "/%6bnown/caller",
        "/%6Bnown/caller",
        "/open/../known/caller",
        "/open/%2e%2e/known/caller",
        "/open/..%2fknown/caller",
        "/known;x/caller",
        "/known/./caller",
        "/known%2fcaller",
        "/KNOWN/caller",
        "/open/..;/known/caller",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = crate::gateway::raw(&host, &request).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "401", "404"].contains(&status), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_see_a_caller_that_nobody_can_forge() {
    let (issuer, host, key) = start("").await;
    let claims = json!({ "sub": "zoë", "scope": "orders stock", "name": "Zoë", "groups": ["a"] });
    let token = issuer.token(&key, &claims);
    until(&host, "/known/caller", &token, 200).await;
    for path in ["/known/caller", "/open/caller"] {
        let request = host.client().request(Method::GET, path).bearer_auth(&token);
        let request = request
            .header("hostel-subject", "admin")
            .header("hostel-scopes", "all")
            .header("hostel-claims", "{\"sub\":\"admin\"}")
            .header("hostel_subject", "admin");
        let seen: Value = request.send().await.unwrap().json().await.unwrap();
        if path == "/open/caller" {
            // Nobody was asked there, so nobody is known; what was sent is the service's to judge.
            assert_eq!(seen["subject"], Value::Null, "{seen}");
            assert_eq!((&seen["claims"], &seen["scopes"]), (&Value::Null, &json!([])), "{seen}");
        } else {
            assert_eq!(
                (&seen["subject"], &seen["scopes"]),
                (&json!("zoë"), &json!(["orders", "stock"])),
                "{seen}"
            );
            assert_eq!(
                (&seen["claims"]["name"], &seen["claims"]["groups"]),
                (&json!("Zoë"), &json!(["a"])),
                "{seen}"
            );
        }
        assert_eq!(
            seen["authorization"],
            json!(format!("Bearer {token}")),
            "a component sees the token: {seen}"
        );
    }
    let hidden = get(&host, "/hidden/caller", &token).await.json::<Value>().await.unwrap();
    assert_eq!((&hidden["subject"], &hidden["authorization"]), (&json!("zoë"), &Value::Null), "{hidden}");
    host.logged("u{eb}").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_service_learns_who_asks_but_not_what_was_shown() {
    let (address, _server) = crate::gateway::external().await;
    let key = SigningKey::new("one");
    let issuer = Issuer::start(&[&key]).await;
    let route = |name: &str, auth: &str| {
        format!("[[routes]]\npath = \"/{name}/{{*rest}}\"\nservice = \"billing\"\nauth = {auth}\n")
    };
    let upstream = format!("[services.billing]\nupstreams = [\"http://{address}\"]\n");
    let told = route("told", "{ forward-authorization = true }");
    let host = Host::start(&[route("quiet", "true"), told, upstream, issuer.config()].concat()).await;
    let token = issuer.token(&key, &json!({ "scope": "orders" }));
    until(&host, "/quiet/1", &token, 200).await;
    for (path, shown) in [("/quiet/1", Value::Null), ("/told/1", json!(format!("Bearer {token}")))] {
        let seen: Value = get(&host, path, &token).await.json().await.unwrap();
        let headers = &seen["headers"];
        assert_eq!(
            (&headers["authorization"], &headers["hostel-subject"]),
            (&shown, &json!("ada")),
            "{seen}"
        );
        assert_eq!(headers["hostel-scopes"], "orders", "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_asked_for_once_and_a_new_one_found() {
    let (issuer, host, old) = start("").await;
    let good = issuer.token(&old, &json!({}));
    until(&host, "/known/caller", &good, 200).await;
    let began = Instant::now();
    // The interval may have been used before.
    let allowed = || 2 + u32::try_from(began.elapsed().as_secs() / FETCH_INTERVAL.as_secs()).unwrap();
    let flood: Vec<String> =
        (0..200).map(|number| issuer.token(&SigningKey::new(&number.to_string()), &json!({}))).collect();
    let answers = flood.iter().map(|token| get(&host, "/known/caller", token));
    for answer in futures::future::join_all(answers).await {
        assert_eq!(answer.status(), 401);
    }
    assert!(issuer.fetches() <= allowed(), "{} fetches", issuer.fetches());
    assert_eq!(get(&host, "/known/caller", &good).await.status(), 200);
    let new = SigningKey::new("new");
    issuer.show(&[&new]);
    until(&host, "/known/caller", &issuer.token(&new, &json!({})), 200).await;
    assert!(issuer.fetches() <= allowed(), "{} fetches", issuer.fetches());
    assert_eq!(
        get(&host, "/known/caller", &good).await.status(),
        401,
        "a key that was withdrawn counts no more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_shows_no_key_any_more_has_withdrawn_them_all() {
    let (issuer, host, key) = start("").await;
    let (good, later) = (issuer.token(&key, &json!({})), issuer.token(&key, &json!({ "sub": "eve" })));
    until(&host, "/known/caller", &good, 200).await;
    issuer.show(&[]);
    // A token of an unknown key lets the gateway ask.
    let unknown = issuer.token(&SigningKey::new("two"), &json!({}));
    let deadline = Instant::now() + PATIENCE;
    while get(&host, "/known/caller", &good).await.status() != 401 {
        assert!(Instant::now() < deadline, "the withdrawn key counts still: {}", host.log());
        assert_eq!(get(&host, "/known/caller", &unknown).await.status(), 401);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(get(&host, "/known/caller", &later).await.status(), 401);
    host.logged("shows no key that checks a signature").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_stops_nobody_whose_key_is_known() {
    let key = SigningKey::new("one");
    let issuer = Issuer::start(&[&key]).await;
    issuer.set_away(true);
    let host = Host::start(&config(&issuer, "")).await;
    let waiting = get(&host, "/known/caller", &issuer.token(&key, &json!({}))).await;
    assert_eq!(waiting.status(), 503);
    assert!(waiting.headers().contains_key("retry-after"));
    issuer.set_away(false);
    until(&host, "/known/caller", &issuer.token(&key, &json!({})), 200).await;
    issuer.set_away(true);
    let other = issuer.token(&key, &json!({ "sub": "eve" }));
    assert_eq!(get(&host, "/known/caller", &other).await.status(), 200, "keys stay in use");
    let unknown = issuer.token(&SigningKey::new("two"), &json!({}));
    assert_eq!(get(&host, "/known/caller", &unknown).await.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn api_keys_are_made_listed_and_revoked_by_the_command() {
    let (_issuer, mut host, _) = start("").await;
    let made = host.run_json(&["keys", "add", "partner", "--scope", "orders", "--expires", "30d"]);
    let text = made["key"].as_str().unwrap().to_owned();
    let id = made["details"]["id"].as_str().unwrap().to_owned();
    assert!(text.starts_with(&format!("hk_{id}_")), "{made}");
    for path in ["/keys/caller", "/scoped/caller"] {
        let seen: Value = get(&host, path, &text).await.json().await.unwrap();
        assert_eq!(
            (&seen["subject"], &seen["scopes"]),
            (&json!("partner"), &json!(["orders"])),
            "{path}: {seen}"
        );
        assert_eq!(
            (&seen["authorization"], &seen["key"]),
            (&Value::Null, &Value::Null),
            "it goes no further: {seen}"
        );
        assert_eq!(seen["claims"]["key"], json!(id), "{seen}");
    }
    let named = host.client().request(Method::GET, "/keys/caller").header("x-api-key", &text);
    assert_eq!(host.client().send(named).await.status, 200);
    let twice =
        host.client().request(Method::GET, "/keys/caller").header("x-api-key", &text).bearer_auth(&text);
    assert_eq!(host.client().send(twice).await.status, 400);
    assert_eq!(get(&host, "/ruled/caller", &text).await.status(), 403);
    let listed = host.run_json(&["keys", "list"]);
    assert_eq!((&listed[0]["id"], &listed[0]["name"]), (&json!(id), &json!("partner")), "{listed}");
    let shown = host.run(&["keys", "list"]).1;
    assert!(shown.contains("partner") && !shown.contains(&text), "{shown}");
    assert!(!host.log().contains(&text), "no key stands in the log");
    host.terminate().await;
    host.launch().await;
    assert_eq!(get(&host, "/keys/caller", &text).await.status(), 200, "a key outlives the host");
    host.run_json(&["keys", "revoke", &id]);
    let refused = get(&host, "/keys/caller", &text).await;
    assert_eq!(refused.status(), 401);
    assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    let (code, _, errors) = host.run(&["keys", "revoke", &id]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("hostel keys list"), "{errors}");
    let short = host.run_json(&["keys", "add", "guest", "--expires", "1s"]);
    let short = short["key"].as_str().unwrap();
    until(&host, "/keys/caller", short, 401).await;
    assert_eq!(host.run(&["keys", "add", "x", "--scope", "a b"]).0, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_reaches_no_component_where_nobody_looks_at_it() {
    let (issuer, host, key) = start("auth = { ways = [\"token\"] }").await;
    let token = issuer.token(&key, &json!({}));
    until(&host, "/added/caller", &token, 200).await;
    let request = host.client().request(Method::GET, "/added/caller").bearer_auth(&token);
    let seen: Value = request.header("x-api-key", "hk_a_b").send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&seen["authorization"], &seen["key"]),
        (&json!(format!("Bearer {token}")), &Value::Null),
        "{seen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_keys_and_takes_new_rules() {
    let (issuer, host, key) = start("").await;
    let token = issuer.token(&key, &json!({ "scope": "orders" }));
    until(&host, "/known/caller", &token, 200).await;
    let fetches = issuer.fetches();
    host.write_config(&config(&issuer, "auth = { scopes = [\"stock\"] }"));
    until(&host, "/added/caller", &token, 403).await;
    assert_eq!(get(&host, "/known/caller", &token).await.status(), 200);
    assert!(issuer.fetches() <= fetches + 1, "the same issuer is not asked anew");
    let (code, _, errors) = {
        host.write_config(&config(&issuer, "auth = { issuers = [\"mian\"] }"));
        host.run(&["check"])
    };
    assert_eq!(code, Some(1));
    assert!(errors.contains("did you mean `main`?"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_real_openid_provider_count() {
    let provider = Provider::start();
    let config = format!(
        "{}\n[issuers.main]\nissuer = \"{}\"\naudience = [\"urn:shop\"]\n",
        routes(""),
        provider.issuer
    );
    let host = Host::start(&config).await;
    let orders = provider.token("orders").await;
    until(&host, "/scoped/caller", &orders, 200).await;
    let seen: Value = get(&host, "/scoped/caller", &orders).await.json().await.unwrap();
    assert_eq!((&seen["subject"], &seen["scopes"]), (&json!("warehouse"), &json!(["orders"])), "{seen}");
    assert_eq!(get(&host, "/scoped/caller", &provider.token("stock").await).await.status(), 403);
    let mut forged = orders.clone();
    forged.replace_range(
        forged.len() - 8..forged.len() - 7,
        if forged.as_bytes()[forged.len() - 8] == b'A' { "B" } else { "A" },
    );
    assert_eq!(get(&host, "/scoped/caller", &forged).await.status(), 401);
}

/// The npm package `oidc-provider`, run by node.
struct Provider {
    issuer: String,
    process: Child,
}

impl Provider {
    fn start() -> Self {
        let folder = repository().join("tests/oidc");
        let mut node = Command::new("node");
        node.arg("provider.mjs").current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = node.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let issuer = line.trim().to_owned();
        assert!(issuer.starts_with("http://"), "the provider did not start: npm ci --prefix tests/oidc");
        Self { issuer, process }
    }

    /// An access token for the shop, by client credentials.
    async fn token(&self, scope: &str) -> String {
        let form = format!(
            "grant_type=client_credentials&client_id=warehouse&client_secret=secret&resource=urn:shop&scope={scope}"
        );
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}/token", self.issuer)).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An issuer with one key, and a host that trusts it; `added` is what the route `/added` says beside its service.
async fn start(added: &str) -> (Issuer, Host, SigningKey) {
    let key = SigningKey::new("one");
    let issuer = Issuer::start(&[&key]).await;
    let host = Host::start(&config(&issuer, added)).await;
    (issuer, host, key)
}

fn config(issuer: &Issuer, added: &str) -> String {
    format!("{}\n{}", routes(added), issuer.config())
}

fn routes(added: &str) -> String {
    let rules = [
        ("open", ""),
        ("known", "auth = true"),
        ("scoped", "auth = { scopes = [\"orders\"] }"),
        ("ruled", "auth = { roles = [\"clerk\", \"admin\"], claims = { tenant = [\"a\", \"b\"] } }"),
        ("keys", "auth = { ways = [\"key\"] }"),
        ("certificate", "auth = { ways = [\"certificate\"] }"),
        ("hidden", "auth = { forward-authorization = false }"),
        ("added", added),
    ];
    let routes = rules.map(|(name, rule)| {
        format!("[[routes]]\npath = \"/{name}/{{*rest}}\"\nservice = \"probe\"\n{rule}\n")
    });
    let probe = component("probe").display().to_string();
    let grants = "database = \"embedded\"\npublishes = [\"probe.*\"]\nbuckets = [\"probe\"]\n";
    format!("{}[services.probe]\ncomponent = \"{probe}\"\n{grants}", routes.concat())
}

async fn get(host: &Host, path: &str, token: &str) -> Response {
    let request = host.client().request(Method::GET, path);
    let request = if token.is_empty() { request } else { request.bearer_auth(token) };
    request.send().await.unwrap()
}

/// Waits until the path answers so.
async fn until(host: &Host, path: &str, token: &str, status: u16) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = get(host, path, token).await;
        if answer.status() == status {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{path} stays {}: {}",
            answer.status(),
            answer.text().await.unwrap()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
