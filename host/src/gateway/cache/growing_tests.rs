//! A body that comes, seen by those who read it.

use futures::StreamExt;
use tokio::sync::mpsc;

use super::*;

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

/// Collects in a task; answers what was kept.
fn collect(
    growing: &Arc<Growing>,
    origin: Body,
    length: Option<u64>,
) -> (Body, tokio::task::JoinHandle<Option<Bytes>>) {
    let (body, rest) = growing.lead();
    let growing = growing.clone();
    let task = tokio::spawn(async move {
        let mut kept = None;
        growing.collect(origin, rest, length, LIMIT, |bytes| kept = Some(bytes)).await;
        kept
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
    assert_eq!(task.await.unwrap(), None);
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
        assert_eq!(task.await.unwrap(), None);
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
    assert_eq!(task.await.unwrap(), None);
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
