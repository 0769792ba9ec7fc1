//! One instance as its requests see it, and what a request holds of it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Instant;
use wasmtime::component::GuestTaskId;

use crate::body::{Body, BodyError};
use crate::interfaces::call::Call;
use crate::interfaces::guest::InstanceContext;
use crate::runtime::engine::Running;
use crate::runtime::failure::GuestFailure;

/// One instance as its requests see it.
pub struct Member {
    /// Its name.
    pub name: Arc<str>,
    /// What it is and does.
    pub this: Arc<InstanceContext>,
    /// How many requests it has had.
    pub calls: AtomicUsize,
    /// Whether it has used so much memory that it should go.
    pub is_spent: AtomicBool,
    fate: Mutex<Option<GuestFailure>>,
    /// Since when it is there.
    pub made: Instant,
    /// Milliseconds after `made`.
    moved_ms: AtomicU64,
}

/// What goes with a request to the instance that takes it.
pub struct Ticket {
    /// The call.
    pub call: Arc<Call>,
    /// The instance, once one has taken it.
    pub taker: Arc<Mutex<Option<Taken>>>,
}

/// A request that an instance has taken; dropping it ends its call.
pub struct Taken {
    /// The instance.
    pub member: Arc<Member>,
    /// The task in which the guest handles it.
    pub task: GuestTaskId,
    /// Keeps the clock of the engine running.
    _running: Running,
}

impl Taken {
    /// A request that `member` handles in this task from now on.
    pub fn new(member: Arc<Member>, task: GuestTaskId, running: Running) -> Self {
        Self { member, task, _running: running }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.member.this.end_task(self.task);
    }
}

impl Member {
    /// An instance that has just been made.
    pub fn new(this: Arc<InstanceContext>) -> Self {
        Self {
            name: this.name.clone(),
            this,
            calls: AtomicUsize::new(0),
            is_spent: AtomicBool::new(false),
            fate: Mutex::new(None),
            made: Instant::now(),
            moved_ms: AtomicU64::new(0),
        }
    }

    /// Notes why it ends; the first reason counts.
    pub fn settle(&self, failure: GuestFailure) {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    /// Notes that one of its responses moves.
    fn touch(&self) {
        let moved = self.made.elapsed().as_millis() as u64;
        self.moved_ms.store(moved, Ordering::Relaxed);
    }

    /// When one of its responses moved last.
    pub fn moved(&self) -> Instant {
        self.made + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed))
    }

    /// Why it has ended; none while it lives.
    pub fn fate(&self) -> Option<GuestFailure> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A body whose end counts only while its instance lives: one that is gone has dropped the rest, which would look like an
/// end.
pub fn guarded(body: Body, taken: Option<Taken>) -> Body {
    match taken {
        Some(taken) => GuardedByMember { body, taken }.boxed_unsync(),
        None => body,
    }
}

struct GuardedByMember {
    body: Body,
    taken: Taken,
}

impl http_body::Body for GuardedByMember {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.taken.member.touch();
        }
        match (&polled, self.taken.member.fate()) {
            (Poll::Ready(None), Some(failure)) => {
                Poll::Ready(Some(Err(BodyError::Guest(failure.to_string()))))
            }
            _ => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.taken.member.fate().is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
