//! `GuestState`: everything that one instance can reach.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::interfaces::call::Call;
use crate::interfaces::cpu::CpuMeter;
use crate::interfaces::holdings;
use crate::interfaces::http_out::Outbound;
use crate::interfaces::memory::{HoldsTooMuch, MemoryMeter};
use crate::interfaces::service::ServiceContext;
use crate::interfaces::wasi;
use crate::telemetry::journal::Speaker;

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
    outbound: Outbound,
}

/// What the parts of one instance share: its version, its name and the call it handles.
pub struct InstanceContext {
    /// The version it is a copy of.
    pub service: Arc<ServiceContext>,
    /// Its name, unique in this host.
    pub name: Arc<str>,
    call: Mutex<Option<Arc<Call>>>,
}

impl GuestState {
    /// The state of a fresh instance.
    pub fn new(service: Arc<ServiceContext>, name: Arc<str>) -> Self {
        let limits = &service.config.limits;
        let memory = MemoryMeter::new(limits.memory, limits.service_memory, service.usage.clone());
        let cpu = Arc::new(CpuMeter::new(limits.cpu, service.usage.share.clone()));
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources);
        let this = Arc::new(InstanceContext { service, name, call: Mutex::new(None) });
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
    /// Begins a call; what the guest does from now on is done for it.
    pub fn begin(&self, call: Arc<Call>) {
        *self.slot() = Some(call);
    }

    /// Ends the call, and with it its transactions; answers whether one was still open.
    pub fn end(&self) -> bool {
        self.slot().take().is_some_and(|call| call.end())
    }

    /// The call being handled; none while the instance is being made.
    pub fn call(&self) -> Option<Arc<Call>> {
        self.slot().clone()
    }

    /// Who speaks when this instance does.
    pub fn speaker(&self) -> Speaker {
        let call = self.call();
        Speaker {
            service: self.service.config.name.clone(),
            version: Some(self.service.version),
            instance: Some(self.name.clone()),
            request: call.as_ref().map(|call| call.request.clone()),
            trace: call.map(|call| call.trace.trace_text().into()),
        }
    }

    /// Logs and counts that the guest tried what it was not granted.
    pub fn denied(&self, right: &'static str, message: &str) {
        self.service.denied(right, self.speaker(), message);
    }

    /// The same, told once for a version.
    pub fn denied_once(&self, right: &'static str, message: &str) {
        self.service.denied_once(right, self.speaker(), message);
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Call>>> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
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
