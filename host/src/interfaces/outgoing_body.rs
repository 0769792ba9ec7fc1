//! Bodies of what a guest of WASI 0.2 sends: it and the reader share a place for two pieces. Those of wasmtime-wasi-http
//! go through two channels, which take five pieces of memory for each response, nearly two kilobytes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::task::coop::poll_proceed;
use wasmtime::component::{Linker, Resource, ResourceTable, ResourceType};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::body::StreamContext;
use wasmtime_wasi_http::p2::types::{HostOutgoingRequest, HostOutgoingResponse};
use wasmtime_wasi_http::{Error, FieldMap, WasiBody};

use crate::interfaces::WASI_VERSION;
use crate::interfaces::guest::{GuestState, InstanceContext};
use crate::interfaces::holdings::BODY_PIECE_BYTES;

/// The interface.
const TYPES: &str = "wasi:http/types";

/// A body that a guest gives.
pub struct OutgoingBody {
    shared: Arc<Shared>,
    /// Until the guest takes it.
    output: Option<DynOutputStream>,
}

/// What the guest gives and the reader takes.
struct Shared(Mutex<State>);

struct State {
    of: StreamContext,
    /// Two, so that who writes one need not wait for the reader.
    first: Option<Bytes>,
    second: Option<Bytes>,
    /// None while the guest goes on.
    end: Option<End>,
    /// Whether nobody reads any more.
    is_closed: bool,
    /// Who waits for something to read, and who for room.
    reader: Option<Waker>,
    writer: Option<Waker>,
    announced: Option<Announced>,
    /// Bytes that were given.
    given: u64,
}

/// How much a body is to be.
struct Announced {
    bytes: u64,
    /// Who is told of when it gives more.
    this: Option<Arc<InstanceContext>>,
}

/// How a body ended.
enum End {
    Finished,
    Trailers(HeaderMap),
    /// It must not look whole.
    Aborted,
}

/// Where the guest writes to.
struct Output(Arc<Shared>);

/// Takes what the guest gives.
struct Reader(Arc<Shared>);

/// Adds them to the interface, in the place of those of wasmtime-wasi-http.
///
/// # Errors
///
/// Never, as they are shadowed.
pub fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut types = linker.instance(&format!("{TYPES}@{WASI_VERSION}"))?;
    types.func_wrap("[method]outgoing-response.body", |mut store, (response,)| {
        let parts: Parts<HostOutgoingResponse> = |response| (&response.headers, &mut response.body);
        Ok((begin(store.data_mut(), &response, StreamContext::Response, parts)?,))
    })?;
    types.func_wrap("[method]outgoing-request.body", |mut store, (request,)| {
        let parts: Parts<HostOutgoingRequest> = |request| (&request.headers, &mut request.body);
        Ok((begin(store.data_mut(), &request, StreamContext::Request, parts)?,))
    })?;
    types.func_wrap("[method]outgoing-body.write", |mut store, (body,): (Resource<OutgoingBody>,)| {
        let table = &mut store.data_mut().table;
        let output = table.get_mut(&body)?.output.take();
        Ok((output.map(|output| table.push_child(output, &body)).transpose()?.ok_or(()),))
    })?;
    types.func_wrap("[static]outgoing-body.finish", |mut store, (body, trailers)| {
        Ok((finish(&mut store.data_mut().table, body, trailers)?,))
    })?;
    types.resource("outgoing-body", ResourceType::host::<OutgoingBody>(), |mut store, index| {
        store.data_mut().table.delete(Resource::<OutgoingBody>::new_own(index))?.abort();
        Ok(())
    })
}

/// What of a message matters to its body.
type Parts<M> = fn(&mut M) -> (&FieldMap, &mut Option<WasiBody>);

/// Begins the body of a message.
fn begin<M: 'static>(
    state: &mut GuestState,
    message: &Resource<M>,
    of: StreamContext,
    parts: Parts<M>,
) -> wasmtime::Result<Result<Resource<OutgoingBody>, ()>> {
    let GuestState { this, table, .. } = state;
    let (headers, body) = parts(table.get_mut(message)?);
    let begun = OutgoingBody::begin(headers, body, of, Some(this));
    Ok(begun.map(|body| table.push(body)).transpose()?.ok_or(()))
}

fn finish(
    table: &mut ResourceTable,
    body: Resource<OutgoingBody>,
    trailers: Option<Resource<FieldMap>>,
) -> wasmtime::Result<Result<(), ErrorCode>> {
    let body = table.delete(body)?;
    let trailers = trailers.map(|trailers| table.delete(trailers)).transpose()?;
    Ok(body.finish(trailers))
}

impl OutgoingBody {
    /// The one body of a message, whose reader goes into `place`; none where there is one already, or its length is
    /// announced wrongly.
    fn begin(
        headers: &HeaderMap,
        place: &mut Option<WasiBody>,
        of: StreamContext,
        this: Option<&Arc<InstanceContext>>,
    ) -> Option<Self> {
        let announced = announced(headers)?.map(|bytes| Announced { bytes, this: this.cloned() });
        if place.is_some() {
            return None;
        }
        let shared = Arc::new(Shared(Mutex::new(State {
            of,
            first: None,
            second: None,
            end: None,
            is_closed: false,
            reader: None,
            writer: None,
            announced,
            given: 0,
        })));
        *place = Some(Reader(shared.clone()).boxed_unsync());
        let output: DynOutputStream = Box::new(Output(shared.clone()));
        Some(Self { shared, output: Some(output) })
    }

    fn finish(self, trailers: Option<FieldMap>) -> Result<(), ErrorCode> {
        let state = self.shared.state();
        let (of, given) = (state.of, state.given);
        if state.announced.as_ref().is_some_and(|announced| announced.bytes != given) {
            end_by(state, End::Aborted);
            return Err(of.as_body_size_error(given));
        }
        let end = trailers.map_or(End::Finished, |trailers| End::Trailers(trailers.into()));
        end_by(state, end);
        Ok(())
    }

    /// The guest gives it up.
    fn abort(self) {
        end_by(self.shared.state(), End::Aborted);
    }
}

impl Drop for OutgoingBody {
    fn drop(&mut self) {
        let state = self.shared.state();
        // Its instance is gone. Of a response the end of the call tells how that went.
        let end = if state.of == StreamContext::Response { End::Finished } else { End::Aborted };
        end_by(state, end);
    }
}

/// Ends a body that has not ended yet.
fn end_by(mut state: MutexGuard<'_, State>, end: End) {
    state.end.get_or_insert(end);
    wake(state, |state| state.reader.take());
}

/// The length that is announced, if any is; none where that is no length.
fn announced(headers: &HeaderMap) -> Option<Option<u64>> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Some(None) };
    let digits = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    if lengths.next().is_some() { None } else { digits.parse().ok().map(Some) }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes who waits, who may look at the state at once.
fn wake(mut state: MutexGuard<'_, State>, who: impl FnOnce(&mut State) -> Option<Waker>) {
    let waker = who(&mut state);
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut state = self.0.state();
        if state.is_closed {
            return Err(StreamError::Closed);
        }
        if bytes.len() > BODY_PIECE_BYTES || state.second.is_some() {
            return Err(StreamError::trap("more was written than there was room for"));
        }
        let given = state.given + bytes.len() as u64;
        // Nothing of it is sent, so that who has given as much as it announced can still finish.
        if let Some(announced) = state.announced.as_ref().filter(|announced| given > announced.bytes) {
            let (this, bytes) = (announced.this.clone(), announced.bytes);
            let error = state.of.as_body_size_error(given);
            drop(state);
            this.inspect(|this| this.gives_too_much(bytes));
            return Err(StreamError::LastOperationFailed(error.into()));
        }
        state.given = given;
        match state.first {
            None => state.first = Some(bytes),
            Some(_) => state.second = Some(bytes),
        }
        wake(state, |state| state.reader.take());
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        if self.0.state().is_closed { Err(StreamError::Closed) } else { Ok(()) }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let state = self.0.state();
        match () {
            () if state.is_closed => Err(StreamError::Closed),
            () if state.second.is_some() => Ok(0),
            () => Ok(BODY_PIECE_BYTES),
        }
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        std::future::poll_fn(|context| {
            let mut state = self.0.state();
            if state.is_closed || state.second.is_none() {
                return Poll::Ready(());
            }
            state.writer = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        // Reader and guest may go on in one task, which would then give way to no other.
        let turn = ready!(poll_proceed(context));
        let mut state = self.0.state();
        if let Some(piece) = state.first.take() {
            state.first = state.second.take();
            wake(state, |state| state.writer.take());
            turn.made_progress();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let Some(end) = state.end.take() else {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        state.end = Some(End::Finished);
        turn.made_progress();
        Poll::Ready(match end {
            End::Finished => None,
            End::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            End::Aborted => Some(Err(Error::HttpProtocolError)),
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_closed = true;
        (state.first, state.second) = (None, None);
        wake(state, |state| state.writer.take());
    }
}

#[cfg(test)]
#[path = "outgoing_body_tests.rs"]
mod tests;
