//! One wasmtime engine: features, and the pooling allocator sized for many small guests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// A guest runs at most this long before others get a turn: with 2 ms slices four endless guests on two cores
/// leave a bystander a p99 of 10 ms, with 10 ms slices 510 ms.
const EPOCH: Duration = Duration::from_millis(2);

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
    running: Arc<AtomicUsize>,
    ticker: std::thread::Thread,
}

/// Counts one running guest call while it lives; the clock ticks only while there are some.
pub struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
        let running = Arc::new(AtomicUsize::new(0));
        let (weak, count) = (engine.weak(), running.clone());
        let tick = move || {
            loop {
                if count.load(Ordering::Acquire) == 0 {
                    std::thread::park();
                }
                std::thread::sleep(EPOCH);
                let Some(engine) = weak.upgrade() else { return };
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new().name("epochs".into()).spawn(tick)?;
        Ok(Self { engine, running, ticker: thread.thread().clone() })
    }

    /// The engine itself.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Counts a guest call that begins.
    pub fn run(&self) -> Running {
        if self.running.fetch_add(1, Ordering::Release) == 0 {
            self.ticker.unpark();
        }
        Running(self.running.clone())
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
