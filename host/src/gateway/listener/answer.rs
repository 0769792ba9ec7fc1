//! When an answer is sent: behind all that has come in on the same thread.
//!
//! A client with many connections is then woken once for many answers, and does not take the processor and its caches
//! in between: a fifth less computing for each request under load (measured). Seastar batches flushes for the same
//! reason. An answer waits for what stands before it in the queue of its thread, once, and for nothing that comes later.

use std::cell::Cell;
use std::task::{Context, Poll};

thread_local! {
    /// Whether the thread has had nothing to do, and has sent no answer since.
    static IS_RESTED: Cell<bool> = const { Cell::new(false) };
}

/// This thread has had nothing to do. The answer that it sends first does not wait, so that a client that comes alone
/// never does.
pub fn note_rest() {
    IS_RESTED.set(true);
}

/// How far the answer of a connection is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing is owed: what is sent now goes on with what was sent before.
    #[default]
    Sent,
    /// Bytes have come, so that what is sent next answers them.
    Owed,
    /// It waits for its turn, which comes whatever else happens.
    Held {
        /// Whether the other side has ended meanwhile, which is to be looked at again.
        met_end: bool,
    },
}

impl Answer {
    /// Bytes have come.
    pub fn owe(&mut self) {
        if *self == Self::Sent {
            *self = Self::Owed;
        }
    }

    /// The other side has ended; answers whether that may be told already. It may not before an answer that is ready: it
    /// would be taken back.
    pub fn meet_end(&mut self) -> bool {
        let Self::Held { met_end } = self else { return true };
        *met_end = true;
        false
    }

    /// Ready when the next bytes may be sent.
    pub fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match std::mem::take(self) {
            Self::Sent | Self::Held { met_end: false } => Poll::Ready(()),
            Self::Held { met_end: true } => {
                context.waker().wake_by_ref();
                Poll::Ready(())
            }
            Self::Owed if IS_RESTED.replace(false) => Poll::Ready(()),
            Self::Owed => {
                *self = Self::Held { met_end: false };
                // Who wakes itself goes to the end of the queue.
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;
    use std::task::Waker;

    use super::*;

    fn poll(answer: &mut Answer) -> Poll<()> {
        answer.poll_send(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn an_answer_waits_once_whatever_comes_meanwhile() {
        let mut answer = Answer::default();
        assert!(poll(&mut answer).is_ready(), "nothing was asked");
        answer.owe();
        assert!(poll(&mut answer).is_pending());
        answer.owe();
        assert!(poll(&mut answer).is_ready() && poll(&mut answer).is_ready(), "more of it follows at once");
    }

    #[test]
    fn the_first_answer_after_a_rest_waits_for_nobody() {
        note_rest();
        for is_sent_at_once in [true, false] {
            let mut answer = Answer::Owed;
            assert_eq!(poll(&mut answer).is_ready(), is_sent_at_once);
        }
    }

    #[test]
    fn the_end_of_the_other_side_is_not_told_before_an_answer_that_is_ready() {
        let mut answer = Answer::default();
        answer.owe();
        assert!(answer.meet_end(), "no answer is ready");
        assert!(poll(&mut answer).is_pending());
        assert!(!answer.meet_end());
        assert!(poll(&mut answer).is_ready());
        assert!(answer.meet_end());
    }

    #[tokio::test]
    async fn answers_are_sent_in_order_when_all_that_has_come_in_is_handled() {
        let (told, events) = mpsc::channel();
        let connections = ["a", "b"].map(|name| {
            let told = told.clone();
            tokio::spawn(async move {
                let mut answer = Answer::default();
                answer.owe();
                told.send(("handled", name)).unwrap();
                for part in ["begun", "ended"] {
                    poll_fn(|context| answer.poll_send(context)).await;
                    told.send((part, name)).unwrap();
                }
            })
        });
        for connection in connections {
            connection.await.unwrap();
        }
        let events: Vec<_> = events.try_iter().collect();
        let of = |name| [("begun", name), ("ended", name)];
        let expected = [[("handled", "a"), ("handled", "b")], of("a"), of("b")];
        assert_eq!(events, expected.concat());
    }
}
