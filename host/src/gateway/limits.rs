//! Limits of a request body: its size, also of a chunked one, and the pace at which it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::forward;
use super::listener::connection::Upload;
use super::reply::Refusal;
use crate::body::BodyError;

/// The slowest pace of a body: a slower client holds an instance for next to nothing.
const PACE_BYTES_PER_SECOND: u64 = 1024;

/// How long a body may stay without a byte, however fast it was before.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// How a request body ended, seen also when the service ignores it.
#[derive(Debug, Default)]
pub struct BodyFate(AtomicU8);

const WHOLE: u8 = 0;
const BROKEN: u8 = 1;
const TOO_LARGE: u8 = 2;
const TOO_SLOW: u8 = 3;

impl BodyFate {
    /// The refusal that the body deserves; none while it is sound.
    pub fn refusal(&self) -> Option<Refusal> {
        match self.0.load(Ordering::Acquire) {
            WHOLE => None,
            TOO_LARGE => Some(Refusal::BodyTooLarge),
            TOO_SLOW => Some(Refusal::BodyTooSlow),
            _ => Some(Refusal::BodyBroken),
        }
    }

    fn seal(&self, error: &BodyError) {
        let fate = match error {
            BodyError::TooLarge { .. } => TOO_LARGE,
            BodyError::Idle => TOO_SLOW,
            BodyError::Broken(_) | BodyError::Guest(_) => BROKEN,
        };
        self.0.store(fate, Ordering::Release);
    }
}

/// A request body within its limits. Only time in which the reader waits for the client counts, so that a
/// slow service never makes a client look slow.
pub struct LimitedBody {
    incoming: Incoming,
    upload: Upload,
    fate: Arc<BodyFate>,
    error: Option<BodyError>,
    bytes_max: u64,
    bytes: u64,
    /// How long it may come slowly before its pace counts.
    grace: Duration,
    waited: Duration,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl LimitedBody {
    /// Limits a body to `bytes_max` bytes, and to the slowest pace once it was waited for as long as `grace`.
    pub fn new(incoming: Incoming, upload: Upload, bytes_max: u64, grace: Duration) -> Self {
        Self {
            incoming,
            upload,
            fate: Arc::default(),
            error: None,
            bytes_max,
            bytes: 0,
            grace,
            waited: Duration::ZERO,
            waiting_since: None,
            timer: None,
        }
    }

    /// How the body ends, to be asked while and after it is read.
    pub fn fate(&self) -> Arc<BodyFate> {
        self.fate.clone()
    }

    /// An error stays: a reader that asks again must not take the body for whole.
    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.fate.seal(&error);
        self.error = Some(error.clone());
        Poll::Ready(Some(Err(error)))
    }

    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), BodyError> {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        let length = frame.data_ref().map_or(0, Bytes::len);
        self.bytes = self.bytes.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if self.bytes > self.bytes_max {
            return Err(BodyError::TooLarge { limit: self.bytes_max });
        }
        Ok(())
    }

    /// Whether the reader has waited too long for the client.
    fn is_too_slow(&mut self, context: &mut Context<'_>) -> bool {
        if self.waiting_since.is_none() {
            let now = Instant::now();
            self.waiting_since = Some(now);
            let earned = Duration::from_secs(self.bytes / PACE_BYTES_PER_SECOND);
            let left = (self.grace + earned).saturating_sub(self.waited);
            let deadline = now + left.min(IDLE_MAX);
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(deadline),
                None => self.timer = Some(Box::pin(sleep_until(deadline))),
            }
        }
        self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready())
    }
}

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(error) = &this.error {
            return Poll::Ready(Some(Err(error.clone())));
        }
        let polled = Pin::new(&mut this.incoming).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || this.incoming.is_end_stream() {
            this.upload.end();
        }
        match polled {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    forward::prepare_trailers(trailers);
                }
                match this.count(&frame) {
                    Ok(()) => Poll::Ready(Some(Ok(frame))),
                    Err(error) => this.fail(error),
                }
            }
            Poll::Ready(Some(Err(error))) => this.fail(BodyError::Broken(error.to_string())),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.is_too_slow(context) => this.fail(BodyError::Idle),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.error.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
