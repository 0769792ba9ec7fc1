//! A component that is checked and linked: instances are made from it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi_http::handler::Proxy;
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::p3::bindings::exports::wasi::http::handler;

use crate::interfaces::bindings::exports::hostel::service as service_exports;
use crate::interfaces::bindings::exports::wasi::http as http_exports;
use crate::interfaces::cpu::CpuTimed;
use crate::interfaces::guest::GuestState;
use crate::interfaces::service::ServiceContext;
use crate::interfaces::turns::Turn;
use crate::runtime::engine::{GuestEngine, Running};
use crate::runtime::failure::{CpuLimitReached, GuestFailure, TimeLimitReached};
use crate::runtime::imports;
use crate::runtime::instance::Instance;

/// Bytes that a guest may pass to the host in one call: a little more than the largest value of a database or
/// bucket, so that those limits are the ones that a guest meets.
const HOSTCALL_BYTES_MAX: usize = 32 << 20;

/// What instances of one version are made from.
pub struct Blueprint {
    pub(super) engine: GuestEngine,
    pub(super) exports: Exports,
    context: Arc<ServiceContext>,
    linked: InstancePre<GuestState>,
    concurrent: Option<ServicePre<GuestState>>,
    handles_several: bool,
    made: AtomicU64,
}

/// The exports that a component has; each is optional.
pub struct Exports {
    /// Answers HTTP requests.
    pub http: Option<HttpExport>,
    /// Handles messages.
    pub messages: Option<service_exports::message_handler::GuestIndices>,
    /// Knows the schema of its database.
    pub migrations: Option<service_exports::migrations::GuestIndices>,
    /// Knows whether it can work.
    pub health: Option<service_exports::health::GuestIndices>,
}

/// The handler of HTTP requests.
pub enum HttpExport {
    /// Of WASI 0.2.
    P2(http_exports::incoming_handler::GuestIndices),
    /// Of WASI 0.3.
    P3(handler::GuestIndices),
}

/// Checks that the exports which the host calls have the functions that it calls: their names alone say nothing.
///
/// # Errors
///
/// Which function is missing or has another shape.
pub fn check_exports(linked: &InstancePre<GuestState>) -> wasmtime::Result<()> {
    for (name, _) in linked.component().component_type().exports(linked.engine()) {
        let interface = name.split_once('@').map_or(name, |(interface, _)| interface);
        let found = match interface {
            imports::HTTP_HANDLER => http_exports::incoming_handler::GuestIndices::new(linked).map(|_| ()),
            imports::HTTP_P3_HANDLER => ServicePre::new(linked.clone()).map(|_| ()),
            imports::MESSAGE_HANDLER => {
                service_exports::message_handler::GuestIndices::new(linked).map(|_| ())
            }
            imports::MIGRATIONS => service_exports::migrations::GuestIndices::new(linked).map(|_| ()),
            imports::HEALTH => service_exports::health::GuestIndices::new(linked).map(|_| ()),
            _ => Ok(()),
        };
        found?;
    }
    Ok(())
}

/// The handler of the newest WASI that there is.
fn http_export(linked: &InstancePre<GuestState>) -> Option<HttpExport> {
    let of_p3 = handler::GuestIndices::new(linked).ok().map(HttpExport::P3);
    of_p3.or_else(|| http_exports::incoming_handler::GuestIndices::new(linked).ok().map(HttpExport::P2))
}

impl Blueprint {
    /// `handles_several` tells whether each thing that an instance does can be told to belong to one of several calls.
    pub(super) fn new(
        engine: GuestEngine,
        context: Arc<ServiceContext>,
        linked: InstancePre<GuestState>,
        handles_several: bool,
    ) -> Self {
        let exports = Exports {
            http: http_export(&linked),
            messages: service_exports::message_handler::GuestIndices::new(&linked).ok(),
            migrations: service_exports::migrations::GuestIndices::new(&linked).ok(),
            health: service_exports::health::GuestIndices::new(&linked).ok(),
        };
        let concurrent = ServicePre::new(linked.clone()).ok();
        Self { engine, exports, context, linked, concurrent, handles_several, made: AtomicU64::new(0) }
    }

    /// Checks that the component has every function that the host would call.
    ///
    /// # Errors
    ///
    /// Which one is missing or has another shape.
    pub fn check_exports(&self) -> Result<(), String> {
        check_exports(&self.linked).map_err(|error| format!("{error:#}"))
    }

    /// Whether it exports the HTTP handler of WASI 0.3.
    pub fn is_concurrent(&self) -> bool {
        self.concurrent.is_some()
    }

    /// How many requests an instance may handle at a time of so many that the configuration allows.
    pub fn concurrency(&self, allowed: usize) -> usize {
        if self.handles_several { allowed } else { 1 }
    }

    /// The version that is made from it.
    pub fn context(&self) -> &Arc<ServiceContext> {
        &self.context
    }

    /// Which exports the component has.
    pub fn exports(&self) -> &Exports {
        &self.exports
    }

    /// Makes one instance; the component's start function runs within the limits of a call.
    ///
    /// # Errors
    ///
    /// When a limit of the host is reached, or the start function fails.
    pub async fn instantiate(&self) -> Result<Box<Instance>, GuestFailure> {
        let mut store = self.store();
        store.epoch_deadline_callback(|mut store| {
            let state = store.data_mut();
            if state.cpu.is_over() {
                return Err(CpuLimitReached.into());
            }
            state.count_holdings()?;
            if !state.cpu.ran_at_tick() {
                return Ok(UpdateDeadline::Continue(1));
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(Turn::new(state.cpu.clone()))))
        });
        let running = self.engine.run();
        let meter = store.data().cpu.clone();
        let made = {
            let made = pin!(self.linked.instantiate_async(&mut store));
            tokio::time::timeout(self.context.config.limits.time, CpuTimed::new(made, &meter)).await
        };
        drop(running);
        let instance = match made {
            Ok(Ok(instance)) => instance,
            Ok(Err(error)) => return Err(GuestFailure::of(&error, store.data_mut().memory.take_hit())),
            Err(_) => return Err(GuestFailure::Timeout("time")),
        };
        self.count();
        Instance::new(self.engine.clone(), &self.exports, store, instance).map(Box::new)
    }

    /// Makes one instance that handles several requests at a time; so does [`Self::instantiate`].
    ///
    /// # Errors
    ///
    /// When a limit of the host is reached, or the start function fails.
    pub async fn instantiate_concurrent(&self) -> wasmtime::Result<(Store<GuestState>, Proxy)> {
        let concurrent = self.concurrent.as_ref();
        let concurrent =
            concurrent.ok_or_else(|| wasmtime::Error::msg("it exports no handler of WASI 0.3"))?;
        let mut store = self.store();
        let cpu = self.context.config.limits.cpu;
        let clock = self.engine.clone();
        store.epoch_deadline_callback(move |mut store| {
            let task = store.async_call_stack()?.last();
            let state = store.data_mut();
            state.count_holdings()?;
            let Some(slice) = state.this.slices().meet(task, clock.ticks().count()) else {
                return Ok(UpdateDeadline::Continue(1));
            };
            if state.this.slices().computed(task) > cpu {
                state.this.blame(task);
                return Err(CpuLimitReached.into());
            }
            let (this, clock, share) = (state.this.clone(), clock.clone(), state.cpu.share().clone());
            share.use_up(slice.as_nanos() as u64);
            let turn = async move {
                Turn::of_a_slice(share).await;
                this.slices().resume(clock.ticks().count());
            };
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(turn)))
        });
        let running = self.engine.run();
        let made =
            tokio::time::timeout(self.context.config.limits.time, concurrent.instantiate_async(&mut store));
        let proxy = made.await.map_err(|_| TimeLimitReached)??;
        drop(running);
        store.data().this.slices().pause();
        self.count();
        Ok((store, Proxy::P3(proxy)))
    }

    /// The clock runs while this lives; to be held while a call runs.
    pub fn running(&self) -> Running {
        self.engine.run()
    }

    fn store(&self) -> Store<GuestState> {
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let service = &self.context;
        let limits = &service.config.limits;
        let name: Arc<str> = format!("{}-{}-{number}", service.config.name, service.version).into();
        let mut store = Store::new(
            self.engine.engine(),
            GuestState::new(service.clone(), name, self.engine.ticks().clone()),
        );
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        // The table of resources is what a guest fills first: each handle leads to at most one.
        store.set_max_component_handles(limits.resources.saturating_mul(2));
        store.set_epoch_deadline(1);
        store
    }

    fn count(&self) {
        let service = &self.context;
        service.host.metrics.instance_made(&service.config.name, service.version);
    }
}
