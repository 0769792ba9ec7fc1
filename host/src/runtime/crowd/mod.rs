//! Instances that handle several requests at a time, as WASI 0.3 lets them.
//!
//! `ProxyHandler` of wasmtime gives each instance a task of its own, and a request to one that has room. Around it
//! stand our bounds: how many instances there are, how many requests each takes, how long it lives. A trap ends an
//! instance with all its requests; those that may be sent twice are sent once more, each to an instance of its own, but
//! for the guilty one where that is known. Files: `member` is one instance as its requests see it, `worker` the same from within its task.

mod member;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http_body::Body as _;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::handler::{
    self, ExpirationError, InstantiationError, ProxyHandler, TrapOrPanicError,
};

use crate::body::{Request, Response, copy_head};
use crate::config::Instances;
use crate::deadline;
use crate::interfaces::call::Call;
use crate::interfaces::http_out::{from_guest, to_guest};
use crate::runtime::blueprint::Blueprint;
use crate::runtime::crowd::member::{Member, Taken, Ticket, guarded};
use crate::runtime::crowd::worker::Maker;
use crate::runtime::failure::GuestFailure;

/// How long a request waits at most before it asks again whether an instance has room: whoever is told first may have
/// taken it.
const LOOK: Duration = Duration::from_millis(5);

/// How long the end of an instance may take to be told to its requests.
const END_TIME_MAX: Duration = Duration::from_secs(1);

/// All instances of one version that handle several requests at a time.
pub struct Crowd {
    shared: ProxyHandler<Maker>,
    /// Each request has an instance of its own here.
    solo: ProxyHandler<Maker>,
    bounds: Arc<Bounds>,
}

/// What all instances have in common.
struct Bounds {
    blueprint: Weak<Blueprint>,
    settings: Instances,
    /// Requests that an instance handles at a time.
    concurrency: usize,
    /// From the call to the response head.
    time: Duration,
    room: Arc<Semaphore>,
    members: Mutex<HashMap<Arc<str>, Arc<Member>>>,
    retired: AtomicBool,
    stop: CancellationToken,
    /// Told when an instance may have room again.
    changed: Notify,
}

/// There are as many instances as there may be, and none of them takes a request just now.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("every instance is busy")]
struct NoRoomNow;

/// One instance as operators see it.
pub struct MemberView {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it has a request.
    pub is_busy: bool,
    /// How many it has had.
    pub calls: usize,
    /// Since when it is there.
    pub made: Instant,
}

impl Crowd {
    /// A crowd of nobody yet, and never of more than so many, of a component that exports the handler of WASI 0.3.
    pub fn new(
        blueprint: &Arc<Blueprint>,
        settings: Instances,
        instances_max: usize,
        stop: CancellationToken,
    ) -> Self {
        let bounds = Arc::new(Bounds {
            blueprint: Arc::downgrade(blueprint),
            room: Arc::new(Semaphore::new(instances_max)),
            concurrency: blueprint.concurrency(settings.concurrency),
            time: blueprint.context().config.limits.time,
            settings,
            members: Mutex::default(),
            retired: AtomicBool::new(false),
            stop,
            changed: Notify::new(),
        });
        let handler = |is_solo| ProxyHandler::new(Maker { bounds: bounds.clone(), is_solo });
        Self { shared: handler(false), solo: handler(true), bounds: bounds.clone() }
    }

    /// Answers a request; also the name of the instance that did.
    ///
    /// # Errors
    ///
    /// The failure that ended it before its response began.
    pub async fn handle(
        &self,
        request: Request,
        call: Arc<Call>,
    ) -> (Option<Arc<str>>, Result<Response, GuestFailure>) {
        let copy = is_repeatable(&request).then(|| copy_head(&request));
        let (member, result) = send(&self.shared, request, call.clone()).await;
        match (result, copy) {
            (Err(NoResponse::WithInstance(_)), Some(copy)) => {
                let (member, result) = send(&self.solo, copy, call).await;
                (member, result.map_err(GuestFailure::from))
            }
            (result, _) => (member, result.map_err(GuestFailure::from)),
        }
    }

    /// How many instances there are, and how many of them have a request.
    pub fn size(&self) -> (usize, usize) {
        let members = self.bounds.members();
        (members.len(), members.values().filter(|member| member.this.calls() > 0).count())
    }

    /// Every instance.
    pub fn members(&self) -> Vec<MemberView> {
        let members = self.bounds.members();
        let view = |member: &Arc<Member>| MemberView {
            name: member.this.name.clone(),
            is_busy: member.this.calls() > 0,
            calls: member.calls.load(Ordering::Relaxed),
            made: member.made,
        };
        members.values().map(view).collect()
    }

    /// Takes no request any more where there is none, and lets the others end.
    pub fn retire(&self) {
        self.bounds.retired.store(true, Ordering::Release);
    }
}

/// Sends a request to one of the instances of this handler.
async fn send(
    handler: &ProxyHandler<Maker>,
    request: Request,
    call: Arc<Call>,
) -> (Option<Arc<str>>, Result<Response, NoResponse>) {
    let taker = Arc::new(Mutex::new(None));
    let ticket = Ticket { call: call.clone(), taker: taker.clone() };
    let deadline = call.deadline.min(Instant::now() + handler.state().bounds.time);
    let answer = deadline::by(deadline, hand_over(handler, ticket, request.map(to_guest))).await;
    let taken = taker.lock().unwrap_or_else(PoisonError::into_inner).take();
    let name = taken.as_ref().map(|taken: &Taken| taken.member.this.name.clone());
    let fate = taken.as_ref().and_then(|taken| taken.member.fate());
    let result = match answer {
        // It has set its head and ended before anything of it was sent.
        Some(Ok(_)) if let Some(failure) = fate => Err(NoResponse::WithInstance(failure.clone())),
        Some(Ok(response)) => Ok(response.map(|body| guarded(from_guest(body), taken))),
        Some(Err(error)) => match failure(error, taken.as_ref()).await {
            NoResponse::WithInstance(failure) if taken.as_ref().is_some_and(Taken::is_guilty) => {
                Err(NoResponse::Own(failure))
            }
            failure => Err(failure),
        },
        None => Err(NoResponse::Own(GuestFailure::Timeout("time"))),
    };
    (name, result)
}

/// Hands a request to an instance that has room, as soon as there is one.
async fn hand_over(
    handler: &ProxyHandler<Maker>,
    mut ticket: Ticket,
    mut request: handler::Request,
) -> wasmtime::Result<handler::Response> {
    loop {
        let error = match handler.handle(ticket, request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let refused = error.downcast::<InstantiationError<Ticket>>()?;
        if !refused.error.is::<NoRoomNow>() {
            return Err(refused.into());
        }
        (ticket, request) =
            (refused.request_data, refused.request.into_inner().unwrap_or_else(PoisonError::into_inner));
        // Either way it is asked again.
        let _ = tokio::time::timeout(LOOK, handler.state().bounds.changed.notified()).await;
    }
}

/// Whether a request may be sent twice: a safe one without content.
fn is_repeatable(request: &Request) -> bool {
    request.method().is_safe() && request.body().is_end_stream()
}

/// Why there is no response.
enum NoResponse {
    /// The request itself came to nothing.
    Own(GuestFailure),
    /// Its instance ended, for all that is known by the fault of another request.
    WithInstance(GuestFailure),
}

impl From<NoResponse> for GuestFailure {
    fn from(none: NoResponse) -> Self {
        match none {
            NoResponse::Own(failure) | NoResponse::WithInstance(failure) => failure,
        }
    }
}

async fn failure(error: wasmtime::Error, taken: Option<&Taken>) -> NoResponse {
    if error.is::<ExpirationError>() {
        return NoResponse::Own(GuestFailure::Timeout("time"));
    }
    if let Some(refused) = error.downcast_ref::<InstantiationError<Ticket>>() {
        return NoResponse::Own(GuestFailure::of(&refused.error, None));
    }
    if !error.is::<TrapOrPanicError>() {
        return NoResponse::Own(GuestFailure::ErrorResponse(format!("{error:#}")));
    }
    let lost = || GuestFailure::Trap { message: "its instance ended".into(), frames: Vec::new() };
    let Some(Taken { member, .. }) = taken else { return NoResponse::WithInstance(lost()) };
    // What ended the instance is known a moment after its requests are dropped.
    match tokio::time::timeout(END_TIME_MAX, member.end()).await {
        Ok(failure) => NoResponse::WithInstance(failure.clone()),
        Err(_) => NoResponse::WithInstance(lost()),
    }
}

impl Bounds {
    fn members(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
