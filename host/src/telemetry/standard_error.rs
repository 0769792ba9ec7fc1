//! Standard error, for which nobody waits: a reader who does not read costs lines, never requests.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

/// How long the reader may take to make room, once in `PATIENT_EVERY`.
const PATIENCE: Duration = Duration::from_millis(100);

/// A reader who is slow rather than gone must not hold up a thread with each line.
const PATIENT_EVERY: Duration = Duration::from_secs(2);

/// What a pipe takes at once where it takes anything (POSIX, PIPE_BUF).
const PIECE_BYTES: usize = 4096;

/// Standard error of this process.
const PATH: &str = "/proc/self/fd/2";

/// Lines of this process that found no room.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines of this process nobody read.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Writes lines, each by one call of `write`.
pub struct Lines {
    out: File,
    /// Whether others write there too, so that writing may wait where there is no room.
    is_shared: bool,
    /// When the reader was waited for.
    waited: Option<Instant>,
    /// Lines dropped since the last one that was written.
    dropped: u64,
    /// Whether the last one lacks its end.
    is_cut: bool,
}

/// Lines to standard error. A pipe or terminal is opened once more, so as not to wait in it: who shares it with this
/// process goes on to.
///
/// # Errors
///
/// When it is closed.
pub fn open() -> io::Result<Lines> {
    let kind = std::fs::metadata(PATH)?.file_type();
    if (kind.is_fifo() || kind.is_char_device())
        && let Ok(out) =
            OpenOptions::new().write(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(PATH)
    {
        return Ok(Lines::new(out, false));
    }
    Ok(Lines::new(io::stderr().as_fd().try_clone_to_owned()?.into(), true))
}

impl Lines {
    fn new(out: File, is_shared: bool) -> Self {
        Self { out, is_shared, waited: None, dropped: 0, is_cut: false }
    }

    /// Whether all of a line was written; the rest of it is not when there is no room.
    fn write_line(&mut self, mut line: &[u8]) -> bool {
        while !line.is_empty() {
            if self.is_shared && !self.has_room(Duration::ZERO) && !self.wait_for_room() {
                return false;
            }
            match self.out.write(&line[..line.len().min(PIECE_BYTES)]) {
                Ok(0) => return false,
                Ok(written) => {
                    self.is_cut = line.get(written - 1) != Some(&b'\n');
                    line = &line[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.wait_for_room() => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Waits for the reader, unless that was done lately; whether there is room.
    fn wait_for_room(&mut self) -> bool {
        if self.waited.is_some_and(|waited| waited.elapsed() < PATIENT_EVERY) {
            return false;
        }
        self.waited = Some(Instant::now());
        self.has_room(PATIENCE)
    }

    /// Whether there is room now, or within this time.
    fn has_room(&self, time: Duration) -> bool {
        let timeout = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        let mut asked = [PollFd::new(&self.out, PollFlags::OUT)];
        poll(&mut asked, Some(&timeout)).is_ok_and(|ready| ready > 0)
    }

    /// Ends a line that was cut, and tells how many were dropped; whether there was room for that.
    fn catch_up(&mut self) -> bool {
        if self.dropped == 0 {
            return true;
        }
        let end = if self.is_cut { "\n" } else { "" };
        let told = format!("{end}{{\"dropped\":{}}}\n", self.dropped);
        let is_told = self.write_line(told.as_bytes());
        if is_told {
            self.dropped = 0;
        }
        is_told
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.catch_up() || !self.write_line(line) {
            self.dropped += 1;
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn who_does_not_read_loses_lines_and_is_told_how_many() {
        for is_shared in [false, true] {
            let (reader, writer) = io::pipe().unwrap();
            rustix::io::ioctl_fionbio(&writer, !is_shared).unwrap();
            check(reader, Lines::new(File::from(OwnedFd::from(writer)), is_shared));
        }
    }

    fn check(mut reader: io::PipeReader, mut lines: Lines) {
        let line = format!("{}\n", "x".repeat(10_000));
        let began = Instant::now();
        for _ in 0..1_000 {
            lines.write_all(line.as_bytes()).unwrap();
        }
        assert!(began.elapsed() < PATIENCE * 10, "{:?}", began.elapsed());
        let dropped = lines.dropped;
        assert!((900..1_000).contains(&dropped), "{dropped}");
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        while lines.dropped > 0 {
            lines.write_all(b"again\n").unwrap();
        }
        drop(lines);
        let text = reading.join().unwrap();
        let told = text.lines().filter_map(|line| line.strip_prefix("{\"dropped\":")?.strip_suffix('}'));
        let told: u64 = told.map(|count| count.parse::<u64>().unwrap()).sum();
        assert!(told >= dropped, "{told} of {dropped}");
        assert!(text.ends_with("again\n"), "it goes on");
        assert!(text.lines().all(|line| line.len() <= 10_000), "no line goes on in another");
    }
}
