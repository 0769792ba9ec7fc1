//! A guest call that goes on while somebody waits for it, and by itself when nobody does any more.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::{BoxFuture, CatchUnwind, FutureExt};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::body::{self, Body, Response};
use crate::runtime::activity::Activity;
use crate::runtime::failure::GuestFailure;
use crate::runtime::response::GuardedBody;

/// How a guest call ended.
pub type Outcome = Result<(), GuestFailure>;

/// A guest call. Whoever waits for its response head drives it, in its own task: a task more would cost two wake-ups
/// for each request. What is not over by then goes on in a task of its own, so that no client who reads slowly stops
/// it; so does what is dropped before, since what a guest has begun is not undone by a client that leaves.
pub struct Driven {
    state: State,
}

enum State {
    Running(CatchUnwind<AssertUnwindSafe<BoxFuture<'static, Outcome>>>),
    Apart(oneshot::Receiver<Outcome>),
    Ended(Outcome),
}

impl Driven {
    /// A call that begins when it is first asked for.
    pub fn new(call: BoxFuture<'static, Outcome>) -> Self {
        Self { state: State::Running(AssertUnwindSafe(call).catch_unwind()) }
    }

    /// Drives the call until its response head is there, with what of the body comes without waiting.
    ///
    /// # Errors
    ///
    /// The failure that ended the call before anything of the response was sent.
    pub async fn answer(mut self, activity: &Arc<Activity>) -> Result<Response, GuestFailure> {
        // Only the call itself sets the head, so that it needs no waker of its own.
        let waiting = activity.wait_for_head();
        let head = poll_fn(|context| {
            for _ in 0..activity.steps() {
                let ended = self.poll_end(context);
                if let Poll::Ready(Err(failure)) = ended {
                    return Poll::Ready(Err(failure));
                }
                match waiting.take() {
                    Some(head) => return Poll::Ready(head),
                    None if ended.is_ready() => return Poll::Ready(Err(GuestFailure::NoResponse)),
                    None if activity.gives_way() => break,
                    None => {}
                }
            }
            Poll::Pending
        });
        let (head, body) = head.await?.into_parts();
        drop(waiting);
        let mut body = GuardedBody::new(body, content_length(&head.headers), self, activity.clone());
        poll_fn(|context| Poll::Ready(body.gather(context))).await?;
        let body = body.take_whole().map_or_else(|| Body::new(body), body::full);
        Ok(Response::from_parts(head, body))
    }

    /// Why the call has ended, when it has failed.
    pub fn failure(&self) -> Option<&GuestFailure> {
        match &self.state {
            State::Ended(outcome) => outcome.as_ref().err(),
            State::Running(_) | State::Apart(_) => None,
        }
    }

    /// Whether the call has ended, as far as anybody has asked.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Tells how the call ended, as often as it is asked.
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = match &mut self.state {
            State::Ended(outcome) => return Poll::Ready(outcome.clone()),
            State::Running(call) => ready!(call.poll_unpin(context)).unwrap_or_else(panicked),
            State::Apart(end) => ready!(Pin::new(end).poll(context)).unwrap_or_else(|_| Err(dropped())),
        };
        self.state = State::Ended(outcome.clone());
        Poll::Ready(outcome)
    }

    /// Lets the call go on in a task of its own, unless it is over.
    pub fn set_apart(&mut self) {
        if !matches!(self.state, State::Running(_)) {
            return;
        }
        let (sender, end) = oneshot::channel();
        if let State::Running(call) = std::mem::replace(&mut self.state, State::Apart(end))
            // Without a runtime the host has stopped, and everything with it.
            && let Ok(runtime) = Handle::try_current()
        {
            // Nobody may listen any more.
            runtime.spawn(call.map(|outcome| sender.send(outcome.unwrap_or_else(panicked))));
        }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.set_apart();
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Does what a call needs before it is driven: a fault of the host in it is the failure of the call, too.
///
/// # Errors
///
/// Those of `work`.
pub fn guard<T>(work: impl FnOnce() -> Result<T, GuestFailure>) -> Result<T, GuestFailure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

/// The failure of a call that was dropped: only when the host stops, or by a fault of it.
pub fn dropped() -> GuestFailure {
    GuestFailure::Trap { message: "the call was dropped".into(), frames: Vec::new() }
}

/// A fault of the host, which must harm this call only.
fn panicked<T>(panic: Box<dyn Any + Send>) -> Result<T, GuestFailure> {
    let message =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(|it| &**it));
    let message = format!("the host panicked: {}", message.unwrap_or("no message"));
    Err(GuestFailure::Trap { message, frames: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_goes_on_by_itself() {
        let (gate, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (at_gate, then, seen) = (gate.clone(), done.clone(), ended.clone());
        let mut call = Driven::new(Box::pin(async move {
            at_gate.notified().await;
            seen.store(true, Ordering::SeqCst);
            then.notify_one();
            Ok(())
        }));
        assert!(poll_fn(|context| Poll::Ready(call.poll_end(context))).await.is_pending());
        drop(call);
        gate.notify_one();
        done.notified().await;
        assert!(ended.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_fault_of_the_host_is_the_failure_of_the_call() {
        let call = Driven::new(Box::pin(async { panic!("of the host") }));
        let failures = [call.answer(&Arc::default()).await.map(drop), guard(|| panic!("of the host"))]
            .map(Result::unwrap_err);
        for failure in failures {
            assert_eq!(failure.to_string(), "trap: the host panicked: of the host");
        }
    }

    #[tokio::test]
    async fn who_ends_without_a_head_has_given_no_response() {
        let call = Driven::new(Box::pin(async { Ok(()) }));
        assert!(matches!(call.answer(&Arc::default()).await, Err(GuestFailure::NoResponse)));
    }
}
