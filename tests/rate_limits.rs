//! Rate limits as clients meet them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::host::Host;
use crate::support::origin::{Origin, answer, route};
use crate::support::process::rss_kib;

/// Clients that ask at the same time.
const CLIENTS: u64 = 64;

/// How often each of them asks.
const REQUESTS: u64 = 20;

/// The tests may say whose requests they are.
const TRUSTED: &str = "trusted-proxies = [\"127.0.0.0/8\"]\n";

/// How many keys a limit holds.
const KEYS_MAX: u32 = 100_000;

/// Buckets for those beyond.
const SHARED_BUCKETS: u32 = 1024;

/// What they may cost.
const KEYS_KIB_MAX: u64 = 64 << 10;

/// Requests in one write.
const BATCH: u32 = 500;

/// How long a change may take to be seen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn origin() -> Origin {
    Origin::start(|_| answer(200, &[], "here")).await
}

async fn get(host: &Host, path: &str) -> Response {
    host.client().request(Method::GET, path).send().await.unwrap()
}

async fn status(host: &Host, path: &str) -> u16 {
    get(host, path).await.status().as_u16()
}

fn field(response: &Response, name: &str) -> String {
    let value = response.headers().get(name).unwrap_or_else(|| panic!("{name} is missing: {response:?}"));
    value.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_clients_never_get_more_than_the_limit_and_the_burst() {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = asked.clone();
    let origin = Origin::start(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        answer(200, &[], "here")
    })
    .await;
    let limit = "rate-limit = { requests = 50, per = \"1s\", burst = 20 }";
    let host = Host::start(&(origin.section() + &route("/api", limit))).await;
    let begin = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = host.client();
        clients.spawn(async move {
            let mut passed = 0;
            for _ in 0..REQUESTS {
                let response = client.request(Method::GET, "/api/x").send().await.unwrap();
                match response.status() {
                    StatusCode::OK => passed += 1,
                    StatusCode::TOO_MANY_REQUESTS => {
                        assert!(response.headers().contains_key("retry-after"), "{response:?}");
                    }
                    other => panic!("{other}"),
                }
            }
            passed
        });
    }
    let passed: u64 = clients.join_all().await.into_iter().sum();
    let earned = u64::try_from(begin.elapsed().as_millis()).unwrap() / 20 + 1;
    assert!(passed >= 20 && passed <= 20 + earned, "{passed} passed, 20 and {earned} may");
    assert_eq!(asked.load(Ordering::Relaxed), passed, "what is refused never reaches the service");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_how_its_caller_stands() {
    let origin = origin().await;
    let limit = "rate-limit = [{ requests = 2, per = \"1h\" }, { requests = 60, per = \"1m\", burst = 5, by = \"route\" }]";
    let config = origin.section() + &route("/api", limit) + &route("/free", "");
    let host = Host::start(&config).await;
    let first = get(&host, "/api/x").await;
    let policy = "\"address\";q=2;w=3600, \"route\";q=5;w=5";
    assert_eq!((first.status().as_u16(), field(&first, "ratelimit-policy")), (200, policy.to_owned()));
    assert_eq!(field(&first, "ratelimit"), "\"address\";r=1;t=1800, \"route\";r=4;t=1");
    assert_eq!(status(&host, "/api/x").await, 200);
    let refused = get(&host, "/api/x").await;
    assert_eq!((refused.status().as_u16(), field(&refused, "ratelimit-policy")), (429, policy.to_owned()));
    let wait: u64 = field(&refused, "retry-after").parse().unwrap();
    assert!((1_700..=1_800).contains(&wait), "{wait}");
    assert_eq!(field(&refused, "ratelimit"), format!("\"address\";r=0;t={wait}"), "both say the same");
    assert_eq!(field(&refused, "content-type"), "application/problem+json");
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(
        (&problem["status"], &problem["type"]),
        (&429.into(), &"urn:hostel:problem:rate-limited".into())
    );
    let free = get(&host, "/free/x").await;
    assert_eq!(free.status(), 200);
    assert!(!free.headers().contains_key("ratelimit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_and_each_value_of_a_header_has_a_limit_of_its_own() {
    let origin = origin().await;
    let once = |by: &str| format!("rate-limit = {{ requests = 1, per = \"1h\", by = \"{by}\" }}");
    let config = [
        origin.section(),
        route("/address", &once("address")),
        route("/tenant", &once("header:x-tenant")),
        route("/all", &once("route")),
    ];
    let host = Host::start(&config.concat()).await;
    let from = |last: u8| {
        let address = std::net::IpAddr::from([127, 0, 0, last]);
        reqwest::Client::builder().no_proxy().local_address(address).build().unwrap()
    };
    let ask = async |last: u8, path: &str, tenant: Option<&str>| {
        let mut request = from(last).get(format!("{}{path}", host.gateway()));
        if let Some(tenant) = tenant {
            request = request.header("x-tenant", tenant);
        }
        // No client is trusted to say from where it comes.
        let request = request.header("x-forwarded-for", format!("192.0.2.{last}"));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((ask(1, "/address/x", None).await, ask(1, "/address/x", None).await), (200, 429));
    assert_eq!((ask(2, "/address/x", None).await, ask(2, "/address/x", None).await), (200, 429));
    assert_eq!((ask(1, "/tenant/x", Some("a")).await, ask(2, "/tenant/x", Some("a")).await), (200, 429));
    assert_eq!((ask(1, "/tenant/x", Some("b")).await, ask(1, "/tenant/x", None).await), (200, 200));
    assert_eq!((ask(1, "/tenant/x", None).await, ask(2, "/tenant/x", None).await), (429, 200));
    assert_eq!((ask(1, "/all/x", None).await, ask(2, "/all/x", None).await), (200, 429));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_of_ipv6_is_one_client() {
    let origin = origin().await;
    let once = "rate-limit = { requests = 1, per = \"1h\" }";
    let host = Host::start(&format!("{TRUSTED}{}{}", origin.section(), route("/api", once))).await;
    let ask = async |address: &str| {
        let request = host.client().request(Method::GET, "/api/x").header("x-forwarded-for", address);
        request.send().await.unwrap().status().as_u16()
    };
    for (address, expected) in [
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1::2", 429),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", 429),
        ("2001:db8:0:2::1", 200),
        ("192.0.2.1", 200),
        ("192.0.2.2", 200),
        ("::ffff:192.0.2.1", 429),
    ] {
        assert_eq!(ask(address).await, expected, "{address}");
    }
}

/// Each address is a key. The limit holds 100,000 of them; what comes behind shares buckets with its kind.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_addresses_costs_little_memory_and_locks_no_other_kind_out() {
    let limit = "rate-limit = { requests = 1, per = \"24h\" }";
    let route = format!("[[routes]]\npath = \"/\"\nredirect = {{ to = \"/elsewhere\" }}\n{limit}\n");
    let host = Host::start(&format!("{TRUSTED}{route}")).await;
    assert_eq!(flood(&host, 0..1).await, 1);
    let before = rss_kib(host.process());
    assert_eq!(flood(&host, 1..KEYS_MAX).await, KEYS_MAX - 1, "each has a bucket of its own");
    let growth = rss_kib(host.process()).saturating_sub(before);
    assert!(growth < KEYS_KIB_MAX, "{growth} KiB for {KEYS_MAX} keys");
    let few = flood(&host, KEYS_MAX..KEYS_MAX + 100).await;
    assert!(few > 75, "{few} of the first hundred beyond passed");
    let all = few + flood(&host, KEYS_MAX + 100..KEYS_MAX + 40 * BATCH).await;
    assert_eq!(all, SHARED_BUCKETS, "no more pass than there are buckets");
    let request = host.client().request(Method::GET, "/").header("x-forwarded-for", "2001:db8::1");
    assert_ne!(request.send().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(flood(&host, 0..BATCH).await, 0, "those who were counted before still are");
}

/// Asks once from each of these addresses, many requests to a write; answers how many were not refused.
async fn flood(host: &Host, addresses: std::ops::Range<u32>) -> u32 {
    let mut stream = TcpStream::connect(host.gateway_address()).await.unwrap();
    let mut passed = 0;
    for first in addresses.clone().step_by(BATCH as usize) {
        let batch = first..addresses.end.min(first + BATCH);
        let requests: String = batch
            .clone()
            .map(|number| {
                let address = std::net::Ipv4Addr::from(0x0b00_0000 + number);
                format!("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {address}\r\n\r\n")
            })
            .collect();
        let (mut reader, mut writer) = stream.split();
        let write = async { writer.write_all(requests.as_bytes()).await.unwrap() };
        let ((), heads) = tokio::join!(write, heads(&mut reader, batch.len()));
        passed += u32::try_from(heads.iter().filter(|head| head.starts_with("HTTP/1.1 30")).count()).unwrap();
    }
    passed
}

/// The heads of so many responses.
async fn heads(reader: &mut (impl AsyncRead + Unpin), count: usize) -> Vec<String> {
    let mut reader = BufReader::new(reader);
    let mut heads = Vec::new();
    while heads.len() < count {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            assert_ne!(reader.read_line(&mut head).await.unwrap(), 0, "cut after {head}");
            if let Some(value) = head[start..].to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await.unwrap();
        heads.push(head);
    }
    heads
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_forgives_nothing_unless_the_limit_changes() {
    let origin = origin().await;
    let config = |burst: u32, more: &str| {
        let limit = format!("rate-limit = {{ requests = 1, per = \"1h\", burst = {burst} }}");
        origin.section() + &route("/api", &limit) + more
    };
    let host = Host::start(&config(1, "")).await;
    assert_eq!((status(&host, "/api/x").await, status(&host, "/api/x").await), (200, 429));
    host.write_config(&config(1, &route("/second", "")));
    answered(&host, "/second/x", 200).await;
    assert_eq!(status(&host, "/api/x").await, 429);
    host.write_config(&config(2, &route("/third", "")));
    answered(&host, "/third/x", 200).await;
    assert_eq!(status(&host, "/api/x").await, 200);
}

/// Waits until a path is answered with this status.
async fn answered(host: &Host, path: &str, expected: u16) {
    let deadline = Instant::now() + PATIENCE;
    while status(host, path).await != expected {
        assert!(Instant::now() < deadline, "{path}\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
