//! Messages between guests: requests with replies, and deliveries that a crash interrupts.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::limits::probe;
use crate::support::host::Host;

/// Messages that are published while the host is killed again and again.
const MESSAGES: usize = 200;

/// How often the host is killed.
const KILLS: usize = 5;

/// How long the last delivery may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_by_a_guest_that_subscribes() {
    let answerer = probe("answerer", "subscribes = [\"probe.*\"]");
    let host = Host::start(&(probe("asker", "") + &answerer)).await;
    let client = host.client();
    assert_eq!(client.get("/asker/ask").await.body, json!({ "done": "\"answerer\"" }));
    let ungranted = client.get("/asker/ask?topic=order.placed").await.body;
    assert_eq!(ungranted["error"], "denied", "{ungranted}");
    let rejected = client.get("/asker/ask?body=reject").await.body;
    assert!(rejected["error"].is_string(), "{rejected}");
    host.write_config(&(probe("asker", "") + &probe("answerer", "")));
    host.logged("the configuration was reloaded").await;
    let nobody = client.get("/asker/ask").await.body;
    assert_eq!(nobody["error"], "no-responder", "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_messages_are_handled_loses_none_and_repeats_no_effect() {
    let mut host = Host::start(&probe("probe", "subscribes = [\"probe.*\"]")).await;
    let mut published = 0;
    for _ in 0..KILLS {
        let client = host.client();
        let mut calls = JoinSet::new();
        for _ in 0..MESSAGES / KILLS {
            let client = client.clone();
            calls.spawn(async move { client.get("/probe/publish?topic=probe.work").await });
        }
        while let Some(call) = calls.join_next().await {
            let answer = call.unwrap();
            assert!(answer.body["done"].is_string(), "{answer:?}");
            published += 1;
        }
        // Some deliveries are done, some under way, some not begun: at any of them.
        host.kill();
        host.launch().await;
    }
    let deadline = Instant::now() + PATIENCE;
    let deliveries = loop {
        let body = host.client().get("/probe/deliveries").await.body;
        let deliveries = body["done"].as_array().unwrap().clone();
        let done = deliveries.iter().filter(|it| it["effects"] == 1).count();
        if done == published {
            break deliveries;
        }
        assert!(Instant::now() < deadline, "{done} of {published} had their effect");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(deliveries.len(), published, "each message has one row");
}
