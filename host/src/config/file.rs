//! gateway.toml exactly as it is written; the JSON Schema of the file is derived from these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde_json::Value;

use super::auth_file::{Auth, Issuer};
use super::cache_file::{CacheStore, RouteCache};
use super::listener_file::{Http2, Tls};
use super::policy_file::{Cors, RateLimits};
use super::route_file::{Files, Redirect, RequestHeaders, ResponseHeaders, Rewrite, Share};
use super::service_file::{Circuit, Instances, Limits};
use super::upstream_file::{HealthCheck, HostHeader, HttpVersion, Outlier, Retry, UpstreamAddress};

/// More connections than a process of one machine holds sockets for by default (`fs.nr_open`).
pub const CONNECTIONS_LIMIT: u64 = 1_000_000;

/// More requests in flight than any one host answers in time.
pub const REQUESTS_LIMIT: u64 = 1_000_000;

/// A message that failed this often will not succeed.
pub const ATTEMPTS_LIMIT: u64 = 1_000;

/// Hostel's gateway.toml: services, their rights, and the routes to them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "gateway.toml")]
pub struct File {
    /// The listener for clients and its limits.
    pub gateway: Gateway,
    /// The listener for operators.
    pub admin: Admin,
    /// Where the host keeps its data.
    #[serde(default)]
    pub storage: Storage,
    /// What the host tells about itself.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// How messages are kept and repeated.
    #[serde(default)]
    pub messaging: Messaging,
    /// What a component may take to be compiled.
    #[serde(default)]
    pub deploys: Deploys,
    /// The OpenID providers whose tokens count, by a name of your own.
    #[serde(default)]
    pub issuers: BTreeMap<String, Issuer>,
    /// The services by name: lower-case letters, digits and `-`.
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
    /// Which requests go where; the most specific route wins.
    #[serde(default)]
    pub routes: Vec<Route>,
}

/// The listener for clients and its limits.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Gateway {
    /// The address for clients; port 0 takes any free port.
    #[schemars(required, example = &"127.0.0.1:8080")]
    pub listen: Option<String>,
    /// The longest request body, unless a route says otherwise; 10MiB when absent.
    pub body: Option<Size>,
    /// The file of the access log; when absent it goes to the log.
    #[schemars(example = &"data/access.log")]
    pub access_log: Option<String>,
    /// Open connections at most; 10000 when absent.
    #[schemars(range(min = 1, max = CONNECTIONS_LIMIT))]
    pub connections_max: Option<u64>,
    /// Open connections from one address at most; 1024 when absent.
    #[schemars(range(min = 1, max = CONNECTIONS_LIMIT))]
    pub connections_per_address_max: Option<u64>,
    /// Requests in flight at most; 10000 when absent.
    #[schemars(range(min = 1, max = REQUESTS_LIMIT))]
    pub requests_max: Option<u64>,
    /// A client's time for its request head; 10s when absent.
    pub header_timeout: Option<Time>,
    /// How long a request body may come slower than 1KiB/s; 10s when absent.
    pub body_timeout: Option<Time>,
    /// How long a connection may wait for its next request; 75s when absent.
    pub idle_timeout: Option<Time>,
    /// How long a client may take no byte of a response; 60s when absent.
    pub write_timeout: Option<Time>,
    /// How long requests may go on when the host is told to stop; 30s when absent.
    #[schemars(example = &"30s")]
    pub drain: Option<Time>,
    /// TLS; clear text when absent.
    pub tls: Option<Tls>,
    /// The limits of HTTP/2.
    #[serde(default)]
    pub http2: Http2,
    /// Whether each connection begins with a header of the PROXY protocol; not when absent.
    pub proxy_protocol: Option<bool>,
    /// The proxies whose word about clients counts, as addresses and networks; none when absent.
    #[schemars(extend("examples" = [["10.0.0.0/8", "::1"]]))]
    pub trusted_proxies: Option<Vec<String>>,
    /// How often a client may ask a route that does not say; without limit when absent.
    pub rate_limit: Option<RateLimits>,
    /// Which pages of other origins may ask a route that does not say; the services decide when absent.
    pub cors: Option<Cors>,
    /// Whether responses are compressed where a route does not say; not when absent.
    pub compress: Option<bool>,
    /// Whether responses get the security headers that they lack where a route does not say; not when absent.
    pub security_headers: Option<bool>,
    /// Who may use a route that does not say; everybody when absent.
    pub auth: Option<Auth>,
    /// The responses that are kept for routes with `cache`, and what `cache = true` means there.
    pub cache: Option<CacheStore>,
}

/// The listener for operators.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Admin {
    /// The address for operators; port 0 takes any free port.
    #[schemars(required, example = &"127.0.0.1:9090")]
    pub listen: Option<String>,
}

/// Where the host keeps its data.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Storage {
    /// The folder of everything durable, relative to this file; `data` when absent.
    #[schemars(example = &"data")]
    pub path: Option<String>,
}

/// What the host tells about itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Telemetry {
    /// How log lines look; human when absent.
    pub format: Option<LogFormat>,
    /// A level, or levels by target as in `info,hostel::gateway=debug`; info when absent.
    #[schemars(example = &"info")]
    pub level: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For eyes, in colour on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// What a component may take to be compiled.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deploys {
    /// Processor time, beside 10s for each MiB of code above two; 6s when absent.
    #[schemars(example = &"6s")]
    pub compile_time: Option<Time>,
    /// Memory; 896MiB when absent.
    #[schemars(example = &"896MiB")]
    pub compile_memory: Option<Size>,
}

/// How messages are kept and repeated.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Messaging {
    /// How long messages are kept; 24h when absent.
    #[schemars(example = &"24h")]
    pub retention: Option<Time>,
    /// Tries before a message goes to the dead letters; 10 when absent.
    #[schemars(range(min = 1, max = ATTEMPTS_LIMIT))]
    pub attempts: Option<u64>,
    /// The wait before the next try, doubled each time; 200ms to 60s when absent.
    #[serde(default)]
    pub back_off: BackOff,
}

/// The wait between two tries.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BackOff {
    /// The first wait; 200ms when absent.
    pub min: Option<Time>,
    /// The longest wait; 60s when absent.
    pub max: Option<Time>,
}

/// One domain service: a component with its grants, or an external service.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Service {
    /// The domain, whose services share a message broker; `default` when absent.
    #[schemars(example = &"order-management")]
    pub domain: Option<String>,
    /// The `.wasm` file, relative to this file; when absent the service waits for a deploy.
    #[schemars(example = &"target/wasm32-wasip2/release/order.wasm")]
    pub component: Option<String>,
    /// The command that makes the component, run in the folder of this file.
    #[schemars(example = &"cargo build --release --target wasm32-wasip2 -p order")]
    pub build: Option<String>,
    /// Addresses of an external service; stands instead of `component`.
    #[schemars(extend("examples" = [["http://127.0.0.1:9001"]]))]
    pub upstreams: Option<Vec<UpstreamAddress>>,
    /// Which address gets a request: round-robin, least-requests, random, hash:address, hash:header:NAME or
    /// hash:cookie:NAME; round-robin when absent.
    #[schemars(example = &"least-requests")]
    pub balance: Option<String>,
    /// How long an address that comes back gets less than its share; not at all when absent.
    #[schemars(example = &"30s")]
    pub slow_start: Option<Time>,
    /// How the addresses are asked for their health; not at all when absent.
    pub health_check: Option<HealthCheck>,
    /// When an address that fails requests is passed over; after 5 failures in a row when absent.
    pub outlier: Option<Outlier>,
    /// The version of HTTP; when absent 1.1 in clear text, and what the address offers through TLS.
    pub http: Option<HttpVersion>,
    /// The host that the addresses are asked for; their own when absent.
    pub host: Option<HostHeader>,
    /// How long a connection may take to be made; 2s when absent.
    #[schemars(example = &"2s")]
    pub connect_timeout: Option<Time>,
    /// The certificates (PEM) that those of the addresses lead to, relative to this file; public ones when absent.
    #[schemars(example = &"upstream-ca.pem")]
    pub ca: Option<String>,
    /// Requests in flight to all addresses; as many more wait for up to 5s; 1000 when absent.
    #[schemars(range(min = 1, max = REQUESTS_LIMIT))]
    pub requests_max: Option<u64>,
    /// How requests that fail are tried again; not at all when absent.
    pub retry: Option<Retry>,
    /// When it is left alone for a while because it keeps failing; after 5 failures in a row within 10s when absent.
    pub circuit: Option<Circuit>,
    /// How long calls of a version that was replaced may go on; 5m when absent.
    #[schemars(example = &"5m")]
    pub drain: Option<Time>,
    /// The kind of its own database; none when absent.
    #[schemars(example = &"embedded")]
    pub database: Option<String>,
    /// The key-value buckets it may open.
    #[schemars(extend("examples" = [["sessions"]]))]
    pub buckets: Option<Vec<String>>,
    /// The topics it may publish in its domain: `*` is one word, `>` the rest.
    #[schemars(extend("examples" = [["order.*"]]))]
    pub publishes: Option<Vec<String>>,
    /// The topics it receives; another domain's as `domain/topic`.
    #[schemars(extend("examples" = [["payment.*", "inventory-management/stock.*"]]))]
    pub subscribes: Option<Vec<String>>,
    /// The services it may call.
    #[schemars(extend("examples" = [["customer"]]))]
    pub calls: Option<Vec<String>>,
    /// The outside origins it may call.
    #[schemars(extend("examples" = [["https://api.example.com"]]))]
    pub fetches: Option<Vec<String>>,
    /// How many instances it has.
    pub instances: Option<Instances>,
    /// What one call, one instance and the whole service may use.
    pub limits: Option<Limits>,
    /// Settings that the service reads by name.
    pub config: Option<BTreeMap<String, Text>>,
    /// Secrets that the service reads by name: `env:NAME` or `file:PATH`.
    pub secrets: Option<BTreeMap<String, SecretReference>>,
}

/// Which requests go to services or to files, or are sent elsewhere.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Route {
    /// A host name, or `*.` and a name for all below it; any when absent.
    #[schemars(example = &"shop.example.com")]
    pub host: Option<String>,
    /// The path pattern: `{name}` is one segment, `{*rest}` the rest, which may be empty.
    #[schemars(required, example = &"/api/orders/{*rest}")]
    pub path: Option<String>,
    /// The methods; all when absent.
    #[schemars(extend("examples" = [["GET", "POST"]]))]
    pub methods: Option<Vec<String>>,
    /// Header fields that a request must have, each exactly or, as `*`, with any value; none when absent.
    pub headers: Option<BTreeMap<String, Text>>,
    /// Parameters that the query must have, each exactly or, as `*`, with any value; none when absent.
    pub query: Option<BTreeMap<String, Text>>,
    /// The service that answers.
    #[schemars(example = &"order")]
    pub service: Option<String>,
    /// The services that answer, each with its share of the requests.
    #[schemars(extend("examples" = [[{"service": "order", "weight": 90}, {"service": "order-next", "weight": 10}]]))]
    pub split: Option<Vec<Share>>,
    /// By what a client stays with one service of the split: `cookie:NAME`, `header:NAME` or `address`.
    #[schemars(example = &"cookie:side")]
    pub sticky: Option<String>,
    /// Where clients are sent.
    pub redirect: Option<Redirect>,
    /// The folder of static files that answers, relative to this file.
    pub files: Option<Files>,
    /// How the path is changed for the service; as the client sent it when absent.
    pub rewrite: Option<Rewrite>,
    /// What is changed in the header of requests for the service.
    pub request_headers: Option<RequestHeaders>,
    /// What is changed in the header of responses.
    pub response_headers: Option<ResponseHeaders>,
    /// The time to the response head; as the service's when absent.
    pub time: Option<Time>,
    /// The longest request body; as the gateway's when absent.
    pub body: Option<Size>,
    /// How often a client may ask; as the gateway's when absent.
    pub rate_limit: Option<RateLimits>,
    /// Which pages of other origins may ask; as the gateway's when absent.
    pub cors: Option<Cors>,
    /// Whether responses are compressed; as the gateway's when absent.
    pub compress: Option<bool>,
    /// Whether responses get the security headers that they lack; as the gateway's when absent.
    pub security_headers: Option<bool>,
    /// How requests that fail are tried again; as the service's when absent.
    pub retry: Option<Retry>,
    /// Who may use it; as the gateway's when absent.
    pub auth: Option<Auth>,
    /// Whether responses are kept and used again by RFC 9111; not when absent.
    pub cache: Option<RouteCache>,
}

/// A size with its unit.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline, example = &"64MiB")]
pub struct Size(pub String);

/// A duration with its unit.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline, example = &"5s")]
pub struct Time(pub String);

/// A setting as text.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline, example = &"EUR")]
pub struct Text(pub String);

/// Where a secret is found, never the secret itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline, example = &"env:PSP_KEY")]
pub struct SecretReference(pub String);

/// The JSON Schema (2020-12) of the file, without references and without null, which TOML lacks.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    drop_null(&mut schema);
    schema
}

fn drop_null(schema: &mut Value) {
    let Value::Object(object) = schema else {
        if let Value::Array(items) = schema {
            items.iter_mut().for_each(drop_null);
        }
        return;
    };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    // An optional choice comes as "any of: the choice, null"; what takes several kinds of values stays.
    if let Some(Value::Array(mut choices)) = object.remove("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if choices.len() > 1 {
            object.insert("anyOf".into(), Value::Array(choices));
        } else {
            for (name, value) in
                choices.into_iter().filter_map(|choice| choice.as_object().cloned()).flatten()
            {
                object.entry(name).or_insert(value);
            }
        }
    }
    object.values_mut().for_each(drop_null);
}
