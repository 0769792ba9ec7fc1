//! The contract of the message broker: what it stores, in which order it delivers, how often, and to whom.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostel::backends::database::OutboxEntry;
use hostel::backends::messaging::{
    Broker, Consumer, Delivery, Message, MessagingError, MessagingSettings, Outcome, Reply,
};
use hostel::names::{ServiceName, Topic, TopicPattern};

/// Longer than anything here takes, so that a test that waits in vain fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("hostel-messaging-{}", uuid::Uuid::now_v7().simple())))
    }

    fn file(&self) -> PathBuf {
        self.0.join("domain").join("messages.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn quick() -> MessagingSettings {
    MessagingSettings {
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(20),
        ..MessagingSettings::default()
    }
}

async fn open(path: &Path, settings: MessagingSettings) -> Broker {
    Broker::open("shop".parse().unwrap(), path, settings).await.unwrap()
}

async fn subscribe(broker: &Broker, name: &str, patterns: &[&str]) {
    let patterns: Vec<TopicPattern> = patterns.iter().map(|it| it.parse().unwrap()).collect();
    broker.set_subscription(&service(name), patterns).await.unwrap();
}

fn service(name: &str) -> ServiceName {
    name.parse().unwrap()
}

fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

fn message(key: Option<&str>, body: &str) -> Message {
    let headers = vec![("kind".to_owned(), "test".to_owned())];
    Message { id: None, key: key.map(str::to_owned), headers, body: body.to_owned().into() }
}

async fn publish(broker: &Broker, key: Option<&str>, body: &str) -> String {
    broker.publish(&service("order"), &topic("order.placed"), message(key, body)).await.unwrap()
}

async fn next(consumer: &mut Consumer) -> Delivery {
    tokio::time::timeout(PATIENCE, consumer.next()).await.expect("no delivery came").expect("closed")
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.body.to_vec()).unwrap()
}

fn retry() -> Outcome {
    Outcome::Retry { after: None, reason: "not now".into() }
}

/// What is left for a subscriber: `(ready, delayed, in flight, dead)`.
async fn left(broker: &Broker, name: &str) -> (u64, u64, u64, u64) {
    let all = broker.status().await.unwrap();
    let one = all.iter().find(|status| status.service.as_str() == name).unwrap();
    (one.ready, one.delayed, one.in_flight, one.dead)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_as_it_was_published_once_a_service() {
    let folder = Folder::new();
    let broker = open(&folder.file(), quick()).await;
    subscribe(&broker, "stock", &["order.*"]).await;
    subscribe(&broker, "billing", &["order.placed", "order.>"]).await;
    let id = publish(&broker, Some("k"), "hello").await;
    for name in ["stock", "billing"] {
        let mut consumer = broker.consume(&service(name));
        let delivery = next(&mut consumer).await;
        assert_eq!((delivery.id.as_str(), text(&delivery).as_str()), (id.as_str(), "hello"));
        assert_eq!((delivery.topic.as_str(), delivery.source.as_str()), ("order.placed", "order"));
        assert_eq!((delivery.domain.as_str(), delivery.attempt), ("shop", 1));
        assert_eq!((delivery.key.as_deref(), delivery.headers.len()), (Some("k"), 1));
        assert!(!delivery.wants_reply);
        assert_eq!(left(&broker, name).await, (0, 0, 1, 0));
        delivery.settle(Outcome::Done).await.unwrap();
        assert_eq!(left(&broker, name).await, (0, 0, 0, 0));
    }
    let topics = broker.topics().await.unwrap();
    assert_eq!((topics[0].topic.as_str(), topics[0].messages, topics.len()), ("order.placed", 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_gets_only_its_topics_from_then_on() {
    let folder = Folder::new();
    let broker = open(&folder.file(), quick()).await;
    publish(&broker, None, "too early").await;
    subscribe(&broker, "stock", &["order.*.eu", "stock.>"]).await;
    for name in ["order.placed", "order.placed.us", "order.placed.eu", "stock", "stock.a.b"] {
        broker.publish(&service("order"), &topic(name), message(None, name)).await.unwrap();
    }
    let mut consumer = broker.consume(&service("stock"));
    for expected in ["order.placed.eu", "stock.a.b"] {
        let delivery = next(&mut consumer).await;
        assert_eq!(text(&delivery), expected);
        delivery.settle(Outcome::Done).await.unwrap();
    }
    assert_eq!(left(&broker, "stock").await, (0, 0, 0, 0));
    subscribe(&broker, "stock", &[]).await;
    assert!(broker.status().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_keeps_its_order_over_retries_and_a_restart_and_blocks_no_other() {
    let folder = Folder::new();
    let broker = open(&folder.file(), quick()).await;
    subscribe(&broker, "stock", &["order.placed"]).await;
    for (key, body) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")] {
        publish(&broker, Some(key), body).await;
    }
    let mut consumer = broker.consume(&service("stock"));
    let (first, other) = (next(&mut consumer).await, next(&mut consumer).await);
    assert_eq!((text(&first).as_str(), text(&other).as_str()), ("a1", "b1"));
    other.settle(Outcome::Done).await.unwrap();
    first.settle(retry()).await.unwrap();
    let again = next(&mut consumer).await;
    assert_eq!((text(&again).as_str(), again.attempt), ("a1", 2));
    again.settle(retry()).await.unwrap();
    drop((consumer, broker));

    let broker = open(&folder.file(), quick()).await;
    let mut consumer = broker.consume(&service("stock"));
    for (expected, attempt) in [("a1", 3), ("a2", 1), ("a3", 1)] {
        let delivery = next(&mut consumer).await;
        assert_eq!((text(&delivery).as_str(), delivery.attempt), (expected, attempt));
        delivery.settle(Outcome::Done).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_poisoned_key_nor_delayed_messages_hold_up_the_rest() {
    let folder = Folder::new();
    let broker = open(&folder.file(), quick()).await;
    subscribe(&broker, "stock", &["order.placed"]).await;
    for number in 0..1_500 {
        let key = Some("poisoned").filter(|_| number % 2 == 0);
        let message = message(key, if key.is_some() { "poisoned" } else { "delayed" });
        broker.publish(&service("order"), &topic("order.placed"), message).await.unwrap();
    }
    publish(&broker, None, "last").await;
    let mut consumer = broker.consume(&service("stock"));
    let hour = Some(Duration::from_secs(3_600));
    loop {
        let delivery = next(&mut consumer).await;
        if text(&delivery) == "last" {
            delivery.settle(Outcome::Done).await.unwrap();
            break;
        }
        delivery.settle(Outcome::Retry { after: hour, reason: "later".into() }).await.unwrap();
    }
    assert_eq!(left(&broker, "stock").await.1, 751);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_dies_after_its_attempts_and_can_be_sent_again() {
    let folder = Folder::new();
    let broker = open(&folder.file(), MessagingSettings { attempts_max: 3, ..quick() }).await;
    subscribe(&broker, "stock", &["order.placed"]).await;
    let id = publish(&broker, Some("k"), "poison").await;
    publish(&broker, Some("k"), "fine").await;
    let mut consumer = broker.consume(&service("stock"));
    for attempt in 1..=3 {
        let delivery = next(&mut consumer).await;
        assert_eq!((text(&delivery).as_str(), delivery.attempt), ("poison", attempt));
        delivery.settle(retry()).await.unwrap();
    }
    let delivery = next(&mut consumer).await;
    assert_eq!(text(&delivery), "fine");
    delivery.settle(Outcome::Reject("unreadable".into())).await.unwrap();
    assert_eq!(left(&broker, "stock").await, (0, 0, 0, 2));

    let letters = broker.dead_letters(Some(&service("stock")), 0, 10).await.unwrap();
    let told: Vec<_> = letters.iter().map(|letter| (letter.reason.as_str(), letter.attempts)).collect();
    assert_eq!(told, [("not now", 3), ("unreadable", 1)]);
    assert_eq!(broker.dead_letters(None, letters[0].sequence, 10).await.unwrap().len(), 1);
    assert!(broker.dead_letters(Some(&service("billing")), 0, 10).await.unwrap().is_empty());
    let letter = broker.dead_letter(letters[0].sequence).await.unwrap().unwrap();
    assert_eq!((letter.id.as_str(), &letter.body[..]), (id.as_str(), &b"poison"[..]));

    broker.send_again(letter.sequence).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!((delivery.id.as_str(), delivery.attempt), (id.as_str(), 1));
    delivery.settle(Outcome::Done).await.unwrap();
    assert_eq!(left(&broker, "stock").await, (0, 0, 0, 1));
    assert!(broker.dead_letter(letter.sequence).await.unwrap().is_none());
    let twice = broker.send_again(letter.sequence).await;
    assert!(matches!(twice, Err(MessagingError::Denied(_))), "{twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_message_with_an_id_is_dropped_within_the_retention() {
    let folder = Folder::new();
    let broker = open(&folder.file(), MessagingSettings { retention: Duration::ZERO, ..quick() }).await;
    subscribe(&broker, "stock", &["order.placed"]).await;
    let order = service("order");
    let named = |body: &str| Message { id: Some("same".into()), ..message(None, body) };
    for body in ["first", "second"] {
        let id = broker.publish(&order, &topic("order.placed"), named(body)).await.unwrap();
        assert_eq!(id, "same");
    }
    broker.publish(&service("payment"), &topic("order.placed"), named("other publisher")).await.unwrap();
    broker.sweep().await.unwrap();
    assert_eq!(broker.topics().await.unwrap()[0].messages, 2, "unsettled messages stay");
    let mut consumer = broker.consume(&service("stock"));
    for expected in ["first", "other publisher"] {
        let delivery = next(&mut consumer).await;
        assert_eq!(text(&delivery), expected);
        delivery.settle(Outcome::Done).await.unwrap();
    }
    while !broker.topics().await.unwrap().is_empty() {
        broker.sweep().await.unwrap();
    }
    broker.publish(&order, &topic("order.placed"), named("after the retention")).await.unwrap();
    assert_eq!(text(&next(&mut consumer).await), "after the retention");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_is_relayed_twice_adds_nothing_twice() {
    let folder = Folder::new();
    let broker = open(&folder.file(), quick()).await;
    subscribe(&broker, "stock", &["order.placed"]).await;
    let order = service("order");
    let entries = |range: std::ops::RangeInclusive<i64>| -> Vec<OutboxEntry> {
        let entry = |sequence: i64| {
            let message = message(Some("k"), &sequence.to_string());
            OutboxEntry { sequence, topic: topic("order.placed"), message }
        };
        range.map(entry).collect()
    };
    assert_eq!(broker.relayed_position(&order).await.unwrap(), 0);
    broker.append_relayed(&order, entries(1..=3)).await.unwrap();
    drop(broker);
    let broker = open(&folder.file(), quick()).await;
    assert_eq!(broker.relayed_position(&order).await.unwrap(), 3);
    broker.append_relayed(&order, entries(1..=3)).await.unwrap();
    broker.append_relayed(&order, entries(2..=5)).await.unwrap();
    assert_eq!(left(&broker, "stock").await, (5, 0, 0, 0));
    let mut consumer = broker.consume(&service("stock"));
    for expected in ["1", "2", "3", "4", "5"] {
        let delivery = next(&mut consumer).await;
        assert_eq!(text(&delivery), expected);
        delivery.settle(Outcome::Done).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_gets_the_reply_of_a_subscriber_that_is_there() {
    let folder = Folder::new();
    let broker = open(&folder.file(), quick()).await;
    subscribe(&broker, "stock", &["stock.*"]).await;
    let ask = |timeout| {
        let broker = broker.clone();
        async move {
            broker.request(&service("order"), &topic("stock.level"), message(None, "apples?"), timeout).await
        }
    };
    let nobody = ask(PATIENCE).await;
    assert!(matches!(nobody, Err(MessagingError::NoResponder(_))), "{nobody:?}");

    let mut consumer = broker.consume(&service("stock"));
    let asking = tokio::spawn(ask(PATIENCE));
    let delivery = next(&mut consumer).await;
    assert!(delivery.wants_reply);
    let reply = Reply { headers: vec![], body: "7".into() };
    delivery.settle(Outcome::Reply(reply)).await.unwrap();
    assert_eq!(&asking.await.unwrap().unwrap().body[..], b"7");

    let asking = tokio::spawn(ask(PATIENCE));
    next(&mut consumer).await.settle(Outcome::Reject("no".into())).await.unwrap();
    assert!(asking.await.unwrap().is_err());
    let late = ask(Duration::from_millis(1)).await;
    assert!(matches!(late, Err(MessagingError::Timeout(_))), "{late:?}");
    assert_eq!(left(&broker, "stock").await, (0, 0, 0, 0), "requests are not stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_named() {
    let folder = Folder::new();
    let settings = MessagingSettings { backlog_max: 2, message_bytes_max: 100, ..quick() };
    let broker = open(&folder.file(), settings).await;
    let try_publish = |body: String| {
        let broker = broker.clone();
        async move { broker.publish(&service("order"), &topic("order.placed"), message(None, &body)).await }
    };
    let long = try_publish("x".repeat(101)).await;
    assert!(matches!(&long, Err(MessagingError::Limit(text)) if text.contains("100")), "{long:?}");
    subscribe(&broker, "stock", &["order.placed"]).await;
    publish(&broker, None, "1").await;
    publish(&broker, None, "2").await;
    let full = try_publish("3".into()).await;
    assert!(matches!(&full, Err(MessagingError::Limit(text)) if text.contains("stock")), "{full:?}");
    let mut consumer = broker.consume(&service("stock"));
    next(&mut consumer).await.settle(Outcome::Done).await.unwrap();
    publish(&broker, None, "3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_settled_is_delivered_again() {
    let folder = Folder::new();
    let broker = open(&folder.file(), quick()).await;
    subscribe(&broker, "stock", &["order.placed"]).await;
    for body in ["1", "2", "3"] {
        publish(&broker, Some("k"), body).await;
    }
    let mut consumer = broker.consume(&service("stock"));
    drop(next(&mut consumer).await);
    let delivery = next(&mut consumer).await;
    assert_eq!((text(&delivery).as_str(), delivery.attempt), ("1", 2), "a lost delivery is a failed attempt");

    // A new consumer takes over; what the old one is handling blocks its key until it is settled.
    let mut successor = broker.consume(&service("stock"));
    assert!(consumer.next().await.is_none(), "the consumer before is closed");
    publish(&broker, None, "keyless").await;
    let other = next(&mut successor).await;
    assert_eq!(text(&other), "keyless");
    delivery.settle(Outcome::Done).await.unwrap();
    let second = next(&mut successor).await;
    assert_eq!(text(&second), "2");

    // As after a crash: nothing of what is out was settled.
    let again = open(&folder.file(), quick()).await;
    let mut consumer = again.consume(&service("stock"));
    let found: BTreeSet<String> = [text(&next(&mut consumer).await)].into();
    assert!(found.is_subset(&["2".to_owned(), "keyless".to_owned()].into()), "{found:?}");
    drop((other, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_publishers_lose_and_double_nothing() {
    const PUBLISHERS: usize = 32;
    const MESSAGES: usize = 1_000;
    let folder = Folder::new();
    let broker = open(&folder.file(), quick()).await;
    subscribe(&broker, "stock", &["order.placed"]).await;
    let mut consumer = broker.consume(&service("stock"));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let broker = broker.clone();
            tokio::spawn(async move {
                for number in (publisher..MESSAGES).step_by(PUBLISHERS) {
                    publish(&broker, Some(&publisher.to_string()), &number.to_string()).await;
                }
            })
        })
        .collect();
    let mut found = BTreeMap::<String, Vec<usize>>::new();
    for _ in 0..MESSAGES {
        let delivery = next(&mut consumer).await;
        let key = delivery.key.clone().unwrap();
        found.entry(key).or_default().push(text(&delivery).parse().unwrap());
        tokio::spawn(delivery.settle(Outcome::Done));
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    assert!(found.values().all(|numbers| numbers.is_sorted()), "a key lost its order");
    let all: BTreeSet<usize> = found.into_values().flatten().collect();
    assert_eq!(all.len(), MESSAGES);
}
