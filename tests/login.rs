//! Browser login at the gateway and the identity provider behind it, as client libraries, browsers and attackers see
//! them: with the embedded provider, and with a real one that nobody here wrote.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::gateway::external;
use crate::support::guests::{component, repository};
use crate::support::host::Host;
use crate::support::port;

/// What the gateway shows to a provider that is not of this host.
const CLIENT_SECRET: &str = "a secret of the storefront";

/// How long clients work while keys rotate.
const ROTATION_SECONDS: u64 = 60;

/// How often the host is killed in the middle of sign-ups and refreshes.
const KILLS: &str = "4";

#[tokio::test(flavor = "multi_thread")]
async fn browsers_sign_in_with_the_provider_of_this_host() {
    let port = port::free();
    let (echo, _server) = routes().await;
    let host = embedded(port, &echo).await;
    let gateway = host.gateway();
    node("login.mjs", &[], &[("GATEWAY", &gateway), ("KIND", "hostel")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_sign_in_with_a_provider_that_nobody_here_wrote_and_go_on_while_it_is_away() {
    let (port, theirs) = (port::free(), port::free());
    let provider = Provider::start(port, theirs);
    let (echo, _server) = routes().await;
    let login = "login = { client = \"storefront\", secret = \"file:client-secret\" }";
    let issuer =
        format!("[issuers.main]\nissuer = \"{}\"\naudience = [\"urn:shop\"]\n{login}\n", provider.issuer);
    let mut host = Host::prepare_on(port, &format!("{issuer}{echo}"));
    std::fs::write(host.path("client-secret"), CLIENT_SECRET).unwrap();
    host.launch().await;
    let (gateway, jar) = (host.gateway(), host.path("jar.json").display().to_string());
    node("login.mjs", &[], &[("GATEWAY", &gateway), ("KIND", "oidc"), ("JAR", &jar)]);
    let again = |expected: &str| node("login.mjs", &[expected], &[("GATEWAY", &gateway), ("JAR", &jar)]);
    again("signed-in");
    // The tokens have expired long since: only the provider could give new ones.
    drop(provider);
    again("signed-in");
    // Sessions are kept: a crash ends none.
    host.kill();
    host.launch().await;
    again("signed-in");
    // The one that comes back has forgotten everybody, and says so.
    let _provider = Provider::start(port, theirs);
    host.kill();
    host.launch().await;
    again("signed-out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_library_that_nobody_here_wrote_uses_the_provider_and_its_attacks_are_refused() {
    let host = embedded(port::free(), "").await;
    let client = Client::of(&host);
    node("client.mjs", &[], &client.environment());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_signing_up_leaves_nothing_half_made() {
    let mut host = embedded(port::free(), "").await;
    let client = Client::of(&host);
    host.terminate().await;
    let (config, hostel) = (host.path("gateway.toml").display().to_string(), env!("CARGO_BIN_EXE_hostel"));
    let mut environment = client.environment();
    environment.extend([("CONFIG", config.as_str()), ("HOSTEL", hostel), ("ROUNDS", KILLS)]);
    node("crash.mjs", &[], &environment);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_under_load_and_fail_no_request() {
    let (echo, _server) = routes().await;
    let host = embedded(port::free(), &echo).await;
    let client = Client::of(&host);
    let (protected, seconds) = (format!("{}/echo", host.gateway()), ROTATION_SECONDS.to_string());
    let mut environment = client.environment();
    environment.extend([("PROTECTED", protected.as_str()), ("SECONDS", seconds.as_str())]);
    let database = host.path("data/services/identity/database.sqlite");
    let rotating = std::thread::spawn(move || rotate(&database));
    let told = node("load.mjs", &[], &environment);
    rotating.join().unwrap();
    assert!(told.contains("2 keys signed"), "{told}");
}

/// Lets time fly for the keys: the one that signs comes to its end, then the next one, which is shown since, signs. The
/// gateway asks for keys that it does not know, but not twice in half a minute.
fn rotate(database: &Path) {
    let database = rusqlite::Connection::open(database).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    for (seconds, hours) in [(2, 30 * 24 - 1), (ROTATION_SECONDS - 10, 2)] {
        std::thread::sleep(Duration::from_secs(seconds));
        let sql = "UPDATE signing_keys SET signs_from_ms = signs_from_ms - $1";
        database.execute(sql, [hours * 3_600_000_i64]).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_get_tokens_that_open_routes() {
    let (echo, _server) = routes().await;
    let host = embedded(port::free(), &echo).await;
    let (code, token, errors) = host.run(&["token", "--scope", "email", "--subject", "ada"]);
    assert_eq!((code, token.trim().lines().count()), (Some(0), 1), "{token} {errors}");
    let ask = async |token: &str| host.client().with_token(token).get("/scoped").await;
    let seen = ask(token.trim()).await;
    assert_eq!((seen.status, &seen.body["headers"]["hostel-subject"]), (200, &"ada".into()), "{seen:?}");
    let (_, token, _) = host.run(&["token"]);
    let lacking = ask(token.trim()).await;
    assert_eq!(lacking.status, 403, "{lacking:?}");
    // Nobody else is given one, whatever it says of itself.
    let forged = host.client().request(reqwest::Method::POST, "/identity/operator-token");
    let refused =
        forged.header("hostel-service", "hostel").json(&serde_json::json!({})).send().await.unwrap();
    assert_eq!(refused.status(), 404);
}

/// A host with the identity component and its clients, below this gateway's own address.
async fn embedded(port: u16, more: &str) -> Host {
    let base = format!("http://127.0.0.1:{port}");
    let clients = serde_json::json!([
        {
            "id": "storefront", "name": "Storefront", "secret": "storefront",
            "redirect_uris": [format!("{base}/session/callback")],
            "post_logout_redirect_uris": [format!("{base}/")],
            "scopes": ["openid", "profile", "email"], "grants": ["authorization_code", "refresh_token"],
        },
        {
            "id": "shop", "name": "Shop", "secret": "shop",
            "redirect_uris": [format!("{base}/back")], "post_logout_redirect_uris": [format!("{base}/back")],
            "scopes": ["openid", "profile", "email", "orders"],
            "grants": ["authorization_code", "refresh_token", "client_credentials"],
        },
        {
            "id": "phone", "name": "Phone", "redirect_uris": [format!("{base}/back")],
        },
    ]);
    let config = format!(
        "trusted-proxies = [\"127.0.0.1\"]\n\
         [issuers.main]\nissuer = \"{base}/identity\"\naudience = [\"shop\"]\nservice = \"identity\"\n\
         login = {{ client = \"storefront\", secret = \"generated:storefront\" }}\n\
         [services.identity]\ncomponent = {:?}\ndatabase = \"embedded\"\ninstances = {{ max = 8 }}\n\
         secrets = {{ key = \"generated:identity\", storefront = \"generated:storefront\", shop = \"generated:shop\" }}\n\
         [services.identity.config]\nissuer = \"{base}/identity\"\nclients = '{clients}'\n\
         [[routes]]\npath = \"/identity/{{*rest}}\"\nservice = \"identity\"\n{more}",
        component("identity")
    );
    let mut host = Host::prepare_on(port, &config);
    host.launch().await;
    host
}

/// A service that tells what it sees, behind a session and behind scopes.
async fn routes() -> (String, tokio::task::JoinHandle<()>) {
    let (address, server) = external().await;
    let route = |path: &str, auth: &str| {
        format!("[[routes]]\npath = \"{path}\"\nservice = \"echo\"\nauth = {auth}\n")
    };
    let routes = [
        format!("[services.echo]\nupstreams = [\"http://{address}\"]\n"),
        route("/echo", "true"),
        route("/scoped", "{ scopes = [\"email\"] }"),
        route("/denied", "{ scopes = [\"nothing\"] }"),
        route("/other", "{ issuers = [\"other\"] }"),
        "[issuers.other]\nissuer = \"http://127.0.0.1:1\"\naudience = [\"other\"]\n".to_owned(),
    ];
    (routes.concat(), server)
}

/// What scripts are told of the client `shop`.
struct Client {
    issuer: String,
    redirect_uri: String,
    secret: String,
}

impl Client {
    fn of(host: &Host) -> Self {
        let base = host.gateway();
        Self {
            issuer: format!("{base}/identity"),
            redirect_uri: format!("{base}/back"),
            secret: std::fs::read_to_string(host.path("data/secrets/shop")).unwrap(),
        }
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        vec![
            ("ISSUER", &self.issuer),
            ("CLIENT_ID", "shop"),
            ("CLIENT_SECRET", &self.secret),
            ("REDIRECT_URI", &self.redirect_uri),
            ("OTHER_CLIENT_ID", "phone"),
        ]
    }
}

/// The npm package `oidc-provider`; ends when it is dropped.
struct Provider {
    process: Child,
    issuer: String,
}

impl Provider {
    fn start(gateway: u16, port: u16) -> Self {
        let home = format!("http://127.0.0.1:{gateway}");
        let mut process = Command::new("node")
            .arg("provider.mjs")
            .current_dir(repository().join("tests/oidc"))
            .env("PORT", port.to_string())
            .env("CLIENT_SECRET", CLIENT_SECRET)
            .env("REDIRECT_URI", format!("{home}/session/callback"))
            .env("POST_LOGOUT_URI", format!("{home}/"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node is there");
        let mut issuer = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut issuer).unwrap();
        Self { process, issuer: issuer.trim().to_owned() }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Runs a script of `tests/openid`, which says itself what does not hold.
/// Answers what it told.
fn node(script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let folder: PathBuf = repository().join("tests/openid");
    let mut command = Command::new("node");
    command.arg(script).args(arguments).current_dir(folder).envs(environment.iter().copied());
    let output = command.output().expect("node is there");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} {arguments:?}: {told}{errors}");
    told
}
