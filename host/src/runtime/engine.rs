//! Two wasmtime engines, for WASI 0.2 and for WASI 0.3: features, and the pooling allocator sized for many small
//! guests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::interfaces::cpu::{SLICE, Ticks};
use crate::runtime::room::Room;
use crate::runtime::wasi::Wasi;

/// Ticks without a running guest after which the clock stops: to wake it costs more than a request, to let it run
/// that long next to nothing.
const IDLE_TICKS_MAX: u32 = 100;

/// Core instances, memories and tables for each instance: tool chains that adapt older modules make a few.
const CORE_PER_INSTANCE: u32 = 4;

/// The largest linear memory that any service may be granted.
pub const MEMORY_BYTES_MAX: usize = 4 << 30;

/// Bytes of each memory slot that stay resident between instances, so that a fresh one starts without page faults.
const MEMORY_KEPT_BYTES: usize = 256 * 1024;

/// Bytes of each table slot that stay resident between instances.
const TABLE_KEPT_BYTES: usize = 16 * 1024;

/// The stack of a guest: deep recursion ends as a trap.
const STACK_BYTES_MAX: usize = 512 * 1024;

/// Where instances get their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool for so many, to run.
    Pool(Room),
    /// From the system: an engine that only compiles needs no pool.
    OnDemand,
}

/// An engine, and the clock that interrupts guests.
#[derive(Clone)]
pub struct GuestEngine {
    engine: Engine,
    room: Room,
    need: Arc<Need>,
    clock: std::thread::Thread,
}

/// Who needs the clock, and what it tells.
struct Need {
    running: AtomicUsize,
    stopped: AtomicBool,
    ticks: Ticks,
}

/// Counts one running guest call while it lives; the clock runs while there are some.
pub struct Running(Arc<Need>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl GuestEngine {
    /// Makes the engine and starts its clock.
    ///
    /// # Errors
    ///
    /// When this machine lacks address space or a processor feature.
    pub fn new(wasi: Wasi) -> wasmtime::Result<Self> {
        let room = Room::here(wasi);
        let engine = engine(wasi, Allocation::Pool(room))?;
        let need = Arc::new(Need {
            running: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            ticks: Ticks::default(),
        });
        let (weak, seen) = (engine.weak(), need.clone());
        let thread =
            std::thread::Builder::new().name("epochs".into()).spawn(move || run_clock(&weak, &seen))?;
        Ok(Self { engine, room, need, clock: thread.thread().clone() })
    }

    /// The engine itself.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How many instances it has room for, of all services together.
    pub fn room(&self) -> Room {
        self.room
    }

    /// How often the clock has ticked.
    pub fn ticks(&self) -> &Ticks {
        &self.need.ticks
    }

    /// Counts a guest call that begins.
    pub fn run(&self) -> Running {
        self.need.running.fetch_add(1, Ordering::SeqCst);
        if self.need.stopped.load(Ordering::SeqCst) {
            self.clock.unpark();
        }
        Running(self.need.clone())
    }
}

/// Ticks while guests run, and a little longer; ends with the engine.
fn run_clock(engine: &EngineWeak, need: &Need) {
    let mut idle_ticks = 0;
    loop {
        std::thread::sleep(SLICE);
        let Some(engine) = engine.upgrade() else { return };
        // Counted before: who goes on in between has slept when the clock ticked.
        need.ticks.advance();
        engine.increment_epoch();
        drop(engine);
        idle_ticks = if need.running.load(Ordering::SeqCst) == 0 { idle_ticks + 1 } else { 0 };
        if idle_ticks > IDLE_TICKS_MAX {
            // Told before it is looked once more: a call that begins meanwhile sees the one or is seen by the other.
            need.stopped.store(true, Ordering::SeqCst);
            while need.running.load(Ordering::SeqCst) == 0 {
                std::thread::park();
            }
            need.stopped.store(false, Ordering::SeqCst);
        }
    }
}

/// An engine for this generation. Code that one has compiled runs on every other of its generation, however they get
/// memory.
///
/// # Errors
///
/// When this machine lacks address space or a processor feature.
pub fn engine(wasi: Wasi, allocation: Allocation) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .memory_reservation(MEMORY_BYTES_MAX as u64)
        .memory_init_cow(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        // Traps name file and line where the component carries them.
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        // Calls of WASI 0.2 cost a third without it (measured).
        .concurrency_support(wasi == Wasi::P3);
    match allocation {
        Allocation::Pool(room) => config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(room))),
        Allocation::OnDemand => config.parallel_compilation(false),
    };
    Engine::new(&config)
}

/// Each instance reserves address space, not memory.
fn pool(Room { instances, stacks }: Room) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances * CORE_PER_INSTANCE)
        .total_memories(instances)
        .total_tables(instances * CORE_PER_INSTANCE)
        .total_stacks(stacks)
        .max_memory_size(MEMORY_BYTES_MAX)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES)
        .max_tables_per_module(CORE_PER_INSTANCE)
        .pagemap_scan(Enabled::Auto);
    pool
}
