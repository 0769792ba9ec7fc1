//! Compiles in a process of its own, within limits of memory and time: what is uploaded may be made to exhaust a
//! compiler, which Cranelift does not promise to withstand.

use std::io::{self, Read, Write};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::config::DeploysConfig;
use crate::runtime::engine::{Allocation, engine};
use crate::runtime::outline::Outline;

/// The command by which the host calls itself as a compiler.
pub const WORKER_COMMAND: &str = "compile-worker";

/// This program, also after its file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// How often the compiler is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Code that has to do with the time for any component.
const CODE_BASE_BYTES: u64 = 2 << 20;

/// Processor time for each further MiB of code: twice what the engines of JavaScript and Python take. Only code counts,
/// so that nobody buys time with padding.
const TIME_PER_MIB: Duration = Duration::from_secs(10);

/// How long a compiler may take beyond its processor time, which is nice to all else: where three others compute for
/// each processor it gets about a thirtieth of one.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Machine code of one component at most: Python's is 35 MB.
const CODE_BYTES_MAX: u64 = 512 << 20;

/// What a compiler says at most about why it cannot.
const WORDS_BYTES_MAX: u64 = 16 << 10;

/// How nice the compiler is to the requests that are served meanwhile.
const NICENESS: i32 = 10;

/// Processor seconds after which the system ends a compiler whose host is gone.
const ORPHAN_SECONDS: u64 = 3_600;

/// How a command that has failed ends, and how its words begin.
const FAILED: i32 = 1;
const ERROR: &str = "error:";

/// Compiles one component at a time.
#[derive(Debug, Clone)]
pub struct Compiler {
    turn: Arc<Semaphore>,
    limits: DeploysConfig,
}

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It is no component.
    #[error("{0}")]
    Malformed(String),
    /// It takes too long.
    #[error("compiling took longer than `compile-time` allows for so much code ({} s)", .0.as_secs())]
    Time(Duration),
    /// It was not given the processors to compile it in time.
    #[error(
        "compiling did not end within {} s, {} s of which it had a processor: the machine is busy, deploy it again \
         when it is less so", .waited.as_secs(), .computed.as_secs()
    )]
    Starved {
        /// How long it was waited for.
        waited: Duration,
        /// The processor time that it had.
        computed: Duration,
    },
    /// It takes too much memory.
    #[error("compiling took more than `compile-memory` allows ({} MiB)", .0 >> 20)]
    Memory(u64),
    /// The compiler died of it.
    #[error("the compiler failed ({0}): {1}")]
    Died(ExitStatus, String),
    /// The compiler cannot be run.
    #[error("the compiler cannot be run: {0}")]
    Io(#[from] io::Error),
}

impl Compiler {
    /// A compiler that has nothing to do.
    pub fn new(limits: DeploysConfig) -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), limits }
    }

    /// The machine code of a component for the engine of its kind.
    ///
    /// # Errors
    ///
    /// When the bytes are no component, or a limit is reached.
    pub async fn compile(&self, outline: Outline, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
        // Closed never: the permit only orders those who come.
        let _turn = self.turn.acquire().await;
        let mut child = Command::new(THIS_PROGRAM)
            .args([WORKER_COMMAND, outline.wasi.as_str()])
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (input, output, words) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut input) = input {
                // A compiler that has refused reads no more.
                let _ = input.write_all(bytes).await;
            }
        };
        let limits = DeploysConfig {
            compile_time: time_for(outline.code_bytes, self.limits.compile_time),
            ..self.limits
        };
        let work = async {
            tokio::join!(
                feed,
                read(output, CODE_BYTES_MAX),
                read(words, WORDS_BYTES_MAX),
                watch(&mut child, limits, WAIT_MAX)
            )
        };
        let ((), code, words, status) = work.await;
        let (code, status) = (code?, status?);
        if status.success() {
            return Ok(code);
        }
        let words = String::from_utf8_lossy(&words?).trim().to_owned();
        match words.strip_prefix(ERROR).filter(|_| status.code() == Some(FAILED)) {
            Some(reason) => Err(CompileError::Malformed(reason.trim().to_owned())),
            None => Err(CompileError::Died(status, words)),
        }
    }
}

/// Waits for the compiler to end, and ends it at a limit: of memory, of processor time, and of how much longer it may
/// take.
async fn watch(child: &mut Child, limits: DeploysConfig, wait: Duration) -> Result<ExitStatus, CompileError> {
    let (time, memory) = (limits.compile_time, limits.compile_memory);
    let waited = time + wait;
    let deadline = Instant::now() + waited;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let failure = loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            now = look.tick() => {
                let computed = child.id().map(processor_time).unwrap_or_default();
                if computed > time {
                    break CompileError::Time(time);
                }
                if now >= deadline {
                    break CompileError::Starved { waited, computed };
                }
                if child.id().is_some_and(|process| resident_bytes(process) > memory) {
                    break CompileError::Memory(memory);
                }
            }
        }
    };
    child.kill().await?;
    Err(failure)
}

/// How long compiling so much code may take.
fn time_for(code_bytes: u64, base: Duration) -> Duration {
    let further = code_bytes.saturating_sub(CODE_BASE_BYTES) as f64 / f64::from(1 << 20);
    base + TIME_PER_MIB.mul_f64(further)
}

/// The processor time that a process has used; none when it has ended.
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name of the program may hold spaces; it ends with the last bracket.
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}

/// The memory that a process uses now; 0 when it has ended.
fn resident_bytes(process: u32) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{process}/statm")).ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as u64
}

async fn read(stream: Option<impl AsyncRead + Unpin>, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(bytes_max).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The compiler itself: a component comes in, machine code goes out.
///
/// # Errors
///
/// Why the bytes are no component.
pub fn work(wasi: &str) -> anyhow::Result<()> {
    // A compiler that is not nice, or not bounded once its host is gone, still compiles.
    let _ = nice(NICENESS);
    let end = Rlimit { current: Some(ORPHAN_SECONDS), maximum: Some(ORPHAN_SECONDS) };
    let _ = setrlimit(Resource::Cpu, end);
    // Nobody watches its memory once the host is gone. Threads of the runtime, which start it, live as long as that.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let code = engine(wasi.parse()?, Allocation::OnDemand)
        .and_then(|engine| engine.precompile_component(&bytes))
        .map_err(|error| anyhow!("{error:#}"))?;
    io::stdout().lock().write_all(&code)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_buys_time() {
        let base = Duration::from_secs(6);
        assert_eq!(time_for(0, base), base);
        assert_eq!(time_for(CODE_BASE_BYTES, base), base);
        assert_eq!(time_for(CODE_BASE_BYTES + (3 << 20), base), base + TIME_PER_MIB * 3);
    }

    #[tokio::test]
    async fn who_gets_no_processor_is_told_so() {
        let mut child = Command::new("sleep").arg("3600").spawn().unwrap();
        let moment = Duration::from_millis(50);
        let limits = DeploysConfig { compile_time: moment, ..DeploysConfig::default() };
        let ended = watch(&mut child, limits, moment).await;
        let told = ended.unwrap_err().to_string();
        assert!(told.contains("the machine is busy"), "{told}");
        assert!(child.try_wait().unwrap().is_some(), "it is not left behind");
    }

    #[test]
    fn the_time_of_a_process_is_what_it_computed() {
        let until = std::time::Instant::now() + Duration::from_millis(50);
        while std::time::Instant::now() < until {}
        assert!(processor_time(std::process::id()) > Duration::ZERO);
        assert_eq!(processor_time(u32::MAX), Duration::ZERO);
    }
}
