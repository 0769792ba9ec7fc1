//! A request body that tells whether the client is waited for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::body::{Body, BodyError, empty};

/// Whether a client is waited for; none when its request has no body.
#[derive(Debug)]
pub struct Awaited(Option<Arc<AtomicBool>>);

impl Awaited {
    /// Watches a body from now on.
    pub fn watch(body: &mut Body) -> Self {
        if body.is_end_stream() {
            return Self(None);
        }
        let awaited = Arc::new(AtomicBool::new(false));
        let watched = std::mem::replace(body, empty());
        *body = Upload { body: watched, awaited: awaited.clone() }.boxed_unsync();
        Self(Some(awaited))
    }

    /// Whether more of the body was asked for than the client has sent.
    pub fn is_awaited(&self) -> bool {
        self.0.as_ref().is_some_and(|awaited| awaited.load(Ordering::Relaxed))
    }
}

struct Upload {
    body: Body,
    awaited: Arc<AtomicBool>,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.awaited.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
