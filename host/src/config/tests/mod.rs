//! gateway.toml from the outside: a full example, what an error shows, and what it never shows.

mod bad;
mod policies;
mod routes;
mod upstreams;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;

/// A folder with `order.wasm`, `site/` and `psp.key`, gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("hostel-config-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(unique);
        fs::create_dir_all(path.join("site")).unwrap();
        fs::write(path.join("order.wasm"), b"\0asm").unwrap();
        fs::write(path.join("psp.key"), "hunter2\n").unwrap();
        fs::write(path.join("empty.key"), "\n").unwrap();
        for file in ["shop.pem", "shop.key", "blog.pem", "blog.key", "clients.pem"] {
            fs::write(path.join(file), "looked at when the host starts").unwrap();
        }
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("gateway.toml")
    }

    fn parse(&self, text: &str) -> Result<Config, ConfigError> {
        parse(text, &self.file())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

const FULL: &str = r#"
[gateway]
listen = "127.0.0.1:8080"
body = "1MiB"
access-log = "access.log"
connections-max = 500
connections-per-address-max = 50
requests-max = 100
header-timeout = "5s"
idle-timeout = "1m"
write-timeout = "30s"
security-headers = true
auth = { ways = ["key", "certificate"] }
body-timeout = "3s"
proxy-protocol = true
trusted-proxies = ["10.0.0.0/8", "::1"]
http2 = { streams-max = 50, resets-max = 10, header-list = "16KiB", ping-interval = "1m", ping-timeout = "5s" }
[gateway.tls]
certificates = [{ certificate = "shop.pem", key = "shop.key" }, { certificate = "blog.pem", key = "blog.key" }]
min-version = "1.3"
handshake-timeout = "3s"
client-ca = "clients.pem"
client-certificates = "optional"
redirect = "127.0.0.1:8081"
redirect-port = 443
[gateway.cache]
size = "256MiB"
entry = "1MiB"
default-time = "30s"
[admin]
listen = "127.0.0.1:9090"
[storage]
path = "state"
[telemetry]
format = "json"
level = "info,hostel::gateway=debug"
[messaging]
retention = "7days"
attempts = 5
back-off = { min = "100ms", max = "10s" }
[issuers.main]
issuer = "https://id.example.com/shop"
audience = ["shop"]
leeway = "30s"
algorithms = ["ES256", "EdDSA"]
roles-claim = "realm_access.roles"

[services.order]
domain     = "order-management"
component  = "order.wasm"
build      = "cargo build --release --target wasm32-wasip2 -p order"
database   = "embedded"
buckets    = ["sessions"]
publishes  = ["order.*"]
subscribes = ["order.placed", "inventory-management/stock.*"]
calls      = ["stock", "legacy"]
fetches    = ["https://api.example.com", "https://*.example.org:8443"]
instances  = { min = 1, max = 8, reuse = 1 }
limits     = { memory = "32MiB", service-memory = "256MiB", time = "5s", cpu = "1s", idle = "9s", body = "2MiB" }
config     = { currency = "EUR" }
secrets    = { psp-key = "file:psp.key" }

[services.stock]
domain = "inventory-management"
publishes = ["stock.>"]

[services.legacy]
upstreams = ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]
limits = { time = "3s" }

[[routes]]
host = "Shop.Example.com"
path = "/api/orders/{*rest}"
methods = ["GET", "POST"]
service = "order"
time = "2s"
body = "64KiB"
rate-limit = [{ requests = 100, per = "1s", burst = 200, by = "subject" }, { requests = 1000, per = "1h" }]
cors = { origins = ["https://app.example.com"], methods = ["GET"], credentials = true, max-age = "1h" }
auth = { scopes = ["orders"], roles = ["clerk", "admin"], claims = { tenant = ["a", "b"], region = "eu" }, issuers = ["main"], ways = ["token"] }
cache = { key-headers = ["X-Tenant"], stale-while-revalidate = "10s", stale-if-error = "1h", default-time = "0s" }

[[routes]]
path = "/{*rest}"
files = "site"
compress = true
rate-limit = false
auth = false
"#;

#[test]
fn a_full_example_is_read_as_it_is_written() {
    let folder = Folder::new();
    let config = folder.parse(FULL).unwrap();
    assert_eq!(config.folder, folder.0);
    assert_eq!(config.file, folder.file());
    assert_eq!(
        config.gateway,
        GatewayConfig {
            listen: "127.0.0.1:8080".parse().unwrap(),
            body_bytes_max: 1 << 20,
            access_log: Some(folder.0.join("access.log")),
            connections_max: 500,
            connections_per_address_max: 50,
            requests_max: 100,
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            listener: listener(&folder),
            body_timeout: Duration::from_secs(3),
            policies: Policies { security_headers: true, ..Policies::default() },
            cache: CacheLimits { size_bytes: 256 << 20, entry_bytes: 1 << 20 },
            cache_rules: CacheRules { default_time: Duration::from_secs(30), ..CacheRules::default() },
            cache_purged_by: Vec::new(),
            login: None,
        }
    );
    assert_eq!(config.admin.listen, "127.0.0.1:9090".parse().unwrap());
    assert_eq!(config.storage.path, folder.0.join("state"));
    assert_eq!(config.telemetry.format, LogFormat::Json);
    assert_eq!(config.telemetry.level, "info,hostel::gateway=debug");
    assert_eq!(
        config.messaging,
        MessagingConfig {
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            attempts_max: 5,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
        }
    );
    let [files, orders] = [&config.routes[1], &config.routes[0]];
    assert_eq!(files.target, Target::Files(folder.0.join("site").into()));
    assert_eq!(orders.target, Target::Service("order".parse().unwrap()));
    assert_eq!(orders.host.as_deref(), Some("shop.example.com"));
    assert_eq!(orders.methods, [http::Method::GET, http::Method::POST]);
    assert_eq!((orders.time, orders.body_bytes_max), (Some(Duration::from_secs(2)), Some(64 << 10)));
    let rules = orders.cache.as_ref().unwrap();
    assert_eq!(rules.key_headers, [http::HeaderName::from_static("x-tenant")]);
    assert_eq!(rules.stale_while_revalidate, Duration::from_secs(10));
    assert_eq!((rules.stale_if_error, rules.default_time), (Duration::from_secs(3600), Duration::ZERO));
    assert_eq!(files.cache, None);
    assert_eq!(FULL.lines().nth(orders.line - 1), Some("[[routes]]"));
}

/// The listener of [`FULL`].
fn listener(folder: &Folder) -> ListenerConfig {
    let pair = |name: &str| CertificateConfig {
        certificate: folder.0.join(format!("{name}.pem")),
        key: folder.0.join(format!("{name}.key")),
    };
    ListenerConfig {
        tls: Some(TlsConfig {
            certificates: vec![pair("shop"), pair("blog")],
            min_version: TlsVersion::V1_3,
            handshake_timeout: Duration::from_secs(3),
            clients: Some(ClientCaConfig {
                authorities: folder.0.join("clients.pem"),
                demand: ClientCertificates::Optional,
            }),
            redirect: Some(RedirectListenerConfig {
                listen: "127.0.0.1:8081".parse().unwrap(),
                port: Some(443),
            }),
        }),
        proxies: ProxyConfig {
            protocol: true,
            trusted: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        },
        http2: Http2Config {
            streams_max: 50,
            resets_max: 10,
            header_list_bytes_max: 16 << 10,
            ping_interval: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(5),
        },
    }
}

#[test]
fn a_full_service_is_read_as_it_is_written() {
    let folder = Folder::new();
    let config = folder.parse(FULL).unwrap();
    let order = &config.services["order"];
    assert_eq!(order.domain.as_str(), "order-management");
    assert_eq!(FULL.lines().nth(order.line - 1), Some("[services.order]"));
    assert_eq!(
        order.source,
        Source::Component {
            file: Some(folder.0.join("order.wasm")),
            build: Some("cargo build --release --target wasm32-wasip2 -p order".into()),
        }
    );
    assert_eq!(order.instances, Instances { min: 1, max: 8, reuse: Some(1), concurrency: 16 });
    assert_eq!(
        order.limits,
        Limits {
            memory: 32 << 20,
            service_memory: 256 << 20,
            time: Duration::from_secs(5),
            cpu: Duration::from_secs(1),
            idle: Duration::from_secs(9),
            body: Some(2 << 20),
            resources: 10_000,
            log_lines: 2_000,
            log_bytes: 1 << 20,
            outgoing: 256,
            wait: Duration::from_secs(5),
        }
    );
    let grants = &order.grants;
    assert!(grants.database && grants.buckets.contains("sessions"));
    assert_eq!(grants.publishes, ["order.*".parse().unwrap()]);
    let subscribed: Vec<String> =
        grants.subscribes.iter().map(|topics| format!("{}/{}", topics.domain, topics.pattern)).collect();
    assert_eq!(subscribed, ["order-management/order.placed", "inventory-management/stock.*"]);
    assert!(grants.calls.contains("stock") && grants.calls.contains("legacy"));
    assert!(grants.fetches[1].allows("https", "a.example.org", 8443));
    assert_eq!(grants.config["currency"], "EUR");
    assert_eq!(grants.secrets["psp-key"].reveal(), "hunter2");
    let Source::Upstreams(legacy) = &config.services["legacy"].source else { panic!("external") };
    assert_eq!(legacy.addresses[1].uri.authority().unwrap(), "127.0.0.1:9002");
    assert_eq!(config.services["legacy"].domain.as_str(), "default");
}

#[test]
fn who_may_use_a_route_stands_there_or_in_the_gateway() {
    let folder = Folder::new();
    let config = folder.parse(FULL).unwrap();
    let [orders, files] = [&config.routes[0].auth, &config.routes[1].auth];
    assert_eq!(*files, None);
    let orders = orders.as_ref().unwrap();
    assert_eq!(
        (&orders.scopes[..], &orders.roles[..]),
        (&["orders".into()][..], &["clerk".into(), "admin".into()][..])
    );
    assert_eq!(
        (&orders.claims["tenant"][..], &orders.claims["region"][..]),
        (&["a".into(), "b".into()][..], &["eu".into()][..])
    );
    assert_eq!(orders.ways, Ways { token: true, key: false, certificate: false, session: false });
    let [issuer] = orders.issuers.as_slice() else { panic!("one issuer") };
    let document = "https://id.example.com/shop/.well-known/openid-configuration";
    assert_eq!(issuer.keys, KeySource::Discovery(document.parse().unwrap()));
    assert_eq!(issuer.algorithms, [TokenAlgorithm::ES256, TokenAlgorithm::EdDSA]);
    assert_eq!((issuer.scopes_claim.as_str(), issuer.roles_claim.as_str()), ("scope", "realm_access.roles"));
    assert_eq!(issuer.leeway, Duration::from_secs(30));
    let inherited = folder.parse(&FULL.replace("auth = false\n", "")).unwrap();
    let files = inherited.routes[1].auth.as_ref().unwrap();
    assert_eq!((files.ways.token, files.ways.key, files.issuers.len()), (false, true, 0));
    let anybody = folder.parse(&FULL.replace("auth = false\n", "auth = true\n")).unwrap();
    let files = anybody.routes[1].auth.as_ref().unwrap();
    assert_eq!((files.ways, files.issuers.len()), (Ways::default(), 1));
}

#[test]
fn an_external_service_gets_no_credentials_unless_the_file_says_so() {
    let forwards = |service: &str, auth: &str| {
        let route = format!("[[routes]]\npath = \"/x\"\nservice = \"{service}\"\nauth = {auth}\n");
        let config = Folder::new().parse(&format!("{FULL}{route}")).unwrap();
        config.routes[2].auth.as_ref().unwrap().forward_authorization
    };
    assert_eq!(forwards("order", "true"), None);
    assert_eq!(forwards("legacy", "true"), Some(false));
    assert_eq!(forwards("legacy", "{ forward-authorization = true }"), Some(true));
    assert_eq!(forwards("order", "{ forward-authorization = false }"), Some(false));
}

#[test]
fn what_is_absent_has_the_defaults_of_the_design() {
    let text = "[gateway]\nlisten = \"[::1]:0\"\n[admin]\nlisten = \"[::1]:0\"\n[services.a]\n";
    let folder = Folder::new();
    let config = folder.parse(text).unwrap();
    assert_eq!(config.gateway.body_bytes_max, 10 << 20);
    assert_eq!(config.gateway.listener, ListenerConfig::default());
    assert_eq!(config.gateway.listener.http2.streams_max, 100);
    assert_eq!(config.storage.path, folder.0.join("data"));
    assert_eq!((config.telemetry.format, config.telemetry.level.as_str()), (LogFormat::Human, "info"));
    assert_eq!(config.messaging.attempts_max, 10);
    let service = &config.services["a"];
    assert_eq!(service.source, Source::Component { file: None, build: None });
    assert_eq!(service.instances, Instances { min: 0, max: 32, reuse: None, concurrency: 16 });
    assert_eq!((service.limits.memory, service.limits.service_memory), (64 << 20, 512 << 20));
    assert_eq!(service.grants, Grants::default());
}

#[test]
fn a_cache_is_switched_on_with_the_rules_of_the_gateway() {
    let text = FULL.replace("files = \"site\"", "service = \"stock\"\ncache = true");
    let config = Folder::new().parse(&text).unwrap();
    assert_eq!(config.routes[1].cache, Some(config.gateway.cache_rules.clone()));
    let text = text.replace("cache = true", "cache = false");
    assert_eq!(Folder::new().parse(&text).unwrap().routes[1].cache, None);
}

#[test]
fn all_problems_of_a_file_are_told_at_once() {
    let text = r#"[gateway]
listen = "here"
[admin]
[services.order]
component = "nothing.wasm"
limits = { memory = "64 elephants", cpu = 2, tiem = "1s" }
[services.stock]
calls = ["odrer", "stock"]
[[routes]]
path = "/a"
servce = "order"
[[routes]]
path = "b"
service = "ordre"
"#;
    let error = Folder::new().parse(text).unwrap_err();
    let told: Vec<String> =
        error.problems.iter().map(|told| format!("{}:{} {}", told.line, told.column, told.key)).collect();
    assert_eq!(
        told,
        [
            "2:10 gateway.listen",
            "3:2 admin.listen",
            "5:13 services.order.component",
            "6:21 services.order.limits.memory",
            "6:43 services.order.limits.cpu",
            "6:46 services.order.limits.tiem",
            "8:10 services.stock.calls[0]",
            "8:19 services.stock.calls[1]",
            "11:1 routes[0].servce",
            "13:8 routes[1].path",
            "14:11 routes[1].service",
        ]
    );
    let shown = error.to_string();
    let memory = "gateway.toml:6:21: services.order.limits.memory: found \"64 elephants\"; write a size with its \
                  unit such as \"64MiB\" (B, KiB, MiB, GiB, KB, MB, GB)";
    assert!(shown.contains(memory), "{shown}");
    assert!(shown.contains("found the unknown key `servce`; did you mean `service`?"), "{shown}");
    assert_eq!(shown.lines().count(), error.problems.len());
}

#[test]
fn secrets_are_never_shown() {
    let folder = Folder::new();
    let config = folder.parse(FULL).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    for line in [
        "secrets = { key = \"hunter2\" }",
        "secrets = { key = [\"hunter2\"] }",
        "secrets = { key = { value = \"hunter2\" } }",
        "secrets = [\"hunter2\"]",
        "secrets = \"hunter2\"",
        "secret = { key = \"hunter2\" }",
        "secrets = { key = \"hunter2 }",
        "secrets = { key = hunter2 }",
        "secrets.key = \"hunter2\"",
        "database = \"postgres://order:hunter2@db/order\"",
        "database = \"postgres//order:hunter2@db/order\"",
        "fetches = [\"https://order:hunter2@api.example.com\"]",
        "upstreams = [\"http://order:hunter2@127.0.0.1:9001\"]",
    ] {
        let text = FULL.replace("[services.stock]\n", &format!("[services.stock]\n{line}\n"));
        let error = folder.parse(&text).unwrap_err();
        let shown = format!("{error} {error:?} {}", serde_json::to_string(&error).unwrap());
        assert!(!shown.contains("hunter2"), "{line}: {shown}");
    }
}

#[test]
fn a_secret_comes_from_the_environment_too() {
    let text = FULL.replace("file:psp.key", "env:CARGO_MANIFEST_DIR");
    let config = Folder::new().parse(&text).unwrap();
    assert_eq!(config.services["order"].grants.secrets["psp-key"].reveal(), env!("CARGO_MANIFEST_DIR"));
}

#[test]
fn moving_a_service_or_route_changes_nothing() {
    let folder = Folder::new();
    let before = folder.parse(FULL).unwrap();
    let after = folder.parse(&format!("# A comment.\n{FULL}")).unwrap();
    assert_eq!(before, after);
    let other = folder.parse(&FULL.replace("currency = \"EUR\"", "currency = \"CHF\"")).unwrap();
    assert_ne!(before.services["order"], other.services["order"]);
    assert_eq!(before.services["stock"], other.services["stock"]);
    fs::write(folder.0.join("psp.key"), "another").unwrap();
    assert_ne!(before.services["order"], folder.parse(FULL).unwrap().services["order"]);
}

#[test]
fn a_file_is_loaded_with_its_folder() {
    let folder = Folder::new();
    let missing = load(&folder.file()).unwrap_err();
    assert!(missing.to_string().contains("--config FILE"), "{missing}");
    fs::write(folder.file(), FULL).unwrap();
    assert_eq!(load(&folder.file()).unwrap(), folder.parse(FULL).unwrap());
    fs::write(folder.file(), format!("\u{feff}{}", FULL.replace('\n', "\r\n"))).unwrap();
    assert_eq!(load(&folder.file()).unwrap(), folder.parse(FULL).unwrap());
    fs::write(folder.file(), b"[gateway]\n# \xff").unwrap();
    let error = load(&folder.file()).unwrap_err();
    assert_eq!((error.problems[0].line, error.problems[0].column), (2, 3));
}

#[test]
fn no_broken_file_panics() {
    let folder = Folder::new();
    for (end, _) in FULL.char_indices().step_by(7) {
        _ = folder.parse(&FULL[..end]);
        _ = folder.parse(&format!("{}\u{1f980}={{[\"", &FULL[..end]));
        _ = folder.parse(&format!("{}{}", &FULL[..end], FULL.get(end + 3..).unwrap_or_default()));
    }
}

#[test]
fn the_schema_has_every_key_of_the_example() {
    fn walk(value: &toml::Value, schema: &serde_json::Value, key: &str) {
        let kind = match value {
            toml::Value::Table(_) => "object",
            toml::Value::Array(_) => "array",
            toml::Value::Boolean(_) => "boolean",
            _ => "string",
        };
        let mut shapes = schema["anyOf"].as_array().into_iter().flatten();
        let schema = shapes.find(|shape| shape["type"] == kind).unwrap_or(schema);
        match value {
            toml::Value::Table(table) => {
                for (name, value) in table {
                    let known = schema["properties"].get(name).or(schema.get("additionalProperties"));
                    let schema = known.filter(|schema| schema.is_object());
                    walk(value, schema.unwrap_or_else(|| panic!("{key}.{name}")), &format!("{key}.{name}"));
                }
            }
            toml::Value::Array(items) => items.iter().for_each(|item| walk(item, &schema["items"], key)),
            _ => assert!(schema["type"].is_string() || schema["oneOf"].is_array(), "{key}: {schema}"),
        }
    }
    let schema = schema();
    walk(&toml::from_str(FULL).unwrap(), &schema, "");
    let shown = schema.to_string();
    assert!(!shown.contains("null") && !shown.contains("$ref"), "{shown}");
}
