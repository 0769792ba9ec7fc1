//! A request on an instance of WASI 0.3 that handles no other meanwhile.

use std::future::poll_fn;
use std::sync::Arc;

use futures::future::FutureExt;
use wasmtime::component::Accessor;
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p3::Request as GuestRequest;
use wasmtime_wasi_http::p3::bindings::exports::wasi::http::handler::Guest;

use crate::body::Request;
use crate::interfaces::call::Call;
use crate::interfaces::guest::GuestState;
use crate::interfaces::http_out::to_guest;
use crate::runtime::activity::Activity;
use crate::runtime::failure::GuestFailure;

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
    request: Request,
    call: &Arc<Call>,
    activity: &Activity,
) -> wasmtime::Result<Result<(), GuestFailure>> {
    store.run_concurrent(async |accessor| answer(accessor, guest, request, call, activity).await).await?
}

async fn answer(
    accessor: &Accessor<GuestState>,
    guest: &Guest,
    request: Request,
    call: &Arc<Call>,
    activity: &Activity,
) -> wasmtime::Result<Result<(), GuestFailure>> {
    let handle = guest.func_handle();
    let (begun, taken) = accessor.with(|mut access| {
        let mut store = access.as_context_mut();
        let hooks = store.data_mut().http().hooks;
        let (request, taken) = GuestRequest::from_http(hooks, request.map(to_guest));
        let taken = taken.boxed();
        let request = store.data_mut().table.push(request)?;
        let begun = handle.start_call_concurrent(&mut store, (request,))?;
        store.data_mut().this.assign(call, begun.task());
        wasmtime::error::Ok((begun, taken))
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
