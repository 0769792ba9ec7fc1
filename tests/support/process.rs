//! What a process uses of memory and processors.

use std::fs;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

/// Ticks of processor time in a second, the same on every Linux.
pub const TICKS_PER_SECOND: u64 = 100;

/// How often the memory is looked at for its peak.
const GLANCE: Duration = Duration::from_millis(5);

/// What the host may have computed when a call with a second of computing has ended: a tenth less or more. One that is
/// built for debugging takes another tenth itself to go from slice to slice.
pub const SECOND: RangeInclusive<f64> = 0.9..=if cfg!(debug_assertions) { 1.2 } else { 1.1 };

/// What a process may keep of the memory that it took, and how long it may take to give the rest back.
const KEPT_KIB_MAX: u64 = 64 << 10;
const GIVING_BACK_TIME_MAX: Duration = Duration::from_secs(30);

/// Waits until a process has about as much memory as it had before.
pub async fn memory_is_back(process: u32, before_kib: u64) {
    let deadline = Instant::now() + GIVING_BACK_TIME_MAX;
    while rss_kib(process) > before_kib + KEPT_KIB_MAX {
        let now = rss_kib(process);
        assert!(Instant::now() < deadline, "{now} KiB of memory stay, {before_kib} before");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The resident memory of a process in KiB; 0 when it has ended.
pub fn rss_kib(process: u32) -> u64 {
    status_kib(process, "VmRSS:")
}

/// The most that this has ever been.
pub fn high_water_kib(process: u32) -> u64 {
    status_kib(process, "VmHWM:")
}

fn status_kib(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// Processor time of a process, in ticks; none when it has ended.
pub fn ticks(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program stands in parentheses and may hold anything; fields are counted after it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(number(11)? + number(12)?)
}

/// What a process computes while this goes on, in seconds.
pub async fn computing<T>(process: u32, work: impl Future<Output = T>) -> (T, f64) {
    let before = ticks(process).unwrap();
    let result = work.await;
    (result, (ticks(process).unwrap() - before) as f64 / TICKS_PER_SECOND as f64)
}

/// Processor time of everybody but these processes, in ticks, with what the machine below kept for itself. Interrupts are
/// nobody's. 0 where the processors that the kernel tells of are not those that this test may use, as in some containers.
pub fn ticks_of_others(own: &[u32]) -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    if text.lines().filter(|line| line.starts_with("cpu")).count() != processors() + 1 {
        return 0;
    }
    let fields: Vec<u64> = text.lines().next().unwrap_or_default().split(' ').flat_map(str::parse).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal: see proc_stat(5).
    let all: u64 = [0, 1, 2, 7].into_iter().filter_map(|place| fields.get(place)).sum();
    all.saturating_sub(own.iter().filter_map(|process| ticks(*process)).sum())
}

/// How many processors this test may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get())
}

/// The most memory of a process while this lives.
pub struct Peak {
    before_kib: u64,
    most_kib: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Peak {
    /// Watches from now on.
    pub fn watch(process: u32) -> Self {
        let before_kib = rss_kib(process);
        let most_kib = Arc::new(AtomicU64::new(before_kib));
        let seen = most_kib.clone();
        let task = tokio::spawn(async move {
            loop {
                seen.fetch_max(rss_kib(process), Ordering::Relaxed);
                tokio::time::sleep(GLANCE).await;
            }
        });
        Self { before_kib, most_kib, task }
    }

    /// The memory when the watch began.
    pub fn before_kib(&self) -> u64 {
        self.before_kib
    }

    /// How much more than then there was at most.
    pub fn growth_kib(&self) -> u64 {
        self.most_kib.load(Ordering::Relaxed).saturating_sub(self.before_kib)
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.task.abort();
    }
}
