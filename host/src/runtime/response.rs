//! A response body that ends well only when the guest call did, so that a late trap cuts it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::task::coop::has_budget_remaining;
use tokio::time::Instant;

use crate::body::{Body, BodyError};
use crate::runtime::driven::Driven;

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
/// the last chunk, or the last byte of Content-Length, of a response whose service failed. Trailers may follow it.
pub struct GuardedBody {
    inner: Body,
    remaining: Remaining,
    /// The frame that waits for the outcome of the call.
    held: Option<Frame<Bytes>>,
    /// Whether the outcome is waited for.
    waits: bool,
    ended: bool,
    call: Driven,
    activity: Arc<Activity>,
}

impl GuardedBody {
    /// Guards `inner`, of `length` bytes where that is known, until `call` has ended.
    pub fn new(inner: Body, length: Option<u64>, call: Driven, activity: Arc<Activity>) -> Self {
        Self { inner, remaining: Remaining(length), held: None, waits: false, ended: false, call, activity }
    }

    /// The next frame of the guest; one that completes the announced length, or the body, is held back.
    fn poll_inner(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        self.activity.touch();
        self.ended = frame.is_none();
        let completes = match &frame {
            Some(Ok(frame)) => {
                self.remaining.is_completed_by(frame) || (self.remaining.0.is_none() && frame.is_trailers())
            }
            _ => false,
        };
        self.waits = self.ended || completes;
        Poll::Ready(frame)
    }

    /// The same, or an error when nothing can come any more.
    fn poll_guest(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = self.poll_inner(context) {
            return Poll::Ready(frame);
        }
        let call = self.call.poll_end(context);
        match (self.poll_inner(context), call) {
            // A task that has used up its turn finds nothing, whatever is there.
            (Poll::Pending, Poll::Ready(_)) if has_budget_remaining() => {
                let reason = "the call ended before its body did".to_owned();
                self.ended = true;
                Poll::Ready(Some(Err(BodyError::Guest(reason))))
            }
            (frame, _) => frame,
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
        loop {
            if self.waits {
                let outcome = ready!(self.call.poll_end(context));
                self.waits = false;
                if let Err(failure) = outcome {
                    (self.held, self.ended) = (None, true);
                    return Poll::Ready(Some(Err(BodyError::Guest(failure.to_string()))));
                }
            }
            if let Some(frame) = self.held.take() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match self.poll_guest(context) {
                Poll::Ready(Some(Ok(frame))) if self.waits => self.held = Some(frame),
                Poll::Ready(None) if self.waits => {}
                other => return other,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && !self.waits && self.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.hint()
    }
}

/// Bytes of an announced length that are still to come; none where no length is known.
pub struct Remaining(pub Option<u64>);

impl Remaining {
    /// Counts a frame; answers whether it completes the length.
    pub fn is_completed_by(&mut self, frame: &Frame<Bytes>) -> bool {
        let Some(remaining) = &mut self.0 else { return false };
        *remaining = remaining.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        *remaining == 0
    }

    /// The same as a body tells it.
    pub fn hint(&self) -> SizeHint {
        self.0.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http::HeaderMap;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::runtime::driven::Outcome;
    use crate::runtime::failure::GuestFailure;

    /// Reads a body of one data frame and trailers to its end, when its call ended like this.
    async fn read(length: Option<u64>, outcome: Outcome) -> Result<(String, bool), BodyError> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = [Ok(Frame::data("body".into())), Ok(Frame::trailers(trailers))];
        let inner = StreamBody::new(stream::iter(frames)).boxed_unsync();
        let body = GuardedBody::new(inner, length, Driven::new(async { outcome }), Arc::default());
        let body = body.collect().await?;
        let has_trailers = body.trailers().is_some();
        Ok((String::from_utf8(body.to_bytes().to_vec()).unwrap(), has_trailers))
    }

    #[tokio::test]
    async fn trailers_follow_the_body_whether_or_not_its_length_is_known() {
        for length in [None, Some(4)] {
            assert_eq!(read(length, Ok(())).await.unwrap(), ("body".into(), true), "{length:?}");
            assert!(read(length, Err(GuestFailure::NoResponse)).await.is_err(), "{length:?}");
        }
    }
}
