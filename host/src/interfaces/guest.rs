//! `GuestState`: everything that one instance can reach.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::interfaces::call::{Call, HostCall};
use crate::interfaces::cpu::{CpuMeter, Ticks};
use crate::interfaces::holdings;
use crate::interfaces::http_out::Outbound;
use crate::interfaces::memory::{HoldsTooMuch, MemoryMeter};
use crate::interfaces::service::ServiceContext;
use crate::interfaces::slices::Slices;
use crate::interfaces::wasi;
use crate::telemetry::journal::{Level, Speaker, Stream};

/// Bytes of one set of header fields in a guest: the gateway admits 32 KiB, and each field costs memory beside
/// its text.
const HEADER_BYTES_MAX: usize = 128 * 1024;

/// The state of one instance: a wasmtime store holds it, the interfaces borrow from it.
pub struct GuestState {
    /// What this instance is and does now.
    pub this: Arc<InstanceContext>,
    /// The resources that the guest holds.
    pub table: ResourceTable,
    /// Counts and limits the guest's memory.
    pub memory: MemoryMeter,
    /// Counts the processor time of the running call.
    pub cpu: Arc<CpuMeter>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    /// Its outgoing HTTP.
    pub outbound: Outbound,
}

/// What the parts of one instance share: its version, its name and the call it handles.
pub struct InstanceContext {
    /// The version it is a copy of.
    pub service: Arc<ServiceContext>,
    /// Its name, unique in this host.
    pub name: Arc<str>,
    calls: Mutex<Calls>,
    /// What each of several calls computes.
    slices: Mutex<Slices>,
}

/// What an instance handles: one call, or several where WASI 0.3 lets it.
#[derive(Default)]
struct Calls {
    running: Vec<RunningCall>,
    /// The task for which something is done right now.
    focus: Option<GuestTaskId>,
    /// The call by whose fault the instance ends, where that is known.
    guilty: Option<Arc<Call>>,
}

struct RunningCall {
    /// None where there can be one call only, and once its task has ended.
    task: Option<GuestTaskId>,
    call: Arc<Call>,
}

impl GuestState {
    /// The state of a fresh instance, which the clock of these ticks interrupts.
    pub fn new(service: Arc<ServiceContext>, name: Arc<str>, ticks: Ticks) -> Self {
        let limits = &service.config.limits;
        let memory = MemoryMeter::new(limits.memory, limits.service_memory, service.usage.clone());
        let cpu = Arc::new(CpuMeter::new(limits.cpu, service.usage.share.clone(), ticks));
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources);
        let this =
            Arc::new(InstanceContext { service, name, calls: Mutex::default(), slices: Mutex::default() });
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HEADER_BYTES_MAX);
        let wasi = wasi::context(&this);
        let outbound = Outbound::new(this.clone());
        Self { this, table, memory, cpu, wasi, http, outbound }
    }

    /// Counts what the host holds for the guest.
    ///
    /// # Errors
    ///
    /// When that is too much.
    pub fn count_holdings(&mut self) -> Result<(), HoldsTooMuch> {
        self.memory.hold(holdings::bytes(&mut self.table))
    }

    /// The version that runs here.
    pub fn service(&self) -> &ServiceContext {
        &self.this.service
    }
}

impl InstanceContext {
    /// Begins the one call; what the guest does from now on is done for it.
    pub fn begin(&self, call: Arc<Call>) {
        self.slot().running.push(RunningCall { task: None, call });
    }

    /// The one call is handled in this task.
    pub fn assign(&self, call: &Arc<Call>, task: GuestTaskId) {
        let mut slot = self.slot();
        let of_call = slot.running.iter_mut().find(|running| Arc::ptr_eq(&running.call, call));
        of_call.into_iter().for_each(|running| running.task = Some(task));
    }

    /// Ends all calls, and with them their transactions; answers whether one was still open.
    pub fn end(&self) -> bool {
        let mut was_open = false;
        let next = || self.slot().running.pop();
        while let Some(ended) = next() {
            was_open |= ended.call.end();
        }
        was_open
    }

    /// Begins one of several calls, which the guest handles in this task.
    pub fn begin_task(&self, task: GuestTaskId, call: Arc<Call>) {
        let mut slot = self.slot();
        // The engine gives the number of a task that has ended to the next: what is left of the old call, such as a
        // body that is still read, must not speak for the new one, nor the other way round.
        for ended in slot.running.iter_mut().filter(|running| running.task == Some(task)) {
            ended.task = None;
        }
        slot.running.push(RunningCall { task: Some(task), call });
        drop(slot);
        self.slices().begin(task);
    }

    /// Ends one of several calls.
    pub fn end_call(&self, call: &Arc<Call>) {
        let mut slot = self.slot();
        let place = slot.running.iter().position(|running| Arc::ptr_eq(&running.call, call));
        let ended = place.map(|place| slot.running.swap_remove(place));
        drop(slot);
        ended.inspect(|ended| _ = ended.call.end());
    }

    /// What is done until the next change of focus is done for this task.
    pub fn focus(&self, task: Option<GuestTaskId>) {
        self.slot().focus = task;
    }

    /// What each of several calls computes.
    pub fn slices(&self) -> MutexGuard<'_, Slices> {
        self.slices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instance ends by the fault of this task.
    pub fn blame(&self, task: Option<GuestTaskId>) {
        let mut slot = self.slot();
        let of_task = slot.running.iter().find(|running| task.is_some() && running.task == task);
        slot.guilty = of_task.map(|running| running.call.clone());
    }

    /// Whether the instance has ended by the fault of this call, as far as that is known.
    pub fn is_guilty(&self, call: &Arc<Call>) -> bool {
        self.slot().guilty.as_ref().is_some_and(|guilty| Arc::ptr_eq(guilty, call))
    }

    /// How many calls it handles.
    pub fn calls(&self) -> usize {
        self.slot().running.len()
    }

    /// The call for which something is done; none while the instance is being made, and where that is not known among
    /// several.
    pub fn call(&self) -> Option<Arc<Call>> {
        let slot = self.slot();
        let running = match (slot.focus, slot.running.as_slice()) {
            (Some(task), running) => running.iter().find(|running| running.task == Some(task)),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        running.map(|running| running.call.clone())
    }

    /// Remembers what the guest asks of the host.
    pub fn note(&self, host_call: HostCall) {
        if let Some(call) = self.call() {
            call.note(host_call);
        }
    }

    /// Who speaks when this instance does.
    pub fn speaker(&self) -> Speaker {
        self.service.speaker(Some(self.name.clone()), self.call().as_deref())
    }

    /// Logs that the guest gave a body of more bytes than it had announced.
    pub fn gives_too_much(&self, announced: u64) {
        let message =
            format!("a body has more than the {announced} bytes of its content-length: the rest is cut");
        self.service.say(Level::Warn, Stream::Host, self.speaker(), &message);
    }

    /// Logs and counts that the guest tried what it was not granted.
    pub fn denied(&self, right: &'static str, message: &str) {
        self.service.denied(right, self.speaker(), message);
    }

    /// The same, told once for a version.
    pub fn denied_once(&self, right: &'static str, message: &str) {
        self.service.denied_once(right, self.speaker(), message);
    }

    fn slot(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}
