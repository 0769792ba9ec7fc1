//! A body that is compressed while it is streamed. What has come is flushed as soon as the body has nothing more
//! to give for the moment, so that an event arrives when it happens.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_compression::Level;
use async_compression::brotli::EncoderParams;
use async_compression::codecs::{BrotliEncoder, EncodeV2, GzipEncoder, ZstdEncoder};
use async_compression::core::util::{PartialBuffer, WriteBuffer};
use async_compression::zstd::CParameter;
use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http_body::{Body as _, Frame};

use crate::body::{Body, BodyError};
use crate::gateway::coding::Coding;

/// Beyond these levels a response takes several times as long for a few percent.
const BROTLI_LEVEL: i32 = 4;
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: i32 = 6;

/// How far back an encoder looks, as a power of two: 256 KiB hold most pages, and 1,000 streams still take less
/// than 1 GiB.
const WINDOW_BITS: u8 = 18;

/// What is handed on at once; also the most that waits here.
const OUTPUT_BYTES: usize = 16 << 10;

/// A body in another coding.
pub struct CompressedBody {
    body: Body,
    encoder: Box<dyn EncodeV2 + Send>,
    input: Bytes,
    output: Box<[u8]>,
    filled: usize,
    trailers: Option<HeaderMap>,
    stage: Stage,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Read on; nothing waits in the encoder.
    Clean,
    /// Read on; something waits in the encoder.
    Dirty,
    /// Get out of the encoder what waits there.
    Flush,
    /// Get the end out of the encoder.
    Finish,
    /// Pass the trailers on.
    Trailers,
    /// Nothing.
    Ended,
}

impl CompressedBody {
    /// Compresses the body.
    pub fn new(body: Body, coding: Coding) -> Self {
        Self {
            body,
            encoder: encoder(coding),
            input: Bytes::new(),
            output: vec![0; OUTPUT_BYTES].into_boxed_slice(),
            filled: 0,
            trailers: None,
            stage: Stage::Clean,
        }
    }

    /// One step of the encoder into the free part of the output.
    fn encode(&mut self) -> io::Result<()> {
        let mut input = PartialBuffer::new(&self.input[..]);
        let mut output = WriteBuffer::new_initialized(&mut self.output[self.filled..]);
        match self.stage {
            Stage::Flush => {
                if self.encoder.flush(&mut output)? {
                    self.stage = Stage::Clean;
                }
            }
            Stage::Finish => {
                if self.encoder.finish(&mut output)? {
                    self.stage = Stage::Trailers;
                }
            }
            _ => {
                self.encoder.encode(&mut input, &mut output)?;
                self.stage = Stage::Dirty;
            }
        }
        let (read, written) = (input.written_len(), output.written_len());
        self.filled += written;
        self.input.advance(read);
        Ok(())
    }

    /// What waits in the output, when it is full or the encoder has given all that it has.
    fn take_output(&mut self) -> Option<Bytes> {
        let is_due = match self.stage {
            Stage::Clean | Stage::Trailers => self.filled > 0,
            _ => self.filled == self.output.len(),
        };
        is_due.then(|| Bytes::copy_from_slice(&self.output[..std::mem::take(&mut self.filled)]))
    }

    /// Takes what the body gives; pending when it gives nothing and nothing waits to be flushed.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => self.input = data,
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    self.stage = Stage::Finish;
                }
            },
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(None) => self.stage = Stage::Finish,
            Poll::Pending if self.stage == Stage::Dirty => self.stage = Stage::Flush,
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.stage = Stage::Ended;
        Poll::Ready(Some(Err(error)))
    }
}

impl http_body::Body for CompressedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.take_output() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match this.stage {
                Stage::Trailers => {
                    this.stage = Stage::Ended;
                    if let Some(trailers) = this.trailers.take() {
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                }
                Stage::Ended => return Poll::Ready(None),
                Stage::Clean | Stage::Dirty if this.input.is_empty() => match this.read(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return this.fail(error),
                    Poll::Pending => return Poll::Pending,
                },
                _ => {
                    if let Err(error) = this.encode() {
                        return this.fail(BodyError::Broken(error.to_string()));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stage == Stage::Ended
    }
}

fn encoder(coding: Coding) -> Box<dyn EncodeV2 + Send> {
    match coding {
        Coding::Brotli => {
            let params = EncoderParams::default().quality(Level::Precise(BROTLI_LEVEL));
            Box::new(BrotliEncoder::new(params.window_size(WINDOW_BITS.into())))
        }
        Coding::Zstd => {
            Box::new(ZstdEncoder::new_with_params(ZSTD_LEVEL, &[CParameter::window_log(WINDOW_BITS.into())]))
        }
        Coding::Gzip => Box::new(GzipEncoder::new(Level::Precise(GZIP_LEVEL).into())),
    }
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::write::{BrotliDecoder, GzipDecoder, ZstdDecoder};
    use futures::{FutureExt as _, StreamExt as _};
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// A body of what a test sends, and the other end.
    fn body() -> (futures::channel::mpsc::Sender<Result<Frame<Bytes>, BodyError>>, Body) {
        let (sender, frames) = futures::channel::mpsc::channel(16);
        (sender, StreamBody::new(frames).boxed_unsync())
    }

    /// What a client reads of these bytes, also when more follow.
    async fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        async fn all<D: tokio::io::AsyncWrite + Unpin>(mut decoder: D, bytes: &[u8]) -> D {
            decoder.write_all(bytes).await.unwrap();
            decoder.flush().await.unwrap();
            decoder
        }
        match coding {
            Coding::Brotli => all(BrotliDecoder::new(Vec::new()), bytes).await.into_inner(),
            Coding::Zstd => all(ZstdDecoder::new(Vec::new()), bytes).await.into_inner(),
            Coding::Gzip => all(GzipDecoder::new(Vec::new()), bytes).await.into_inner(),
        }
    }

    /// Bytes that compress somewhat, in no regular way.
    fn text(length: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + state.to_be_bytes()[0] % 16
        };
        (0..length).map(|_| next()).collect()
    }

    #[tokio::test]
    async fn what_is_decoded_is_what_was_sent() {
        for coding in ALL {
            for length in [0, 1, 1_000, OUTPUT_BYTES, 1_000_000] {
                let sent = text(length);
                let body = crate::body::full(sent.clone());
                let pressed = CompressedBody::new(body, coding).collect().await.unwrap().to_bytes();
                assert!(
                    length < 1_000 || pressed.len() < length,
                    "{coding:?}: {} of {length}",
                    pressed.len()
                );
                assert!(decoded(coding, &pressed).await == sent, "{coding:?} {length}");
            }
        }
    }

    #[tokio::test]
    async fn an_event_goes_out_before_the_next_comes_in() {
        for coding in ALL {
            let (mut sender, body) = body();
            let mut pressed = CompressedBody::new(body, coding);
            let (mut all, mut sent) = (Vec::new(), Vec::new());
            assert!(pressed.frame().now_or_never().is_none(), "{coding:?}: nothing has come");
            // Not longer than what the decoder of the test gives out at once.
            for event in [&b"data: one\n\n"[..], &text(10_000), b"data: two\n\n"] {
                sender.try_send(Ok(Frame::data(Bytes::copy_from_slice(event)))).unwrap();
                sent.extend_from_slice(event);
                while let Some(frame) = pressed.frame().now_or_never() {
                    all.extend_from_slice(&frame.unwrap().unwrap().into_data().unwrap());
                }
                assert!(decoded(coding, &all).await == sent, "{coding:?}: {} bytes", sent.len());
            }
            drop(sender);
            let rest = pressed.collect().await.unwrap().to_bytes();
            all.extend_from_slice(&rest);
            assert!(decoded(coding, &all).await == sent, "{coding:?}");
        }
    }

    #[tokio::test]
    async fn no_more_than_one_buffer_waits() {
        for coding in ALL {
            let body = CompressedBody::new(crate::body::full(text(1_000_000)), coding);
            let mut frames = body.into_data_stream();
            while let Some(frame) = frames.next().await {
                assert!(frame.unwrap().len() <= OUTPUT_BYTES);
            }
        }
    }

    #[tokio::test]
    async fn trailers_pass_and_errors_break_off() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from_static("7"));
        let (mut sender, sound) = body();
        sender.try_send(Ok(Frame::data(Bytes::from_static(b"body")))).unwrap();
        sender.try_send(Ok(Frame::trailers(trailers.clone()))).unwrap();
        drop(sender);
        let whole = CompressedBody::new(sound, Coding::Gzip).collect().await.unwrap();
        assert_eq!(whole.trailers(), Some(&trailers));
        let (mut sender, broken) = body();
        sender.try_send(Ok(Frame::data(Bytes::from_static(b"body")))).unwrap();
        sender.try_send(Err(BodyError::Idle)).unwrap();
        drop(sender);
        let mut broken = CompressedBody::new(broken, Coding::Gzip);
        let mut last = None;
        while let Some(frame) = broken.frame().await {
            last = Some(frame);
        }
        assert!(matches!(last, Some(Err(BodyError::Idle))));
    }
}
