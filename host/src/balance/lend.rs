//! A request body that can be had back as long as nothing of it was read.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::body::{Body, BodyError, empty};

/// Lends a body to one reader after the other, until one begins to read it.
pub struct Lender {
    shelf: Option<Shelf>,
}

/// Where a body lies until it is read.
type Shelf = Arc<Mutex<Option<Body>>>;

impl Lender {
    /// Lends a body for the first time.
    pub fn lend(body: Body) -> (Self, Body) {
        if body.is_end_stream() {
            return (Self { shelf: None }, body);
        }
        let (shelf, lent) = put(body);
        (Self { shelf: Some(shelf) }, lent)
    }

    /// Whether there is no body, so that it can be lent at any time.
    pub fn is_inexhaustible(&self) -> bool {
        self.shelf.is_none()
    }

    /// Lends the body again; none when the reader before has begun to read it. That reader gets an error from now
    /// on, so that two never read the same body.
    pub fn lend_again(&mut self) -> Option<Body> {
        let Some(shelf) = &self.shelf else { return Some(empty()) };
        let body = take(shelf)?;
        let (shelf, lent) = put(body);
        self.shelf = Some(shelf);
        Some(lent)
    }
}

fn put(body: Body) -> (Shelf, Body) {
    let shelf = Arc::new(Mutex::new(Some(body)));
    let lent = Lent { shelf: shelf.clone(), body: None };
    (shelf, lent.boxed_unsync())
}

fn take(shelf: &Shelf) -> Option<Body> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The body in the hands of one reader, who takes it off the shelf with the first read.
struct Lent {
    shelf: Shelf,
    body: Option<Body>,
}

impl Lent {
    fn look<T>(&self, ask: impl FnOnce(&Body) -> T) -> Option<T> {
        match &self.body {
            Some(body) => Some(ask(body)),
            None => self.shelf.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(ask),
        }
    }
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.body.is_none() {
            self.body = take(&self.shelf);
        }
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(Some(Err(BodyError::Broken("the request is tried again elsewhere".into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.look(http_body::Body::is_end_stream).unwrap_or(false)
    }

    fn size_hint(&self) -> SizeHint {
        self.look(http_body::Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::full;

    #[tokio::test]
    async fn a_body_is_lent_until_somebody_reads_it() {
        let (mut lender, first) = Lender::lend(full("once"));
        assert_eq!(first.size_hint().exact(), Some(4));
        let second = lender.lend_again().unwrap();
        assert!(first.collect().await.is_err(), "the first reader came too late");
        assert_eq!(second.collect().await.unwrap().to_bytes(), "once");
        assert!(lender.lend_again().is_none());
    }

    #[tokio::test]
    async fn no_body_is_lent_as_often_as_one_likes() {
        let (mut lender, first) = Lender::lend(empty());
        assert!(first.is_end_stream());
        for _ in 0..3 {
            assert!(lender.lend_again().unwrap().is_end_stream());
        }
    }
}
