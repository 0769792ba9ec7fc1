//! Clocks, randomness and output to the log; no files, no sockets, no environment.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::component::Resource;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::cli::environment;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::Descriptor;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, async_trait};

use crate::interfaces::guest::{GuestState, InstanceContext};
use crate::telemetry::journal::{Level, Stream};

/// Random bytes that a guest may ask for at once.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// An output line longer than this is written in pieces.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// The WASI side of one instance. What a tool chain imports anyway (files, sockets, environment) is there and
/// denies.
pub fn context(this: &Arc<InstanceContext>) -> WasiCtx {
    let sockets = this.clone();
    WasiCtx::builder()
        .stdout(Output::new(this, Stream::Stdout))
        .stderr(Output::new(this, Stream::Stderr))
        .max_random_size(RANDOM_BYTES_MAX)
        // Sockets can be made but never used: so the attempt is seen, with its address, and refused.
        .allow_tcp(true)
        .allow_udp(true)
        .allow_ip_name_lookup(false)
        .socket_addr_check(move |address, usage| {
            sockets.denied("sockets", &format!("a socket was refused: {usage:?} {address}"));
            Box::pin(async { false })
        })
        .build()
}

impl preopens::Host for GuestState {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let remedy = "a service keeps what it must remember in its database or its buckets";
        self.this.denied_once("files", &format!("access to files was refused: {remedy}"));
        Ok(Vec::new())
    }
}

impl environment::Host for GuestState {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        let remedy = "a service reads its settings from `config` and `secrets`";
        self.this
            .denied_once("environment", &format!("access to environment variables was refused: {remedy}"));
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

/// Standard output or error of one instance: each line becomes a line of the journal. However many handles a guest has,
/// they write into one buffer, as those of a process do.
#[derive(Clone)]
struct Output(Arc<Mutex<Lines>>);

/// Collects bytes to lines.
struct Lines {
    this: Weak<InstanceContext>,
    stream: Stream,
    buffer: Vec<u8>,
}

impl Output {
    fn new(this: &Arc<InstanceContext>, stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(Lines { this: Arc::downgrade(this), stream, buffer: Vec::new() })))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    // Lines wait for nothing: the adapter between the two kinds of streams would make a task for each handle.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lines().write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LINE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl Lines {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
                continue;
            }
            self.buffer.push(*byte);
            if self.buffer.len() >= LINE_BYTES_MAX {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.buffer);
        let Some(this) = self.this.upgrade() else { return };
        let level = if self.stream == Stream::Stderr { Level::Warn } else { Level::Info };
        this.service.say(level, self.stream, this.speaker(), &String::from_utf8_lossy(&line));
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.lines().write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.buffer.is_empty() {
            self.end_line();
        }
    }
}
