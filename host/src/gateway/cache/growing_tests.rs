//! A body that comes, seen by those who read it.

use futures::StreamExt;
use tokio::sync::mpsc;

use super::*;
use crate::config::CacheRules;
use crate::gateway::cache::kept::{Head, Kept, Scope};
use crate::gateway::cache::origin::Origin;
use crate::gateway::cache::policy::Exchange;
use crate::gateway::cache::store::{Key, Store};

const LIMIT: u64 = 8;

type Sender = mpsc::Sender<Result<Frame<Bytes>, BodyError>>;

fn budget() -> Arc<Budget> {
    Arc::new(Budget::new(100))
}

/// A body that a test feeds.
fn origin() -> (Sender, Body) {
    let (sender, receiver) = mpsc::channel(10);
    let stream = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    (sender, StreamBody::new(stream.boxed()).boxed_unsync())
}

async fn feed(sender: &Sender, text: &'static str) {
    sender.send(Ok(Frame::data(Bytes::from_static(text.as_bytes())))).await.unwrap();
}

/// Collects in a task; answers what was kept, or else whether it was too long.
fn collect(
    growing: &Arc<Growing>,
    origin: Body,
    length: Option<u64>,
) -> (Body, tokio::task::JoinHandle<Result<Bytes, bool>>) {
    let (body, rest) = growing.lead();
    let growing = growing.clone();
    let task = tokio::spawn(async move {
        let mut kept = None;
        let is_too_long = growing.collect(origin, rest, length, LIMIT, |bytes| kept = Some(bytes)).await;
        kept.ok_or(is_too_long)
    });
    (body, task)
}

async fn text(body: Body) -> Result<String, BodyError> {
    let bytes = body.collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn a_body_is_kept_whole_and_read_by_all() {
    let growing = Growing::new(Some(6), &budget()).unwrap();
    let (sender, origin) = origin();
    let (first, task) = collect(&growing, origin, Some(6));
    feed(&sender, "abc").await;
    let second = growing.follow().await.unwrap();
    feed(&sender, "def").await;
    drop(sender);
    assert_eq!(task.await.unwrap().unwrap(), "abcdef");
    assert_eq!(text(second).await.unwrap(), "abcdef");
    assert_eq!(text(first).await.unwrap(), "abcdef");
    assert_eq!(text(growing.follow().await.unwrap()).await.unwrap(), "abcdef");
}

#[tokio::test]
async fn a_body_that_outgrows_its_place_goes_to_the_first_client_alone() {
    let growing = Growing::new(None, &budget()).unwrap();
    let (sender, origin) = origin();
    let (first, task) = collect(&growing, origin, None);
    let follower = tokio::spawn({
        let growing = growing.clone();
        async move { growing.follow().await.is_some() }
    });
    feed(&sender, "abcdef").await;
    feed(&sender, "ghijkl").await;
    feed(&sender, "mno").await;
    drop(sender);
    assert_eq!(task.await.unwrap(), Err(true));
    assert!(!follower.await.unwrap());
    assert_eq!(text(first).await.unwrap(), "abcdefghijklmno");
}

#[tokio::test]
async fn a_broken_body_is_broken_for_all_and_kept_by_none() {
    let check = async |length: Option<u64>, error: Option<BodyError>| {
        let growing = Growing::new(length, &budget()).unwrap();
        let (sender, origin) = origin();
        let (first, task) = collect(&growing, origin, length);
        feed(&sender, "abc").await;
        if let Some(error) = error {
            sender.send(Err(error)).await.unwrap();
        }
        drop(sender);
        assert_eq!(task.await.unwrap(), Err(false));
        assert!(text(first).await.is_err());
        assert!(growing.follow().await.is_none());
    };
    check(None, Some(BodyError::Idle)).await;
    check(Some(6), Some(BodyError::Idle)).await;
    check(Some(6), None).await;
    check(Some(2), None).await;
}

#[tokio::test]
async fn the_service_is_let_go_when_all_have_left() {
    let growing = Growing::new(None, &budget()).unwrap();
    let (sender, origin) = origin();
    let (first, task) = collect(&growing, origin, None);
    feed(&sender, "abc").await;
    drop(first);
    assert_eq!(task.await.unwrap(), Err(false));
    assert!(sender.is_closed());
    assert!(growing.follow().await.is_none());
}

#[tokio::test]
async fn bodies_that_come_share_a_budget() {
    let budget = budget();
    let growing = Growing::new(Some(60), &budget).unwrap();
    assert!(Growing::new(Some(41), &budget).is_none());
    assert!(Growing::new(Some(40), &budget).is_some());
    drop(growing);
    assert!(Growing::new(Some(100), &budget).is_some());
    assert_eq!(budget.taken.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn a_body_counts_once_and_for_as_long_as_anybody_holds_it() {
    let budget = budget();
    let growing = Growing::new(Some(6), &budget).unwrap();
    let (sender, origin) = origin();
    let (slow, task) = collect(&growing, origin, Some(6));
    feed(&sender, "abcdef").await;
    drop(sender);
    let kept = task.await.unwrap().unwrap();
    drop(growing);
    assert_eq!(budget.taken.load(Ordering::Acquire), 6, "kept, and read by a slow client");
    let hit = kept.slice(1..3);
    drop(kept);
    assert_eq!(text(slow).await.unwrap(), "abcdef");
    assert_eq!(budget.taken.load(Ordering::Acquire), 6, "thrown away, and read by another one");
    drop(hit);
    assert_eq!(budget.taken.load(Ordering::Acquire), 0);
}

#[test]
fn short_pieces_are_joined() {
    let growing = Growing::new(None, &budget()).unwrap();
    let count = 3 * PIECE_BYTES_MIN + 7;
    let byte = |index: usize| u8::try_from(index % 251).unwrap();
    let piece = Bytes::from(vec![9; PIECE_BYTES_MIN]);
    growing.progress.send_modify(|progress| {
        (0..count).for_each(|index| progress.push(Bytes::from(vec![byte(index)])));
        assert_eq!(progress.pieces.len(), 3);
        progress.push(piece.clone());
        progress.push(Bytes::from_static(b"end"));
        assert_eq!(progress.pieces.len(), 5);
    });
    let expected: Vec<u8> = (0..count).map(byte).chain(piece).chain(*b"end").collect();
    let check = |progress: &Progress| {
        for start in [0, 1, PIECE_BYTES_MIN - 1, PIECE_BYTES_MIN, count - 1, count, expected.len() - 1] {
            let (mut read, mut position) = (Vec::new(), start);
            while let Some(bytes) = progress.after(position) {
                position += bytes.len();
                read.extend_from_slice(&bytes);
            }
            assert!(read == expected[start..], "from {start}");
        }
        assert_eq!(progress.after(expected.len()), None);
    };
    check(&growing.progress.borrow());
    assert!(growing.join() == expected);
    check(&growing.progress.borrow());
    assert_eq!(growing.progress.borrow().pieces.len(), 1);
}

/// A response to `/{number}`, and where it is kept.
fn kept(number: u32, body: Bytes) -> (Key, Kept) {
    let now = std::time::SystemTime::now();
    let response = HeaderMap::from_iter([(http::header::CACHE_CONTROL, "max-age=60".parse().unwrap())]);
    let (request, status) = (HeaderMap::new(), http::StatusCode::OK);
    let exchange = Exchange {
        request: &request,
        is_identified: false,
        status,
        response: &response,
        sent: now,
        received: now,
    };
    let scope = Scope { route: 1, service: "shop".parse().unwrap() };
    let head = Head::new(&exchange, &scope, &CacheRules::default()).unwrap();
    let host = HeaderMap::from_iter([(http::header::HOST, "shop.example".parse().unwrap())]);
    let origin = Origin::new("http", &host, None, None).unwrap();
    (Key::new(origin, &format!("/{number}"), None), Kept::new(Arc::new(head), body))
}

#[test]
fn what_the_store_has_thrown_away_makes_room() {
    const BODY_BYTES: u64 = 64 << 10;
    let store = Store::new(16 * BODY_BYTES);
    let budget = Arc::new(Budget::new(32 * BODY_BYTES));
    for number in 0..500 {
        let growing = Growing::new(Some(BODY_BYTES), &budget).or_else(|| {
            store.settle();
            Growing::new(Some(BODY_BYTES), &budget)
        });
        let growing = growing.unwrap_or_else(|| panic!("no room for {number}"));
        growing.progress.send_modify(|progress| progress.push(Bytes::from(vec![1; 64 << 10])));
        let (key, kept) = kept(number, growing.join());
        store.keep(&key, kept, store.epoch(&key));
    }
}
