//! Watches the processes in which a host compiles: how much memory and processor they take.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::process::{TICKS_PER_SECOND, high_water_kib, ticks};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);

/// Over how long processor time is measured: a clock tick is 10 ms.
const WINDOW: Duration = Duration::from_millis(500);

/// A watch that runs until it is stopped.
pub struct CompilerWatch {
    stop: Arc<AtomicBool>,
    computed_ms: Arc<AtomicU64>,
    thread: JoinHandle<Seen>,
}

/// The most of everything that was seen.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// Compilers that there were.
    pub processes: usize,
    /// Compilers at a time.
    pub at_once: usize,
    /// The largest resident memory of one, in KiB.
    pub memory_kib: u64,
    /// Processors that all together used over half a second.
    pub processors: f64,
}

struct Window {
    since: Instant,
    ticks: u64,
}

impl CompilerWatch {
    /// Watches the compilers of this host.
    pub fn start(host: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let computed_ms = Arc::new(AtomicU64::new(0));
        let (stopped, most_ms) = (stop.clone(), computed_ms.clone());
        let thread = std::thread::spawn(move || watch(host, &stopped, &most_ms));
        Self { stop, computed_ms, thread }
    }

    /// The processor time of the compiler that took the most since this was asked last.
    pub fn take_computed(&self) -> Duration {
        Duration::from_millis(self.computed_ms.swap(0, Ordering::Relaxed))
    }

    /// Stops it and answers what was seen.
    pub fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn watch(host: u32, stop: &AtomicBool, computed_ms: &AtomicU64) -> Seen {
    let (mut seen, mut windows) = (Seen::default(), HashMap::<u32, Window>::new());
    while !stop.load(Ordering::Relaxed) {
        let compilers = compilers(host);
        seen.at_once = seen.at_once.max(compilers.len());
        let mut processors = 0.0;
        for compiler in compilers {
            let Some(ticks) = ticks(compiler) else { continue };
            seen.memory_kib = seen.memory_kib.max(high_water_kib(compiler));
            computed_ms.fetch_max(ticks * 1_000 / TICKS_PER_SECOND, Ordering::Relaxed);
            let now = Instant::now();
            let window = windows.entry(compiler).or_insert_with(|| {
                seen.processes += 1;
                Window { since: now, ticks }
            });
            let long = now - window.since;
            if long >= WINDOW {
                processors += (ticks - window.ticks) as f64 / TICKS_PER_SECOND as f64 / long.as_secs_f64();
                *window = Window { since: now, ticks };
            }
        }
        seen.processors = seen.processors.max(processors);
        std::thread::sleep(LOOK);
    }
    seen
}

/// The children of a host that compile.
pub fn compilers(host: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{host}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let ids: Vec<u32> = children
        .flat_map(|text| text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect();
    ids.into_iter().filter(|id| is_compiler(*id)).collect()
}

fn is_compiler(process: u32) -> bool {
    let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == b"compile-worker")
}
