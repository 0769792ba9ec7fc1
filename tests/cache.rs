//! The cache as clients and services see it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::counting_origin::CountingOrigin;
use crate::support::host::Host;

/// Long enough for a slow machine, short enough for a test that hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long the origin takes where requests shall meet on their way; every assertion holds without it too.
const DELAY: Duration = Duration::from_millis(300);

pub fn response(fields: &[(&str, &str)], body: impl Into<String>) -> http::Response<String> {
    let response = fields
        .iter()
        .fold(http::Response::builder(), |response, (name, value)| response.header(*name, *value));
    response.body(body.into()).unwrap()
}

pub async fn ask(host: &Host, method: Method, path: &str, fields: &[(&str, &str)]) -> Response {
    let request = host.client().request(method, path);
    fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

pub async fn get(host: &Host, path: &str, fields: &[(&str, &str)]) -> Response {
    ask(host, Method::GET, path, fields).await
}

pub fn field(response: &Response, name: &str) -> String {
    response.headers().get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

pub fn status(response: &Response) -> String {
    field(response, "cache-status")
}

/// Asks until the cache answers: a body is kept a moment after its last byte was sent on.
pub async fn until_hit(host: &Host, path: &str, fields: &[(&str, &str)]) -> Response {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let response = get(host, path, fields).await;
        if status(&response).contains("; hit") {
            return response;
        }
        assert!(Instant::now() < deadline, "never a hit: {}", status(&response));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_response_answers_in_the_place_of_the_service() {
    let origin = CountingOrigin::start(|_, _| {
        response(&[("cache-control", "max-age=600"), ("etag", "\"a\"")], "0123456789")
    })
    .await;
    let host = origin.behind("true").await;
    let first = get(&host, "/x", &[]).await;
    assert_eq!(status(&first), "hostel; fwd=uri-miss; stored");
    assert_eq!(first.text().await.unwrap(), "0123456789");
    let hit = until_hit(&host, "/x", &[]).await;
    let asked = origin.count();
    assert!(field(&hit, "age").parse::<u64>().unwrap() < 600 && !field(&hit, "date").is_empty());
    assert_eq!(hit.text().await.unwrap(), "0123456789");
    let head = ask(&host, Method::HEAD, "/x", &[]).await;
    assert_eq!((head.status().as_u16(), field(&head, "content-length")), (200, "10".to_owned()));
    let part = get(&host, "/x", &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status().as_u16(), field(&part, "content-range")), (206, "bytes 2-4/10".to_owned()));
    assert_eq!(part.text().await.unwrap(), "234");
    assert_eq!(get(&host, "/x", &[("if-none-match", "W/\"a\"")]).await.status(), 304);
    assert_eq!(origin.count(), asked, "the service was not asked for any of these");
    // Another URL, another host, another spelling, and what a client wants anew are asked for.
    for (path, fields) in [
        ("/x?1", &[] as &[(&str, &str)]),
        ("/x", &[("host", "other.example")]),
        ("/%78", &[]),
        ("/x", &[("cache-control", "no-cache")]),
        ("/x", &[("x-original-url", "/admin")]),
    ] {
        let before = origin.count();
        let answer = get(&host, path, fields).await;
        assert!(status(&answer).contains("fwd="), "{path} {fields:?}: {}", status(&answer));
        assert_eq!(origin.count(), before + 1, "{path} {fields:?}");
    }
    let plain = get(&host, "/plain/x", &[]).await;
    assert_eq!(status(&plain), "", "a route without a cache has none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_response_is_validated_and_used_again() {
    let origin = CountingOrigin::start(|request, _| {
        let fields = [("cache-control", "max-age=60"), ("age", "100"), ("etag", "\"a\""), ("x-made", "1")];
        match request.headers().get("if-none-match").is_some_and(|tag| tag == "\"a\"") {
            true => {
                let mut renewed =
                    response(&[("cache-control", "max-age=600"), ("etag", "\"a\""), ("x-made", "2")], "");
                *renewed.status_mut() = http::StatusCode::NOT_MODIFIED;
                renewed
            }
            false => response(&fields, "body"),
        }
    })
    .await;
    let host = origin.behind("true").await;
    assert_eq!(get(&host, "/x", &[]).await.text().await.unwrap(), "body");
    let deadline = Instant::now() + PATIENCE;
    let validated = loop {
        // The client's own condition does not stand in the way of the cache's.
        let answer = get(&host, "/x", &[("if-none-match", "\"b\"")]).await;
        if status(&answer).contains("fwd-status=304") {
            break answer;
        }
        assert!(Instant::now() < deadline, "{}", status(&answer));
    };
    assert_eq!(status(&validated), "hostel; fwd=stale; fwd-status=304; stored");
    assert_eq!(origin.last("if-none-match").as_deref(), Some("\"a\""));
    assert_eq!((validated.status().as_u16(), field(&validated, "x-made")), (200, "2".to_owned()));
    assert_eq!(validated.text().await.unwrap(), "body");
    let hit = get(&host, "/x", &[]).await;
    assert!(status(&hit).starts_with("hostel; hit; ttl="), "{}", status(&hit));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_response_may_answer_while_a_new_one_is_fetched() {
    let origin = CountingOrigin::start(|_, before| {
        let control = [("cache-control", "max-age=60, stale-while-revalidate=6000")];
        match before {
            0 => response(&[control[0], ("age", "100")], "old"),
            _ => response(&control, "new"),
        }
    })
    .await;
    let host = origin.behind("true").await;
    assert_eq!(get(&host, "/x", &[]).await.text().await.unwrap(), "old");
    let mut texts = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while texts.last().is_none_or(|text| text != "new") {
        assert!(Instant::now() < deadline, "{texts:?}");
        texts.push(get(&host, "/x", &[]).await.text().await.unwrap());
    }
    origin.asked(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_response_hides_errors_where_that_is_allowed() {
    let origin = CountingOrigin::start(|request, _| {
        if request.headers().contains_key("x-fail") {
            let mut failed = response(&[], "");
            *failed.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            return failed;
        }
        match request.uri().path() {
            "/strict" => response(
                &[("cache-control", "max-age=60, must-revalidate"), ("age", "100"), ("etag", "\"a\"")],
                "good",
            ),
            _ => response(&[("cache-control", "max-age=60"), ("age", "100")], "good"),
        }
    })
    .await;
    let host = origin.behind("{ stale-if-error = \"1h\" }").await;
    for path in ["/x", "/strict"] {
        assert_eq!(get(&host, path, &[]).await.text().await.unwrap(), "good");
    }
    let deadline = Instant::now() + PATIENCE;
    let hidden = loop {
        let answer = get(&host, "/x", &[("x-fail", "1")]).await;
        if answer.status() == 200 && status(&answer).contains("stale-if-error") {
            break answer;
        }
        assert!(Instant::now() < deadline, "{}", status(&answer));
    };
    assert_eq!(status(&hidden), "hostel; fwd=stale; fwd-status=503; detail=stale-if-error");
    assert_eq!(hidden.text().await.unwrap(), "good");
    assert_eq!(get(&host, "/strict", &[("x-fail", "1")]).await.status(), 503);
    origin.stop();
    let gone = get(&host, "/x", &[]).await;
    assert_eq!(gone.status(), 200, "{}", status(&gone));
    assert_eq!(get(&host, "/strict", &[]).await.status(), 502);
    assert_eq!(get(&host, "/never", &[]).await.status(), 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_makes_its_url_and_those_that_it_names_outdated() {
    let origin = CountingOrigin::start(|request, before| match *request.method() {
        Method::GET => response(&[("cache-control", "max-age=600")], before.to_string()),
        _ if request.uri().path() == "/fails" => {
            let mut answer = response(&[], "");
            *answer.status_mut() = http::StatusCode::CONFLICT;
            answer
        }
        _ => response(&[("location", "/y")], ""),
    })
    .await;
    let host = origin.behind("true").await;
    let mut kept = Vec::new();
    for path in ["/x", "/y", "/z", "/fails"] {
        get(&host, path, &[]).await.text().await.unwrap();
        kept.push(until_hit(&host, path, &[]).await.text().await.unwrap());
    }
    assert_eq!(ask(&host, Method::POST, "/x", &[]).await.status(), 200);
    assert_eq!(ask(&host, Method::DELETE, "/fails", &[]).await.status(), 409);
    for (index, (path, stays)) in
        [("/x", false), ("/y", false), ("/z", true), ("/fails", true)].into_iter().enumerate()
    {
        let text = get(&host, path, &[]).await.text().await.unwrap();
        assert_eq!(text == kept[index], stays, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_misses_at_once_ask_the_service_once() {
    let body = "x".repeat(100_000);
    let expected = body.clone();
    let origin = CountingOrigin::start_slow(DELAY, move |_, _| {
        response(&[("cache-control", "max-age=600")], body.clone())
    })
    .await;
    let host = Arc::new(origin.behind("true").await);
    let mut requests = JoinSet::new();
    for _ in 0..200 {
        let host = host.clone();
        requests.spawn(async move { get(&host, "/x", &[]).await.text().await.unwrap() });
    }
    while let Some(text) = requests.join_next().await {
        assert!(text.unwrap() == expected);
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_for_others_is_asked_for_by_everyone() {
    let origin = CountingOrigin::start_slow(DELAY, |_, before| {
        response(&[("cache-control", "private, max-age=600")], before.to_string())
    })
    .await;
    let host = Arc::new(origin.behind("true").await);
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let host = host.clone();
        requests.spawn(async move { get(&host, "/x", &[]).await.text().await.unwrap() });
    }
    let mut texts = requests.join_all().await;
    texts.sort();
    texts.dedup();
    assert_eq!((texts.len(), origin.count()), (20, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_leaves_hands_over() {
    let origin =
        CountingOrigin::start_slow(DELAY, |_, _| response(&[("cache-control", "max-age=600")], "body")).await;
    let host = origin.behind("true").await;
    let mut leader = TcpStream::connect(host.gateway_address()).await.unwrap();
    let address = host.gateway_address().to_string();
    leader.write_all(format!("GET /x HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    origin.asked(1).await;
    let follower = get(&host, "/x", &[]);
    let leave = async {
        leader.shutdown().await.unwrap();
        drop(leader);
    };
    let (answer, ()) = tokio::join!(follower, leave);
    assert_eq!(answer.text().await.unwrap(), "body");
    assert!(origin.count() <= 2, "{}", origin.count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_holds_up_nobody_else() {
    let body = "x".repeat(3 << 20);
    let length = body.len();
    let origin =
        CountingOrigin::start(move |_, _| response(&[("cache-control", "max-age=600")], body.clone())).await;
    let host = origin.behind("true").await;
    let mut slow = TcpStream::connect(host.gateway_address()).await.unwrap();
    let address = host.gateway_address().to_string();
    slow.write_all(format!("GET /x HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    slow.read_exact(&mut [0; 1]).await.unwrap();
    let fast = get(&host, "/x", &[]).await.bytes().await.unwrap();
    assert_eq!((fast.len(), origin.count()), (length, 1));
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_passes_through() {
    let body = "x".repeat(9 << 20);
    let length = body.len();
    let origin =
        CountingOrigin::start(move |_, _| response(&[("cache-control", "max-age=600")], body.clone())).await;
    let host = origin.behind("true").await;
    for count in 1..=2 {
        let answer = get(&host, "/x", &[]).await;
        assert_eq!(status(&answer), "hostel; fwd=uri-miss; detail=too-large");
        assert_eq!((answer.bytes().await.unwrap().len(), origin.count()), (length, count));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_the_response_of_another_language_host_or_user() {
    let origin = CountingOrigin::start(|request, _| {
        let text =
            |name: &str| request.headers().get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
        let who =
            format!("{} {} {}", text("x-forwarded-host"), text("accept-language"), text("authorization"));
        let control = if request.uri().path() == "/explicit" { "public, max-age=600" } else { "max-age=600" };
        let vary = if request.uri().path() == "/explicit" {
            "accept-language, authorization"
        } else {
            "Accept-Language"
        };
        response(&[("cache-control", control), ("vary", vary)], who)
    })
    .await;
    let host = Arc::new(origin.behind("true").await);
    let mut clients = JoinSet::new();
    for client in 0..64 {
        let host = host.clone();
        clients.spawn(async move {
            for round in 0..20 {
                let name = format!("h{}.example", (client + round) % 2);
                let language = ["de", "fr", "de, fr"][(client + round) % 3];
                let user = ["-", "Bearer a", "Bearer b"][(client / 3 + round) % 3];
                let mut fields = vec![("host", name.as_str()), ("accept-language", language)];
                if user != "-" {
                    fields.push(("authorization", user));
                }
                let path = ["/implicit", "/explicit"][round % 2];
                let text = get(&host, path, &fields).await.text().await.unwrap();
                assert_eq!(text, format!("{name} {language} {user}"), "{path}");
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert!(origin.count() < 64 * 20, "some of it was kept: asked {} times", origin.count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_want_only_what_is_kept() {
    let origin = CountingOrigin::start(|_, _| response(&[("cache-control", "max-age=600")], "body")).await;
    let host = origin.behind("true").await;
    let wish = [("cache-control", "only-if-cached")];
    let refused = get(&host, "/x", &wish).await;
    assert_eq!((refused.status().as_u16(), origin.count()), (504, 0));
    assert!(refused.text().await.unwrap().contains("urn:hostel:problem:not-cached"));
    get(&host, "/x", &[]).await.text().await.unwrap();
    until_hit(&host, "/x", &[]).await;
    assert_eq!(get(&host, "/x", &wish).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_throw_away_what_is_kept_and_a_reload_does_not() {
    let origin = CountingOrigin::start(|request, _| {
        response(&[("cache-control", "max-age=600"), ("surrogate-key", "all")], request.uri().path())
    })
    .await;
    let host = origin.behind("true").await;
    for path in ["/a/1", "/a/2", "/b"] {
        get(&host, path, &[]).await.text().await.unwrap();
        until_hit(&host, path, &[]).await;
    }
    let another = "[[routes]]\npath = \"/another\"\nservice = \"shop\"\n";
    host.write_config(&format!("{another}{}", origin.config("true")));
    assert_eq!(host.admin().post("/reload", &serde_json::json!({})).await.status, 200);
    assert_eq!(status(&get(&host, "/another", &[]).await), "", "the new route is there");
    assert!(status(&get(&host, "/b", &[]).await).contains("; hit"));
    let purged = |arguments: &[&str]| {
        let arguments: Vec<_> = ["cache", "purge"].iter().chain(arguments).copied().collect();
        host.run_json(&arguments)["responses"].clone()
    };
    assert_eq!(purged(&["--path", "/a/*"]), 2);
    assert!(status(&get(&host, "/b", &[]).await).contains("; hit"));
    assert!(status(&get(&host, "/a/1", &[]).await).contains("fwd=uri-miss"));
    assert_eq!(purged(&["--tag", "none"]), 0);
    assert_eq!(purged(&["--path", "/b", "--tag", "all"]), 1);
    let (code, _, errors) = host.run(&["cache", "purge", "--path", "b"]);
    assert!(code == Some(1) && errors.contains("begins with `/`"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_behind_an_answer_is_for_the_same_host_and_scheme() {
    let origin = CountingOrigin::start(|request, count| {
        let seen = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let body = format!("{count} {}://{}", seen("x-forwarded-proto"), seen("x-forwarded-host"));
        response(&[("cache-control", "max-age=0, stale-while-revalidate=600")], body)
    })
    .await;
    let config = format!("trusted-proxies = [\"127.0.0.1\"]\n{}", origin.config("true"));
    let host = Host::start(&config).await;
    let proxied = [("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example")];
    let first = get(&host, "/x", &proxied).await.text().await.unwrap();
    assert!(first.ends_with(" https://shop.example"), "{first}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let body = get(&host, "/x", &proxied).await.text().await.unwrap();
        assert!(body.ends_with(" https://shop.example"), "{body}");
        if body != first {
            break;
        }
        assert!(Instant::now() < deadline, "nothing is fetched behind it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_throw_away_what_is_kept_by_a_message() {
    let purged_by = "[gateway.cache]\npurged-by = [\"default/probe.purge\"]\n";
    let probe = crate::limits::probe("probe", "instances = { max = 1 }")
        .replace("service = \"probe\"", "service = \"probe\"\ncache = true");
    let host = Host::start(&format!("{purged_by}{probe}")).await;
    let kept = |number: u32| {
        format!("/probe/say?{number}&header=cache-control:max-age%3D600&header=surrogate-key:tag{number}")
    };
    for number in [1, 2] {
        get(&host, &kept(number), &[]).await.text().await.unwrap();
        until_hit(&host, &kept(number), &[]).await;
    }
    let publish = |body: &str| {
        let path = format!("/probe/publish?topic=probe.purge&body={}", body.replace('"', "%22"));
        let client = host.client();
        async move { assert!(client.get(&path).await.body["done"].is_string()) }
    };
    publish("no purge").await;
    publish("{\"path\":\"probe\"}").await;
    publish("{\"tag\":\"tag1\"}").await;
    let deadline = Instant::now() + PATIENCE;
    while status(&get(&host, &kept(1), &[("cache-control", "only-if-cached")]).await).contains("; hit") {
        assert!(Instant::now() < deadline, "the purge is not heard");
    }
    assert!(status(&get(&host, &kept(2), &[]).await).contains("; hit"), "another tag stays");
    // What is no purge is a dead letter of the host, with the reason.
    let dead = host.run_json(&["messages", "dead"]);
    let letters = dead.as_array().unwrap();
    assert_eq!(letters.len(), 2, "{dead}");
    assert!(letters.iter().all(|letter| letter["service"] == "hostel"), "{dead}");
    // Without the topic nothing is heard any more.
    host.write_config(&probe);
    assert_eq!(host.admin().post("/reload", &serde_json::json!({})).await.status, 200);
    let topics = host.run_json(&["messages"]).to_string();
    assert!(!topics.contains("\"hostel\""), "{topics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_of_components_are_kept_too() {
    let host = Host::start(
        &crate::limits::probe("probe", "instances = { max = 1 }")
            .replace("service = \"probe\"", "service = \"probe\"\ncache = { default-time = \"10m\" }"),
    )
    .await;
    let path = "/probe/say?header=cache-control:max-age%3D600&body=hello";
    let first = get(&host, path, &[]).await;
    assert_eq!((field(&first, "x-count"), first.text().await.unwrap()), ("1".to_owned(), "hello".to_owned()));
    let hit = until_hit(&host, path, &[]).await;
    let count = field(&hit, "x-count");
    assert_eq!(field(&get(&host, path, &[]).await, "x-count"), count);
    until_hit(&host, "/probe/say", &[]).await;
    let stopped = get(&host, "/probe/say?header=cache-control:no-store", &[]).await;
    assert_eq!(status(&stopped), "hostel; fwd=uri-miss; detail=no-store");
}
