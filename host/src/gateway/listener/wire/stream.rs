//! A stream that the HTTP library reads through the scanner, and that answers what the library may not see.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Fault, Scanner};
use crate::gateway::access_log::RefusedHeads;
use crate::gateway::listener::connection::Activity;
use crate::gateway::reply;

/// Passes bytes on until one of them breaks a rule. A broken body is then an error of the stream, which ends
/// the request in flight. Anything else is answered here, since the library knows nothing of it: a broken head
/// behind the responses to earlier requests, a flood between two frames. Then the connection closes.
pub struct StrictStream<S> {
    stream: S,
    activity: Arc<Activity>,
    /// Where heads are written down that the library never sees.
    heads: RefusedHeads,
    scanner: Scanner,
    ending: Option<Ending>,
    /// Whether all that the library has written went out.
    is_flushed: bool,
    /// Whether the answer waits for what the library still writes.
    is_waiting: bool,
}

/// What stands behind the last sound byte.
struct Ending {
    detail: String,
    /// What the client is told; empty when the request in flight tells it, and once it was told.
    answer: Vec<u8>,
    written: usize,
    /// Whether requests in flight are answered before.
    is_patient: bool,
}

impl Ending {
    fn of(fault: &Fault, heads: &RefusedHeads) -> Self {
        let (detail, answer) = match fault {
            Fault::Head(refusal) => (refusal.detail(), reply::refuse_head(refusal, &heads.note(refusal))),
            Fault::Body(refusal) => (refusal.detail(), Vec::new()),
            Fault::Flood(flood) => ("a flood of frames that carry nothing".to_owned(), flood.goaway()),
        };
        Self { detail, answer, written: 0, is_patient: matches!(fault, Fault::Head(_)) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> StrictStream<S> {
    /// Reads a stream from its start; `activity` tells whether a request is in flight.
    pub fn new(stream: S, activity: Arc<Activity>, heads: RefusedHeads) -> Self {
        let scanner = Scanner::new();
        Self { stream, activity, heads, scanner, ending: None, is_flushed: true, is_waiting: false }
    }

    /// Whether the last word is being said, so that the library may say nothing any more.
    fn is_closing(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.written > 0)
    }

    /// Notes a write of the library.
    fn note(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_flushed = false;
        if let Poll::Ready(Ok(bytes)) = &written {
            self.scanner.wrote(*bytes);
        }
        written
    }

    /// What reading comes to behind the last sound byte.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(ending) = &mut self.ending else {
            return Poll::Pending;
        };
        if !ending.answer.is_empty() {
            if !self.is_flushed || ending.is_patient && self.activity.is_busy() {
                // The flush behind the last response wakes the task.
                self.is_waiting = true;
                return Poll::Pending;
            }
            while ending.written < ending.answer.len() {
                let rest = &ending.answer[ending.written..];
                match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => ending.written += count,
                }
            }
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            ending.answer.clear();
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, ending.detail.clone())))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for StrictStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.activity.has_switched() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        if this.ending.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let Err(violation) = this.scanner.feed(&buffer.filled()[before..]) else {
                return Poll::Ready(Ok(()));
            };
            buffer.set_filled(before + violation.at);
            this.ending = Some(Ending::of(&violation.fault, &this.heads));
            if violation.at > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        this.poll_end(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for StrictStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_closing() {
            // Reading wakes the task, and ends it.
            return Poll::Pending;
        }
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.note(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_closing() {
            // Reading wakes the task, and ends it.
            return Poll::Pending;
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The library flushes when it holds nothing back any more, so that a response that has ended is out
    /// then.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        this.is_flushed = true;
        let is_over = |ending: &Ending| !(ending.is_patient && this.activity.is_busy());
        if this.is_waiting && this.ending.as_ref().is_some_and(is_over) {
            this.is_waiting = false;
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
