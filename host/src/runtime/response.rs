//! A response body that ends well only when the guest call did, so that a late trap cuts it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
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
/// the last chunk, or the last byte of Content-Length, of a response whose service failed. Trailers may follow it.
pub struct GuardedBody {
    inner: Body,
    remaining: Option<u64>,
    held: Option<Frame<Bytes>>,
    /// Whether the next frame waits for the outcome.
    waits: bool,
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
        Self {
            inner,
            remaining: length,
            held: None,
            waits: false,
            ended: false,
            outcome: Some(outcome),
            activity,
        }
    }

    /// Waits for the outcome; an error is the failure of the call.
    fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let Some(outcome) = &mut self.outcome else { return Poll::Ready(Ok(())) };
        let result = match Pin::new(outcome).poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(result)) => result,
            Poll::Ready(Err(_)) => Err("its call was dropped".into()),
        };
        self.outcome = None;
        Poll::Ready(result.map_err(BodyError::Guest))
    }

    /// The next frame of the guest; one that completes the announced length, or the body, is held back.
    fn poll_inner(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
        };
        self.activity.touch();
        self.ended = frame.is_none();
        let completes = match (&frame, self.remaining.as_mut()) {
            (Some(Ok(frame)), Some(remaining)) => {
                *remaining = remaining.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
                *remaining == 0
            }
            (Some(Ok(frame)), None) => frame.is_trailers(),
            _ => false,
        };
        self.waits = self.outcome.is_some() && (self.ended || completes);
        Poll::Ready(frame)
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
                match self.poll_outcome(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => {
                        (self.held, self.ended, self.waits) = (None, true, false);
                        return Poll::Ready(Some(Err(error)));
                    }
                    Poll::Ready(Ok(())) => self.waits = false,
                }
            }
            if let Some(frame) = self.held.take() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match self.poll_inner(context) {
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
        match self.remaining {
            Some(remaining) => SizeHint::with_exact(remaining),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http::HeaderMap;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// Reads a body of one data frame and trailers to its end, when its call ended like this.
    async fn read(length: Option<u64>, outcome: Result<(), String>) -> Result<(String, bool), BodyError> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = [Ok(Frame::data("body".into())), Ok(Frame::trailers(trailers))];
        let (sender, receiver) = oneshot::channel();
        sender.send(outcome).unwrap();
        let inner = StreamBody::new(stream::iter(frames)).boxed_unsync();
        let body = GuardedBody::new(inner, length, receiver, Arc::default());
        let body = body.collect().await?;
        let has_trailers = body.trailers().is_some();
        Ok((String::from_utf8(body.to_bytes().to_vec()).unwrap(), has_trailers))
    }

    #[tokio::test]
    async fn trailers_follow_the_body_whether_or_not_its_length_is_known() {
        for length in [None, Some(4)] {
            assert_eq!(read(length, Ok(())).await.unwrap(), ("body".into(), true), "{length:?}");
            assert!(read(length, Err("late".into())).await.is_err(), "{length:?}");
        }
    }
}
