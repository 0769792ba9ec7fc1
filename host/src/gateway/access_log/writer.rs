//! Lines on their way to the file: whoever has one adds its text, and one thread, which owns the file, writes them
//! together.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// Bytes of lines that wait for the disk; beyond them lines are dropped and counted, so that a slow disk delays no
/// request.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long lines gather before they are written together: to wake the writer for each costs as much as a request
/// to a file.
const GATHER: Duration = Duration::from_millis(5);

/// Memory for lines that is kept when they are written: what those of one moment take.
const KEPT_BYTES: usize = 1024 * 1024;

/// Takes lines for a file; dropping it ends its thread once all are written.
#[derive(Debug)]
pub struct Writer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

/// What waits for the thread.
#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines dropped since the last one that was written.
    dropped: u64,
    /// Told when every line before is in the file.
    told: Vec<oneshot::Sender<()>>,
    /// Whether nobody adds lines any more.
    is_closed: bool,
    /// Whether the thread has ended.
    is_gone: bool,
}

impl Writer {
    /// Starts the thread that writes to `file`.
    ///
    /// # Errors
    ///
    /// When the system has no thread.
    pub fn start(file: File) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = shared.clone();
        std::thread::Builder::new().name("access-log".into()).spawn(move || write_all(file, &seen))?;
        Ok(Self(shared))
    }

    /// Writes a line, sooner or later.
    pub fn write(&self, line: &[u8]) {
        let mut waiting = self.0.waiting();
        if waiting.lines.len() + line.len() > WAITING_BYTES_MAX {
            waiting.dropped += 1;
            return;
        }
        // Otherwise the thread looks by itself.
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.0.changed.notify_one();
        }
    }

    /// Waits until every line so far is in the file.
    pub async fn flush(&self) {
        let (done, told) = oneshot::channel();
        self.0.tell(done);
        // Dropped where the thread has ended, or ends meanwhile.
        let _ = told.await;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.waiting().is_closed = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the thread tell when every line so far is in the file.
    fn tell(&self, done: oneshot::Sender<()>) {
        let mut waiting = self.waiting();
        if !waiting.is_gone {
            waiting.told.push(done);
            drop(waiting);
            self.changed.notify_one();
        }
    }

    /// Waits until there is something to do.
    fn wait(&self) -> MutexGuard<'_, Waiting> {
        let idle = |waiting: &mut Waiting| waiting.is_idle();
        self.changed.wait_while(self.waiting(), idle).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.told.is_empty() && !self.is_closed
    }
}

/// Tells that the thread has ended, also by a panic.
struct Gone<'a>(&'a Shared);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.is_gone = true;
        waiting.told.clear();
    }
}

fn write_all(mut file: File, shared: &Shared) {
    let _gone = Gone(shared);
    let mut lines = Vec::new();
    loop {
        let mut waiting = shared.wait();
        std::mem::swap(&mut lines, &mut waiting.lines);
        let dropped = std::mem::take(&mut waiting.dropped);
        let told = std::mem::take(&mut waiting.told);
        let is_closed = waiting.is_closed;
        drop(waiting);
        if dropped > 0 {
            lines.extend_from_slice(format!("{{\"dropped\":{dropped}}}\n").as_bytes());
        }
        if let Err(error) = file.write_all(&lines) {
            tracing::warn!(%error, "lines of the access log are lost; check the disk");
        }
        lines.clear();
        lines.shrink_to(KEPT_BYTES);
        if is_closed {
            return;
        }
        let is_awaited = !told.is_empty();
        for done in told {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
        if !is_awaited {
            std::thread::sleep(GATHER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_stand_in_the_file_once_it_is_flushed_and_what_finds_no_room_is_counted() {
        let path = std::env::temp_dir().join(format!("hostel-access-log-{}", std::process::id()));
        let writer = Writer::start(File::create(&path).unwrap()).unwrap();
        writer.write(b"one\n");
        writer.write(&vec![b'x'; WAITING_BYTES_MAX + 1]);
        writer.flush().await;
        writer.write(b"two\n");
        writer.flush().await;
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), ["one", "{\"dropped\":1}", "two"]);
    }
}
