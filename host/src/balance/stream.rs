//! What comes back from an external service: a response body, or a connection that has switched protocols. Both hold
//! the place of their request until they end.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::balance::address::InFlight;
use crate::balance::queue::Place;
use crate::body::BodyError;

/// The place of a request at its service and its address.
pub struct Held {
    _place: Place,
    _in_flight: InFlight,
}

impl Held {
    /// Holds both.
    pub fn new(place: Place, in_flight: InFlight) -> Self {
        Self { _place: place, _in_flight: in_flight }
    }
}

/// A connection that has switched protocols.
pub struct Upgraded {
    /// The bytes, once both sides have switched.
    pub connection: OnUpgrade,
    /// How long it may stay without a byte.
    pub idle: Duration,
    /// To be kept as long as the connection.
    pub held: Held,
}

/// A response body that breaks off when no byte comes for too long. Only time in which the reader waits counts, so
/// that a slow client never makes a service look silent.
pub struct UpstreamBody {
    incoming: Incoming,
    idle: Duration,
    waiting: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// None once the body has ended, so that nobody waits for the client to take the last bytes.
    held: Option<Held>,
}

impl UpstreamBody {
    /// A body that may stay for `idle` without a byte.
    pub fn new(incoming: Incoming, idle: Duration, held: Held) -> Self {
        let held = (!incoming.is_end_stream()).then_some(held);
        Self { incoming, idle, waiting: false, timer: None, held }
    }

    /// Whether the reader has waited for too long.
    fn is_silent(&mut self, context: &mut Context<'_>) -> bool {
        if !self.waiting {
            self.waiting = true;
            let deadline = Instant::now() + self.idle;
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(deadline),
                None => self.timer = Some(Box::pin(sleep_until(deadline))),
            }
        }
        self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready())
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Pending if self.is_silent(context) => Some(Err(BodyError::Idle)),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => {
                frame.map(|frame| frame.map_err(|error| BodyError::Broken(error.to_string())))
            }
        };
        self.waiting = false;
        if !matches!(polled, Some(Ok(_))) || self.incoming.is_end_stream() {
            self.held = None;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
