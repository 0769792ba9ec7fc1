//! One instance as its requests see it, and what a request holds of it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::SetOnce;
use tokio::time::Instant;

use crate::body::{Body, BodyError};
use crate::interfaces::call::Call;
use crate::interfaces::guest::InstanceContext;
use crate::runtime::engine::Running;
use crate::runtime::failure::GuestFailure;
use crate::runtime::remaining::{Remaining, hold_back};

/// One instance as its requests see it.
pub struct Member {
    /// What it is and does.
    pub this: Arc<InstanceContext>,
    /// How many requests it has had.
    pub calls: AtomicUsize,
    /// Whether it has used so much memory that it should go.
    pub is_spent: AtomicBool,
    /// Whether it has had as many requests as it may have.
    pub is_worn: AtomicBool,
    /// Whether one of its requests has run out of time: it takes no more, and need not be waited for.
    pub is_late: AtomicBool,
    fate: SetOnce<Fate>,
    /// Since when it is there.
    pub made: Instant,
    /// Milliseconds after `made`.
    moved_ms: AtomicU64,
    /// Keeps the clock of the engine running while the instance has anything to do, also after its responses.
    running: Mutex<Option<Running>>,
}

/// Why an instance has ended.
#[derive(Debug)]
struct Fate {
    failure: GuestFailure,
    /// Whether no request was left to tell.
    is_news: bool,
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
    call: Arc<Call>,
}

impl Taken {
    /// A request that `member` handles from now on.
    pub fn new(member: Arc<Member>, call: Arc<Call>) -> Self {
        Self { member, call }
    }

    /// Whether its instance has ended by the fault of this request, as far as that is known.
    pub fn is_guilty(&self) -> bool {
        self.member.this.is_guilty(&self.call)
    }

    /// Logs and counts a failure that cuts a response which has begun.
    fn report(&self, failure: &GuestFailure) {
        let InstanceContext { service, name, .. } = &*self.member.this;
        failure.report(service, Some(name), Some(&self.call));
    }
}

impl Taken {
    /// Tells that its instance has ended, if it has: a response that is not through is cut by that.
    fn cut(&self) -> Option<BodyError> {
        let failure = self.member.fate()?;
        self.report(failure);
        Some(BodyError::Guest(failure.to_string()))
    }

    /// Tells why a response breaks off: because its instance has ended, or by its own fault.
    fn broken_off(&self, error: BodyError) -> BodyError {
        self.cut().unwrap_or_else(|| {
            let InstanceContext { service, name, .. } = &*self.member.this;
            service.broken_off(service.speaker(Some(name.clone()), Some(&self.call)), &error);
            error
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.member.this.end_call(&self.call);
    }
}

impl Member {
    /// An instance that has just been made.
    pub fn new(this: Arc<InstanceContext>) -> Self {
        Self {
            this,
            calls: AtomicUsize::new(0),
            is_spent: AtomicBool::new(false),
            is_worn: AtomicBool::new(false),
            is_late: AtomicBool::new(false),
            fate: SetOnce::new(),
            made: Instant::now(),
            moved_ms: AtomicU64::new(0),
            running: Mutex::default(),
        }
    }

    /// It has something to do from now on, or nothing any more.
    pub fn run(&self, running: Option<Running>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }

    /// Notes why it ends; the first reason counts.
    pub fn settle(&self, failure: GuestFailure) {
        // Known before anybody is told, who may leave then.
        let is_news = self.this.calls() == 0;
        // It had a reason before.
        let _ = self.fate.set(Fate { failure, is_news });
    }

    /// Notes that it ends because nobody waits for it any more, or all who did were told.
    pub fn dismiss(&self) {
        let failure = GuestFailure::Timeout("time");
        let _ = self.fate.set(Fate { failure, is_news: false });
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

    /// Logs and counts why it has ended, where no request is left to tell.
    pub fn report_alone(&self) {
        let InstanceContext { service, name, .. } = &*self.this;
        if let Some(Fate { failure, is_news: true }) = self.fate.get() {
            failure.report(service, Some(name), None);
        }
    }

    /// Why it has ended; none while it lives.
    pub fn fate(&self) -> Option<&GuestFailure> {
        self.fate.get().map(|fate| &fate.failure)
    }

    /// The same, once it is known.
    pub async fn end(&self) -> &GuestFailure {
        &self.fate.wait().await.failure
    }
}

/// A body whose end counts only while its instance lives: one that is gone has dropped the rest, which would look
/// like an end. The frame that completes an announced length waits until the guest has ended its body.
pub fn guarded(body: Body, taken: Option<Taken>) -> Body {
    match taken {
        Some(taken) => {
            let remaining = Remaining(body.size_hint().exact());
            GuardedByMember { body, taken, remaining, held: None, has_ended: false }.boxed_unsync()
        }
        None => body,
    }
}

struct GuardedByMember {
    body: Body,
    taken: Taken,
    remaining: Remaining,
    /// The frame that completes the length.
    held: Option<Frame<Bytes>>,
    has_ended: bool,
}

impl http_body::Body for GuardedByMember {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if self.has_ended {
                return Poll::Ready(None);
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            self.taken.member.touch();
            match frame {
                Some(Ok(mut frame)) => {
                    let completes = self.remaining.is_completed_by(&mut frame);
                    if let Some(frame) = hold_back(&mut self.held, frame, completes) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(self.taken.broken_off(error)))),
                None => {
                    self.has_ended = true;
                    if let Some(error) = self.taken.cut() {
                        return Poll::Ready(Some(Err(error)));
                    }
                    return Poll::Ready(self.held.take().map(Ok));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended
            || (self.held.is_none() && self.body.is_end_stream() && self.taken.member.fate().is_none())
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.hint()
    }
}
