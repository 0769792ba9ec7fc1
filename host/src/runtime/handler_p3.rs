//! A request on an instance of WASI 0.3 that handles no other meanwhile.

use std::future::poll_fn;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use wasmtime::component::{Accessor, Resource};
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi_http::p3::Request as GuestRequest;
use wasmtime_wasi_http::p3::bindings::exports::wasi::http::handler::Guest;
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpCtxView, WasiHttpView};

use crate::interfaces::call::Call;
use crate::interfaces::guest::GuestState;
use crate::runtime::activity::Activity;
use crate::runtime::failure::GuestFailure;

/// A request that an instance has taken.
pub struct Accepted {
    request: Resource<GuestRequest>,
    /// Ends when the guest has done with the body.
    taken: BoxFuture<'static, Result<(), Error>>,
}

/// Takes a request.
///
/// # Errors
///
/// When the instance holds too many resources.
pub fn accept(view: WasiHttpCtxView<'_>, request: http::Request<WasiBody>) -> wasmtime::Result<Accepted> {
    let (request, taken) = GuestRequest::from_http(view.hooks, request);
    Ok(Accepted { request: view.table.push(request)?, taken: taken.boxed() })
}

/// Has the guest answer; the response head stands in `activity` as soon as it is there. Returns when nothing more is
/// done for the request, which may be long after its response has ended. Not to be polled by another guest of WASI 0.3,
/// whose engine would panic: a store runs its tasks within those of no other.
///
/// # Errors
///
/// What ended the instance; within, what the guest gave in the place of a response.
pub async fn handle(
    store: &mut Store<GuestState>,
    guest: &Guest,
    accepted: Accepted,
    call: &Arc<Call>,
    activity: &Activity,
) -> wasmtime::Result<Result<(), GuestFailure>> {
    store.run_concurrent(async |accessor| answer(accessor, guest, accepted, call, activity).await).await?
}

async fn answer(
    accessor: &Accessor<GuestState>,
    guest: &Guest,
    Accepted { request, taken }: Accepted,
    call: &Arc<Call>,
    activity: &Activity,
) -> wasmtime::Result<Result<(), GuestFailure>> {
    let handle = guest.func_handle();
    let begun = accessor.with(|mut access| {
        let mut store = access.as_context_mut();
        let begun = handle.start_call_concurrent(&mut store, (request,))?;
        store.data_mut().this.assign(call, begun.task());
        wasmtime::error::Ok(begun)
    })?;
    let response = match handle.finish_call_concurrent(accessor, begun).await?.0 {
        Ok(response) => accessor.with(|mut access| {
            let mut store = access.as_context_mut();
            let response = store.data_mut().table.delete(response)?;
            response.into_http_with_getter(&mut store, taken, GuestState::http)
        })?,
        Err(code) => return Ok(Err(GuestFailure::ErrorResponse(format!("{code:?}")))),
    };
    activity.begin(Ok(response));
    poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
    // What is left of the body may be written by another task of the guest, or come from elsewhere.
    activity.body_end().await;
    Ok(Ok(()))
}
