//! A connection without TLS: what lies in pages of the system is sent from there.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::sendfile;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::gateway::pages::{self, Pages};

/// The stream of such a connection.
pub struct Plain(pub TcpStream);

impl Plain {
    /// Sends what stands before some pages, and then from these.
    fn poll_send(
        &self,
        context: &mut Context<'_>,
        before: &[IoSlice<'_>],
        pages: &Pages,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_io(Interest::WRITABLE, || send(&self.0, before, pages)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

/// Sends as much as the system takes.
fn send(stream: &TcpStream, before: &[IoSlice<'_>], pages: &Pages) -> io::Result<usize> {
    let length: usize = before.iter().map(|slice| slice.len()).sum();
    let sent = match length {
        0 => 0,
        // In one packet with the begin of what follows.
        _ => sendmsg(stream, before, &mut SendAncillaryBuffer::default(), SendFlags::MORE)?,
    };
    if sent < length {
        return Ok(sent);
    }
    let mut offset = pages.offset;
    match sendfile(stream, &pages.file, Some(&mut offset), pages.length) {
        Ok(more) => Ok(sent + more),
        // The next try tells why.
        Err(_) if sent > 0 => Ok(sent),
        Err(error) => Err(error.into()),
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let long = slices.iter().position(|slice| slice.len() >= pages::BYTES_MIN);
        match long.and_then(|index| Some((&slices[..index], pages::find(&slices[index])?))) {
            Some((before, pages)) => self.poll_send(context, before, &pages),
            None => Pin::new(&mut self.0).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Read;

    use bytes::Bytes;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::task::spawn_blocking;

    use super::*;

    /// Writes all of it, as much at a time as is taken.
    async fn write_all(plain: &mut Plain, mut head: Bytes, mut body: Bytes) {
        while !head.is_empty() || !body.is_empty() {
            let slices = [IoSlice::new(&head), IoSlice::new(&body)];
            let all = if head.is_empty() { &slices[1..] } else { &slices };
            let sent = poll_fn(|context| Pin::new(&mut *plain).poll_write_vectored(context, all)).await;
            let sent = sent.unwrap();
            assert!(sent > 0);
            let of_head = sent.min(head.len());
            drop((head.split_to(of_head), body.split_to(sent - of_head)));
        }
    }

    #[tokio::test]
    async fn pages_come_whole_and_in_order_to_a_client_that_reads_slowly() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut plain = Plain(listener.accept().await.unwrap().0);
        let bytes: Vec<u8> = (0..1 << 20).map(|index: u32| (index % 251) as u8).collect();
        let kept = pages::keep(bytes.clone().into());
        assert!(pages::find(&kept).is_some());
        // More than the system takes at once.
        const RESPONSES: usize = 16;
        let reading = spawn_blocking(move || {
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            all
        });
        for _ in 0..RESPONSES {
            write_all(&mut plain, Bytes::from_static(b"head"), kept.clone()).await;
        }
        write_all(&mut plain, Bytes::new(), kept.slice(1_000..)).await;
        plain.shutdown().await.unwrap();
        let response = [b"head".as_slice(), &bytes].concat();
        let expected = [response.repeat(RESPONSES), bytes[1_000..].to_vec()].concat();
        assert!(reading.await.unwrap() == expected, "what came is not what was sent");
    }
}
