//! What the answers of a service do to what the cache keeps, and what the asker gets of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use reqwest::Method;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cache::{PATIENCE, ask, field, get, response, status, until_hit};
use crate::support::counting_origin::CountingOrigin;
use crate::support::host::Host;
use crate::support::origin::{Origin, route};

/// How long the origin takes where requests shall be on their way at once.
const LONG_DELAY: Duration = Duration::from_secs(2);

/// Less than a request waits for the end of another one's body.
const WAITED: Duration = Duration::from_secs(8);

/// The service that has it still says this.
fn unchanged(fields: &[(&str, &str)]) -> http::Response<String> {
    let mut unchanged = response(fields, "");
    *unchanged.status_mut() = http::StatusCode::NOT_MODIFIED;
    unchanged
}

/// Asks until the service is asked whether the kept one is still right: it is kept a moment after it was sent.
async fn until_validated(host: &Host, path: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = get(host, path, &[]).await;
        if status(&answer).contains("fwd-status=304") {
            return;
        }
        assert!(Instant::now() < deadline, "never validated: {}", status(&answer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_the_hosts_that_it_tells_are_kept_apart() {
    let origin = CountingOrigin::start(|request, before| {
        let told = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let seen = format!("{} {} {before}", told("x-forwarded-host"), told("x-forwarded-port"));
        response(&[("cache-control", "max-age=600")], seen)
    })
    .await;
    let host = Host::start(&format!("trusted-proxies = [\"127.0.0.0/8\"]\n{}", origin.config("true"))).await;
    let asked = [("a.example", "80"), ("b.example", "80"), ("a.example", "8080")];
    let fields = |(name, port)| [("host", "gateway"), ("x-forwarded-host", name), ("x-forwarded-port", port)];
    let mut kept = Vec::new();
    for (name, port) in asked {
        let first = get(&host, "/x", &fields((name, port))).await.text().await.unwrap();
        assert!(first.starts_with(&format!("{name} {port} ")), "{first}");
        kept.push(until_hit(&host, "/x", &fields((name, port))).await.text().await.unwrap());
    }
    assert_eq!(ask(&host, Method::POST, "/x", &fields(asked[0])).await.status(), 200);
    for (asked, kept) in asked.into_iter().zip(kept) {
        let is_changed = asked == ("a.example", "80");
        let text = get(&host, "/x", &fields(asked)).await.text().await.unwrap();
        assert_eq!(text != kept, is_changed, "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_304_says_reaches_its_asker_and_decides_for_others() {
    let stale = [("cache-control", "public, max-age=60"), ("age", "100"), ("etag", "\"a\"")];
    let origin = CountingOrigin::start(move |request, _| {
        let is_validated = request.headers().contains_key("if-none-match");
        match (is_validated, request.headers().contains_key("x-stop")) {
            (false, _) => response(&stale, "body"),
            (true, true) => unchanged(&[("cache-control", "private"), ("set-cookie", "b=2")]),
            (true, false) => unchanged(&[("cache-control", "public, max-age=0"), ("set-cookie", "a=1")]),
        }
    })
    .await;
    let host = origin.behind("true").await;
    until_validated(&host, "/x").await;
    let renewed = get(&host, "/x", &[]).await;
    assert_eq!(status(&renewed), "hostel; fwd=stale; fwd-status=304; stored");
    assert_eq!((field(&renewed, "set-cookie"), field(&renewed, "age")), ("a=1".to_owned(), "0".to_owned()));
    let copy = get(&host, "/x", &[("if-none-match", "\"a\"")]).await;
    assert_eq!((copy.status().as_u16(), field(&copy, "set-cookie")), (304, "a=1".to_owned()));
    let stopped = get(&host, "/x", &[("x-stop", "1")]).await;
    assert_eq!(status(&stopped), "hostel; fwd=stale; fwd-status=304; detail=private");
    assert_eq!((stopped.status().as_u16(), field(&stopped, "cache-control")), (200, "private".to_owned()));
    assert_eq!((field(&stopped, "set-cookie"), field(&stopped, "age")), ("b=2".to_owned(), "0".to_owned()));
    assert_eq!(stopped.text().await.unwrap(), "body");
    assert_eq!(status(&get(&host, "/x", &[]).await), "hostel; fwd=uri-miss; stored", "it is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_about_the_asker_leave_what_is_kept_alone() {
    let origin = CountingOrigin::start(|request, _| {
        if let Some(status) = request.headers().get("x-status") {
            let mut refusal = response(&[("content-length", "0")], "");
            *refusal.status_mut() = status.to_str().unwrap().parse().unwrap();
            return refusal;
        }
        match request.headers().contains_key("if-none-match") {
            true => unchanged(&[]),
            false => response(
                &[("last-modified", "Tue, 14 Nov 2000 22:03:20 GMT"), ("age", "100000"), ("etag", "\"a\"")],
                "body",
            ),
        }
    })
    .await;
    let host = origin.behind("true").await;
    until_validated(&host, "/x").await;
    let personal = [("cookie", "a=1"), ("cache-control", "no-cache")];
    let no_store = [("cache-control", "no-store, no-cache")];
    for fields in [&personal, &no_store[..]] {
        assert!(status(&get(&host, "/x", fields).await).contains("fwd-status=304"), "{fields:?}");
    }
    for refused in ["400", "406", "429"] {
        let fields = [("x-status", refused), ("cache-control", "no-cache")];
        assert_eq!(get(&host, "/x", &fields).await.status().as_str(), refused);
        assert_eq!(ask(&host, Method::HEAD, "/x", &fields).await.status().as_str(), refused);
    }
    let mut before = origin.count();
    until_hit(&host, "/x", &[]).await;
    assert_eq!(origin.count(), before, "still kept, and fresh since it was validated");
    before = origin.count();
    assert_eq!(get(&host, "/x", &[("cache-control", "no-cache")]).await.status(), 200);
    assert_eq!((origin.count(), origin.last("if-none-match").as_deref()), (before + 1, Some("\"a\"")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_validated_each_time_is_asked_for_by_all_at_once() {
    let origin = CountingOrigin::start_slow(LONG_DELAY, |request, _| {
        match request.headers().contains_key("if-none-match") {
            true => unchanged(&[]),
            false => response(&[("cache-control", "no-cache"), ("etag", "\"a\"")], "body"),
        }
    })
    .await;
    let host = Arc::new(origin.behind("true").await);
    until_validated(&host, "/x").await;
    let before = origin.count();
    let mut requests = JoinSet::new();
    for _ in 0..5 {
        let host = host.clone();
        requests.spawn(async move { get(&host, "/x", &[]).await.text().await.unwrap() });
    }
    origin.asked(before + 5).await;
    assert!(requests.try_join_next().is_none(), "nobody waited for another one");
    assert_eq!(requests.join_all().await, ["body"; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_turned_out_too_long_is_asked_for_by_all_at_once() {
    let (gate, is_open) = watch::channel(true);
    let asked = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start({
        let asked = asked.clone();
        move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            let mut is_open = is_open.clone();
            let body = stream::once(async move {
                is_open.wait_for(|is_open| *is_open).await.unwrap();
                Ok(Frame::data(Bytes::from(vec![b'x'; 4 << 10])))
            });
            let response = http::Response::builder().header("cache-control", "max-age=600");
            response.body(StreamBody::new(body).boxed_unsync()).unwrap()
        }
    })
    .await;
    let cache = "[gateway.cache]\nentry = \"1KiB\"\n";
    let host = Host::start(&[cache, &origin.section(), &route("", "cache = true")].concat()).await;
    let host = Arc::new(host);
    assert_eq!(get(&host, "/x", &[]).await.bytes().await.unwrap().len(), 4 << 10);
    gate.send_replace(false);
    let before = asked.load(Ordering::Relaxed);
    let mut requests = JoinSet::new();
    for _ in 0..5 {
        let host = host.clone();
        requests.spawn(async move { get(&host, "/x", &[]).await.bytes().await.unwrap().len() });
    }
    let deadline = Instant::now() + WAITED;
    while asked.load(Ordering::Relaxed) < before + 5 {
        assert!(Instant::now() < deadline, "they wait for each other");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    gate.send_replace(true);
    assert_eq!(requests.join_all().await, [4 << 10; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_the_same_response_makes_it_fresh_again() {
    let origin = CountingOrigin::start(|request, _| match *request.method() {
        Method::HEAD => response(&[("cache-control", "max-age=600"), ("etag", "\"a\"")], "body"),
        _ => response(&[("cache-control", "max-age=60"), ("age", "100"), ("etag", "\"a\"")], "body"),
    })
    .await;
    let host = origin.behind("true").await;
    assert_eq!(get(&host, "/x", &[]).await.text().await.unwrap(), "body");
    let deadline = Instant::now() + PATIENCE;
    while !status(&ask(&host, Method::HEAD, "/x", &[]).await).contains("; hit") {
        assert!(Instant::now() < deadline, "never fresh");
    }
    let hit = get(&host, "/x", &[]).await;
    assert!(status(&hit).contains("; hit"), "{}", status(&hit));
    assert_eq!(hit.text().await.unwrap(), "body");
}
