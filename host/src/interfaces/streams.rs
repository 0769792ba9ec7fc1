//! Writing of a guest to a stream that takes it at once, as the response of a service mostly is: without the futures of
//! wasmtime-wasi-io, which take seven pieces of memory for each write and three for each stream that is dropped.

use std::future::poll_fn;
use std::task::Poll;

use futures::future::FutureExt;
use wasmtime::component::{Linker, Resource, ResourceTable, ResourceType};
use wasmtime_wasi::p2::bindings::io::streams::{self, Host as _, HostOutputStream as _};
use wasmtime_wasi::p2::{DynOutputStream, StreamError, StreamResult};

use crate::interfaces::WASI_VERSION;
use crate::interfaces::guest::GuestState;

/// The interface.
const STREAMS: &str = "wasi:io/streams";

/// Bytes that may be written and flushed in one call; the interface says so.
const BYTES_MAX: usize = 4096;

type Output = Resource<DynOutputStream>;

/// What the guest learns of a write.
type Written = (Result<(), streams::StreamError>,);

/// Adds them to the interface, in the place of those of wasmtime-wasi-io.
///
/// # Errors
///
/// Never, as they are shadowed.
pub fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut streams = linker.instance(&format!("{STREAMS}@{WASI_VERSION}"))?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-write-and-flush",
        |mut store, (output, bytes): (Output, Vec<u8>)| match begin(store.data_mut(), &output, bytes) {
            // Made of nothing, so that its box takes no memory.
            Ok(()) => Box::new(poll_fn(|_| Poll::Ready(Ok((Ok(()),))))),
            Err(rest) => Box::new(async move { rest.write(&mut store.data_mut().table, output).await }),
        },
    )?;
    streams.resource("output-stream", ResourceType::host::<DynOutputStream>(), |mut store, index| {
        let mut output = store.data_mut().table.delete(Output::new_own(index))?;
        // None of the streams of a service goes on behind it, so there is nothing to wait for.
        output.cancel().now_or_never();
        Ok(())
    })
}

/// What is left of a write.
enum Rest {
    All(Vec<u8>),
    Flush,
    Failed(StreamError),
}

/// Writes and flushes as far as nothing has to be waited for.
fn begin(state: &mut GuestState, output: &Output, bytes: Vec<u8>) -> Result<(), Rest> {
    let Ok(stream) = state.table.get_mut(output) else { return Err(Rest::All(bytes)) };
    if bytes.len() > BYTES_MAX {
        return Err(Rest::All(bytes));
    }
    let room = stream.check_write().map_err(Rest::Failed)?;
    if room == 0 || bytes.len() > room {
        return Err(Rest::All(bytes));
    }
    stream.write(bytes.into()).and_then(|()| unless_closed(stream.flush())).map_err(Rest::Failed)?;
    match stream.check_write() {
        Ok(0) => Err(Rest::Flush),
        checked => unless_closed(checked.map(drop)).map_err(Rest::Failed),
    }
}

/// A stream that is closed by its reader has flushed.
fn unless_closed(flushed: StreamResult<()>) -> StreamResult<()> {
    match flushed {
        Err(StreamError::Closed) => Ok(()),
        other => other,
    }
}

impl Rest {
    async fn write(self, table: &mut ResourceTable, output: Output) -> wasmtime::Result<Written> {
        let written = match self {
            Self::All(bytes) => table.blocking_write_and_flush(output, bytes).await,
            Self::Flush => unless_closed(table.get_mut(&output)?.write_ready().await.map(drop)),
            Self::Failed(error) => Err(error),
        };
        match written {
            Ok(()) => Ok((Ok(()),)),
            Err(error) => Ok((Err(table.convert_stream_error(error)?),)),
        }
    }
}
