//! One wasmtime engine: features, and the pooling allocator sized for many small guests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wasmtime::{Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::interfaces::cpu::SLICE;

/// Ticks without a running guest after which the clock stops: to wake it costs more than a request, to let it run
/// that long next to nothing.
const IDLE_TICKS_MAX: u32 = 100;

/// Instances of all services together; each reserves address space, not memory.
const INSTANCES_MAX: u32 = 4_000;

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

/// The engine, and the clock that interrupts guests.
#[derive(Clone)]
pub struct GuestEngine {
    engine: Engine,
    need: Arc<Need>,
    clock: std::thread::Thread,
}

/// Who needs the clock.
#[derive(Default)]
struct Need {
    running: AtomicUsize,
    stopped: AtomicBool,
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
    pub fn new() -> wasmtime::Result<Self> {
        let engine = Engine::new(&config())?;
        let need = Arc::new(Need::default());
        let (weak, seen) = (engine.weak(), need.clone());
        let thread =
            std::thread::Builder::new().name("epochs".into()).spawn(move || run_clock(&weak, &seen))?;
        Ok(Self { engine, need, clock: thread.thread().clone() })
    }

    /// The engine itself.
    pub fn engine(&self) -> &Engine {
        &self.engine
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

fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(INSTANCES_MAX * CORE_PER_INSTANCE)
        .total_memories(INSTANCES_MAX)
        .total_tables(INSTANCES_MAX * CORE_PER_INSTANCE)
        .total_stacks(INSTANCES_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES)
        .max_tables_per_module(CORE_PER_INSTANCE)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        // WASI 0.2 calls cost a third without it (measured); 0.3 gets an engine of its own.
        .concurrency_support(false);
    config
}
