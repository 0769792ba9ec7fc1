//! A connection without TLS: what lies in pages of the system is sent from there, and who waits for an answer is seen to
//! leave.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::gateway::pages::{self, Pages};

/// Slices of so many bytes in all are copied together: the system takes one piece with less work than several, which is
/// 6 percent of what it takes to send a small response (measured).
const SMALL_BYTES_MAX: usize = 1024;

/// The stream of such a connection.
pub struct Plain(Arc<TcpStream>);

/// Looks after a client that waits for its answer.
pub struct Watch(Arc<TcpStream>);

impl Watch {
    /// Ready when the client has left; to be asked by the task that reads the stream, whenever it has read what it
    /// wants. Who has said more before it leaves is seen to leave once that is read.
    pub fn poll_left(&self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(self.0.poll_read_ready(context)).is_err() {
                return Poll::Ready(());
            }
            let look = || Ok(recv(&*self.0, &mut [0], RecvFlags::PEEK)?.0);
            match self.0.try_io(Interest::READABLE, look) {
                // It says more, of which the next who reads takes notice.
                Ok(1..) => return Poll::Pending,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl Plain {
    /// The stream of a connection, and a look after its client.
    pub fn new(stream: TcpStream) -> (Self, Watch) {
        let stream = Arc::new(stream);
        (Self(stream.clone()), Watch(stream))
    }

    /// Writes when the system takes bytes.
    fn poll_with(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match write(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

/// Copies slices into one piece, unless they are too long for it.
fn join<'p>(slices: &[IoSlice<'_>], place: &'p mut [u8]) -> Option<&'p [u8]> {
    let mut length = 0;
    for slice in slices {
        let end = length + slice.len();
        place.get_mut(length..end)?.copy_from_slice(slice);
        length = end;
    }
    Some(&place[..length])
}

/// Sends as much as the system takes.
fn send(stream: &TcpStream, slices: &[IoSlice<'_>], index: usize, pages: &Pages) -> io::Result<usize> {
    let before = &slices[..index];
    let length: usize = before.iter().map(|slice| slice.len()).sum();
    let sent = match length {
        0 => 0,
        // In one packet with the begin of what follows.
        _ => copy(stream, before, SendFlags::MORE)?,
    };
    if sent < length {
        return Ok(sent);
    }
    let mut offset = pages.offset;
    match sendfile(stream, &pages.file, Some(&mut offset), pages.length) {
        Ok(more) => Ok(sent + more),
        // The next try tells why.
        Err(_) if sent > 0 => Ok(sent),
        Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
        // Not every system lets them leave from there. Where nothing leaves any more, this tells why.
        Err(_) => copy(stream, slices, SendFlags::empty()),
    }
}

fn copy(stream: &TcpStream, slices: &[IoSlice<'_>], flags: SendFlags) -> io::Result<usize> {
    Ok(sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), flags)?)
}

impl AsyncRead for Plain {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (stream, before) = (&self.0, buffer.filled().len());
        loop {
            ready!(stream.poll_read_ready(context))?;
            let read = stream.try_io(Interest::READABLE, || {
                let (room, count) = (buffer.remaining(), stream.try_read_buf(buffer)?);
                // Less than there is room for was all: so the system is not asked in vain the next time, as tokio has it.
                if (1..room).contains(&count) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match read {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                Err(_) if buffer.filled().len() == before => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(small) = join(slices, &mut [0; SMALL_BYTES_MAX]) {
            return self.poll_write(context, small);
        }
        let long = slices.iter().position(|slice| slice.len() >= pages::BYTES_MIN);
        match long.and_then(|index| Some((index, pages::find(&slices[index])?))) {
            Some((index, pages)) => self.poll_with(context, |stream| {
                stream.try_io(Interest::WRITABLE, || send(stream, slices, index, &pages))
            }),
            None => self.poll_with(context, |stream| stream.try_write_vectored(slices)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match shutdown(&*self.0, Shutdown::Write) {
            // It is closed by the other side already.
            Ok(()) | Err(Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::fs::File;
    use std::future::poll_fn;
    use std::io::Read;

    use bytes::{Buf, Bytes};
    use rustix::net::sockopt::set_socket_send_buffer_size;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::runtime::Handle;
    use tokio::sync::Notify;
    use tokio::task::spawn_blocking;

    use super::*;

    /// What is written in one go.
    const HEAD_BYTES: usize = 20_000;
    const TAIL: &[u8] = b"tail";

    /// Writes the slices of a response as far as they are taken.
    async fn write_all(plain: &mut Plain, parts: &mut VecDeque<Bytes>, full: &Notify) {
        while !parts.is_empty() {
            let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let written = poll_fn(|context| {
                let written = Pin::new(&mut *plain).poll_write_vectored(context, &slices);
                written.is_pending().then(|| full.notify_one());
                written
            });
            let mut written = written.await.unwrap();
            assert!(written > 0);
            while let Some(part) = parts.front_mut() {
                let of_part = written.min(part.len());
                part.advance(of_part);
                written -= of_part;
                if !part.is_empty() {
                    break;
                }
                parts.pop_front();
            }
        }
    }

    #[tokio::test]
    async fn pages_come_whole_and_in_order_to_a_client_that_reads_when_nothing_more_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().await.unwrap().0;
        // Small enough to break within heads, too.
        set_socket_send_buffer_size(&server, 4096).unwrap();
        let (mut plain, _watch) = Plain::new(server);
        let bytes: Vec<u8> = (0..300_000).map(|index: u32| (index % 251) as u8).collect();
        let kept = pages::keep(bytes.clone().into());
        assert!(pages::find(&kept).is_some());
        let response = [vec![b'h'; HEAD_BYTES], bytes, TAIL.to_vec()];
        // More than the system takes at once.
        const RESPONSES: usize = 8;
        let full = Arc::new(Notify::new());
        let (told, reading) = (full.clone(), Handle::current());
        let reading = spawn_blocking(move || {
            reading.block_on(told.notified());
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            all
        });
        for _ in 0..RESPONSES {
            let parts = [vec![b'h'; HEAD_BYTES].into(), kept.clone(), Bytes::from_static(TAIL)];
            write_all(&mut plain, &mut VecDeque::from(parts), &full).await;
        }
        plain.shutdown().await.unwrap();
        assert!(
            reading.await.unwrap() == response.concat().repeat(RESPONSES),
            "what came is not what was sent"
        );
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_seen_once_all_that_it_said_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut plain, watch) = Plain::new(listener.accept().await.unwrap().0);
        let is_there = async || poll_fn(|context| Poll::Ready(watch.poll_left(context).is_pending())).await;
        assert!(is_there().await);
        client.write_all(b"more").await.unwrap();
        plain.0.readable().await.unwrap();
        assert!(is_there().await, "it has said something");
        plain.read_exact(&mut [0; 4]).await.unwrap();
        assert!(is_there().await);
        drop(client);
        poll_fn(|context| watch.poll_left(context)).await;
    }

    #[tokio::test]
    async fn pages_that_cannot_leave_from_where_they_are_are_copied() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        server.writable().await.unwrap();
        let bytes = [b"head".as_slice(), b"body"];
        // No system sends from there.
        let file = Arc::new(File::open("/").unwrap());
        let pages = Pages { file, offset: 0, length: bytes[1].len() };
        let slices = bytes.map(IoSlice::new);
        let mut seen = [0; 8];
        assert_eq!(send(&server, &slices, 1, &pages).unwrap(), 4, "what stands before them");
        assert_eq!(send(&server, &slices[1..], 0, &pages).unwrap(), 4);
        client.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"headbody");
    }
}
