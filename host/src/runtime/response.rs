//! A response body that ends well only when the guest call did, so that a late trap cuts it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::body::{Body, BodyError};

/// Whether a response has begun, and when it last moved; read by whoever may end it for idleness.
#[derive(Debug)]
pub struct Activity {
    base: Instant,
    last_ms: AtomicU64,
    begun: AtomicBool,
}

impl Activity {
    /// Nothing has begun.
    pub fn new() -> Self {
        Self { base: Instant::now(), last_ms: AtomicU64::new(0), begun: AtomicBool::new(false) }
    }

    /// Notes that the response head is out.
    pub fn begin(&self) {
        self.touch();
        self.begun.store(true, Ordering::Release);
    }

    /// Whether the response head is out.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Notes that it moves now.
    pub fn touch(&self) {
        self.last_ms.store(self.base.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// When it last moved.
    pub fn last(&self) -> Instant {
        self.base + std::time::Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}

/// The body of a guest's response. Its last frame waits for the outcome of the call: HTTP/1.1 would otherwise send
/// the last chunk, or the last byte of Content-Length, of a response whose service failed.
pub struct GuardedBody {
    inner: Body,
    remaining: Option<u64>,
    held: Option<Frame<Bytes>>,
    ended: bool,
    outcome: Option<oneshot::Receiver<Result<(), String>>>,
    activity: Arc<Activity>,
}

impl GuardedBody {
    /// Guards `inner`, of `length` bytes where that is known, until `outcome` tells how the call ended.
    pub fn new(
        inner: Body,
        length: Option<u64>,
        outcome: oneshot::Receiver<Result<(), String>>,
        activity: Arc<Activity>,
    ) -> Self {
        Self { inner, remaining: length, held: None, ended: false, outcome: Some(outcome), activity }
    }

    /// Waits for the outcome; then gives out what was held back, or the failure.
    fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(outcome) = &mut self.outcome else {
            return Poll::Ready(self.held.take().map(Ok));
        };
        let result = match Pin::new(outcome).poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(result)) => result,
            Poll::Ready(Err(_)) => Err("its call was dropped".into()),
        };
        self.outcome = None;
        match result {
            Ok(()) => Poll::Ready(self.held.take().map(Ok)),
            Err(reason) => {
                self.held = None;
                Poll::Ready(Some(Err(BodyError::Guest(reason))))
            }
        }
    }
}

impl http_body::Body for GuardedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return self.poll_outcome(context);
        }
        let frame = match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
        };
        self.activity.touch();
        match frame {
            None => {
                self.ended = true;
                self.poll_outcome(context)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(remaining) = self.remaining.as_mut() else { return Poll::Ready(Some(Ok(frame))) };
                *remaining = remaining.saturating_sub(length);
                if *remaining > 0 {
                    return Poll::Ready(Some(Ok(frame)));
                }
                self.held = Some(frame);
                self.ended = true;
                self.poll_outcome(context)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.outcome.is_none() && self.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.remaining {
            Some(remaining) => SizeHint::with_exact(remaining),
            None => SizeHint::default(),
        }
    }
}
