//! A stream that the HTTP library reads through the scanner, and that answers what the library may not see.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Scanner, Violation};
use crate::gateway::connection::Activity;
use crate::gateway::reply;

/// Passes bytes on until one of them breaks a rule. A broken body is then an error of the stream, which ends
/// the request in flight. A broken head is answered here, since the library knows of no request: behind the
/// responses to earlier requests, and then the connection closes.
pub struct StrictStream<S> {
    stream: S,
    activity: Arc<Activity>,
    scanner: Scanner,
    fault: Option<Fault>,
    /// Whether all that the library has written went out.
    is_flushed: bool,
    /// Whether a broken head waits for earlier responses.
    is_waiting: bool,
}

/// What stands behind the last sound byte.
struct Fault {
    detail: String,
    /// None for a body, which the request in flight answers, and once the client has it.
    answer: Option<Answer>,
}

struct Answer {
    bytes: Vec<u8>,
    written: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> StrictStream<S> {
    /// Reads a stream from its start; `activity` tells whether a request is in flight.
    pub fn new(stream: S, activity: Arc<Activity>) -> Self {
        let scanner = Scanner::new();
        Self { stream, activity, scanner, fault: None, is_flushed: true, is_waiting: false }
    }

    fn fault_of(&self, violation: &Violation) -> Fault {
        let refusal = &violation.refusal;
        let answer = Answer { bytes: reply::refuse_head(refusal), written: 0 };
        Fault { detail: refusal.detail(), answer: Some(answer).filter(|_| !self.scanner.is_in_body()) }
    }

    /// What reading comes to behind the last sound byte.
    fn poll_fault(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(fault) = &mut self.fault else {
            return Poll::Pending;
        };
        if let Some(answer) = &mut fault.answer {
            if self.activity.is_busy() || !self.is_flushed {
                // The flush behind the last response wakes the task.
                self.is_waiting = true;
                return Poll::Pending;
            }
            while let Some(rest) = answer.bytes.get(answer.written..).filter(|rest| !rest.is_empty()) {
                match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => answer.written += count,
                }
            }
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            fault.answer = None;
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault.detail.clone())))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for StrictStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.fault.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let Err(violation) = this.scanner.feed(&buffer.filled()[before..]) else {
                return Poll::Ready(Ok(()));
            };
            buffer.set_filled(before + violation.at);
            this.fault = Some(this.fault_of(&violation));
            if violation.at > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        this.poll_fault(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for StrictStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.is_flushed = false;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.is_flushed = false;
        Pin::new(&mut this.stream).poll_write_vectored(context, slices)
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
        if this.is_waiting && !this.activity.is_busy() {
            this.is_waiting = false;
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
