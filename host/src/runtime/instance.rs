//! One sandbox: a store with an instance in it; calls its exports, each within its limits.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::Resource;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};
use wasmtime_wasi_http::p3::bindings::exports::wasi::http::handler;

use crate::backends::messaging::{Delivery, Outcome, Reply};
use crate::body::Request;
use crate::deadline;
use crate::interfaces::bindings::exports::hostel::service as service_exports;
use crate::interfaces::bindings::exports::hostel::service::message_handler;
use crate::interfaces::bindings::exports::hostel::service::migrations::Dialect;
use crate::interfaces::bindings::exports::wasi::http as http_exports;
use crate::interfaces::call::{Call, Spent};
use crate::interfaces::cpu::CpuTimed;
use crate::interfaces::guest::GuestState;
use crate::interfaces::http_out::to_guest;
use crate::runtime::activity::{Activity, EndsWith};
use crate::runtime::blueprint::{Exports, HttpExport};
use crate::runtime::engine::GuestEngine;
use crate::runtime::failure::GuestFailure;
use crate::runtime::handler_p3;

/// One sandboxed running copy of a version.
pub struct Instance {
    engine: GuestEngine,
    store: Store<GuestState>,
    http: Option<Http>,
    messages: Option<service_exports::message_handler::Guest>,
    migrations: Option<service_exports::migrations::Guest>,
    health: Option<service_exports::health::Guest>,
    calls: u32,
    idle_since: Instant,
    /// Whether the host holds so much for it that it must go.
    is_burden: bool,
}

/// The handler of HTTP requests.
enum Http {
    P2(http_exports::incoming_handler::Guest),
    P3(handler::Guest),
}

/// A request that an instance has taken, to be handled by the same one.
pub enum Accepted {
    /// By WASI 0.2.
    P2(http_exports::incoming_handler::Guest, Resource<HostIncomingRequest>, Resource<HostResponseOutparam>),
    /// By WASI 0.3.
    P3(handler::Guest, handler_p3::Accepted),
}

impl Instance {
    pub(super) fn new(
        engine: GuestEngine,
        exports: &Exports,
        mut store: Store<GuestState>,
        instance: wasmtime::component::Instance,
    ) -> Result<Self, GuestFailure> {
        let unfit = |error| GuestFailure::of(&error, None);
        macro_rules! load {
            ($indices:expr) => {
                $indices.load(&mut store, &instance).map_err(unfit)?
            };
        }
        let http = match &exports.http {
            Some(HttpExport::P2(indices)) => Some(Http::P2(load!(indices))),
            Some(HttpExport::P3(indices)) => Some(Http::P3(load!(indices))),
            None => None,
        };
        macro_rules! load_optional {
            ($export:ident) => {
                match &exports.$export {
                    Some(indices) => Some(load!(indices)),
                    None => None,
                }
            };
        }
        let messages = load_optional!(messages);
        let (migrations, health) = (load_optional!(migrations), load_optional!(health));
        let idle_since = Instant::now();
        Ok(Self { engine, store, http, messages, migrations, health, calls: 0, idle_since, is_burden: false })
    }

    /// Its name, unique in this host.
    pub fn name(&self) -> &Arc<str> {
        &self.store.data().this.name
    }

    /// How many calls it has handled.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Bytes of guest memory in use.
    pub fn memory(&self) -> u64 {
        self.store.data().memory.used()
    }

    /// Since when it has nothing to do.
    pub fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// Whether it may handle another call; `reuse` is how many it may handle in all.
    pub fn is_reusable(&self, reuse: Option<u32>) -> bool {
        !self.is_burden && reuse.is_none_or(|most| self.calls < most) && !self.store.data().memory.is_high()
    }

    /// Takes an HTTP request. The head of its response will stand in `activity`.
    ///
    /// # Errors
    ///
    /// Why it cannot be handled here.
    pub fn accept(&mut self, request: Request, activity: &Arc<Activity>) -> Result<Accepted, GuestFailure> {
        let http = self.http.as_ref().ok_or(GuestFailure::NoExport("wasi:http/incoming-handler"))?;
        let request = request.map(to_guest);
        let mut view = self.store.data_mut().http();
        let accepted = match http {
            Http::P2(guest) => view.new_incoming_request(Scheme::Http, request).and_then(|request| {
                let out = view.new_response_outparam_from_callback(respond(activity.clone()))?;
                Ok(Accepted::P2(guest.clone(), request, out))
            }),
            Http::P3(guest) => {
                handler_p3::accept(view, request).map(|accepted| Accepted::P3(guest.clone(), accepted))
            }
        };
        accepted.map_err(|error| GuestFailure::of(&error, None))
    }

    /// Answers a request that it has taken. The response head stands in `activity` as soon as it is there; this returns
    /// when the call has ended, which may be long after.
    ///
    /// # Errors
    ///
    /// The failure that ended the call; also when the response had begun, which is then cut.
    pub async fn handle(
        &mut self,
        accepted: Accepted,
        call: &Arc<Call>,
        activity: &Arc<Activity>,
    ) -> Result<(), GuestFailure> {
        match accepted {
            Accepted::P2(guest, request, out) => {
                let work =
                    async |store: &mut Store<GuestState>| pin!(guest.call_handle(store, request, out)).await;
                self.run(call, activity, work).await
            }
            Accepted::P3(guest, accepted) => {
                let GuestState { this, cpu, .. } = self.store.data();
                activity.watch(this.clone(), cpu.clone());
                let work = async |store: &mut Store<GuestState>| {
                    handler_p3::handle(store, &guest, accepted, call, activity).await
                };
                // Boxed, as it is the larger one: the way of a call is moved as one future.
                Box::pin(self.run(call, activity, work)).await.flatten()
            }
        }?;
        if activity.has_begun() { Ok(()) } else { Err(GuestFailure::NoResponse) }
    }

    /// Handles a message.
    ///
    /// # Errors
    ///
    /// The failure that ended the call.
    pub async fn handle_message(
        &mut self,
        delivery: &Delivery,
        call: Arc<Call>,
    ) -> Result<Outcome, GuestFailure> {
        let messages =
            self.messages.take().ok_or(GuestFailure::NoExport("hostel:service/message-handler"))?;
        let delivery = to_guest_delivery(delivery);
        let activity = Activity::new(EndsWith::Call);
        let result =
            self.run(&call, &activity, async |store| messages.call_handle(store, &delivery).await).await;
        self.messages = Some(messages);
        Ok(from_guest_outcome(result?))
    }

    /// The schema of its database; empty when it has none.
    ///
    /// # Errors
    ///
    /// The failure that ended the call.
    pub async fn migrations(&mut self, call: Arc<Call>) -> Result<Vec<String>, GuestFailure> {
        let Some(migrations) = self.migrations.take() else { return Ok(Vec::new()) };
        let activity = Activity::new(EndsWith::Call);
        let dialect = Dialect::Sqlite;
        let result =
            self.run(&call, &activity, async |store| migrations.call_migrations(store, dialect).await).await;
        self.migrations = Some(migrations);
        result
    }

    /// Asks whether it can work: the inner error is its own word that it cannot.
    ///
    /// # Errors
    ///
    /// The failure that ended the call.
    pub async fn health(&mut self, call: Arc<Call>) -> Result<Result<(), String>, GuestFailure> {
        let Some(health) = self.health.take() else { return Ok(Ok(())) };
        let activity = Activity::new(EndsWith::Call);
        let idle_since = self.idle_since;
        let result = self.run(&call, &activity, async |store| health.call_check(store).await).await;
        // Being asked is no work: it must not keep an idle instance for ever.
        self.idle_since = idle_since;
        self.health = Some(health);
        result
    }

    /// Runs one call within its limits, and ends what it left open.
    async fn run<T>(
        &mut self,
        call: &Arc<Call>,
        activity: &Activity,
        work: impl AsyncFnOnce(&mut Store<GuestState>) -> wasmtime::Result<T>,
    ) -> Result<T, GuestFailure> {
        let state = self.store.data();
        let (this, meter) = (state.this.clone(), state.cpu.clone());
        let limits = &this.service.config.limits;
        let head_deadline = call.deadline.min(call.began + limits.time);
        this.begin(call.clone());
        meter.reset();
        self.store.set_epoch_deadline(1);
        self.calls = self.calls.saturating_add(1);
        let running = self.engine.run();
        let result = {
            let work = pin!(work(&mut self.store));
            within(CpuTimed::new(work, &meter), head_deadline, limits.idle, activity).await
        };
        drop(running);
        if this.end() {
            tracing::debug!(instance = %this.name, "a transaction left open was rolled back at the end of its call");
        }
        self.idle_since = meter.ended();
        let state = self.store.data_mut();
        // A sound guest leaves nothing behind.
        self.is_burden = !state.table.is_empty() && state.count_holdings().is_err();
        let hit = state.memory.take_hit();
        if !matches!(result, Ok(Ok(_))) {
            call.note_spent(Spent { cpu: state.cpu.used(), memory: state.memory.used() });
        }
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(GuestFailure::of(&error, hit)),
            Err(failure) => Err(failure),
        }
    }
}

/// Waits for the call: until `head_deadline` for the response to begin, afterwards as long as it moves.
async fn within<T>(
    work: impl Future<Output = T>,
    head_deadline: Instant,
    idle: std::time::Duration,
    activity: &Activity,
) -> Result<T, GuestFailure> {
    tokio::pin!(work);
    let mut until = head_deadline;
    loop {
        match deadline::by(until, &mut work).await {
            Some(value) => return Ok(value),
            None if !activity.has_begun() => return Err(GuestFailure::Timeout("time")),
            None => {
                until = activity.last() + idle;
                if until <= Instant::now() {
                    return Err(GuestFailure::Timeout("idle"));
                }
            }
        }
    }
}

/// What happens when the guest sets its response.
fn respond(
    activity: Arc<Activity>,
) -> impl FnOnce(Result<http::Response<HyperOutgoingBody>, ErrorCode>) + Send + Sync + 'static {
    move |result| {
        activity.begin(result.map_err(|code| GuestFailure::ErrorResponse(format!("{code:?}"))));
    }
}

fn to_guest_delivery(delivery: &Delivery) -> message_handler::Delivery {
    message_handler::Delivery {
        id: delivery.id.clone(),
        topic: delivery.topic.to_string(),
        domain: delivery.domain.to_string(),
        source: delivery.source.to_string(),
        key: delivery.key.clone(),
        headers: delivery.headers.clone(),
        body: delivery.body.to_vec(),
        attempt: delivery.attempt,
        published_ms: delivery.published_ms,
        wants_reply: delivery.wants_reply,
    }
}

fn from_guest_outcome(outcome: message_handler::Outcome) -> Outcome {
    match outcome {
        message_handler::Outcome::Done => Outcome::Done,
        message_handler::Outcome::Reply(reply) => {
            Outcome::Reply(Reply { headers: reply.headers, body: reply.body.into() })
        }
        message_handler::Outcome::Retry(after) => Outcome::Retry {
            after: after.map(std::time::Duration::from_millis),
            reason: "the service asked for another try".into(),
        },
        message_handler::Outcome::Reject(reason) => Outcome::Reject(reason),
    }
}
