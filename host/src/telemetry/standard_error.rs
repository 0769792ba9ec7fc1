//! Standard error, for which nobody waits: a reader who does not read costs lines, never requests.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long the reader may take to make room the first time that there is none.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a pipe takes at once where it takes anything (POSIX, PIPE_BUF).
const PIECE_BYTES: usize = 4096;

/// Lines of this process that found no room.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines of this process nobody read.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Writes lines, each by one call of `write`.
pub struct Lines<W> {
    out: W,
    /// Lines dropped since the last one that was written.
    dropped: u64,
    /// Whether the last one lacks its end.
    is_cut: bool,
}

impl<W: Write + AsFd> Lines<W> {
    /// Lines to `out`.
    pub fn new(out: W) -> Self {
        Self { out, dropped: 0, is_cut: false }
    }

    /// Whether all of a line was written; the rest of it is not when there is no room.
    fn write_line(&mut self, line: &[u8]) -> bool {
        for piece in line.chunks(PIECE_BYTES) {
            if !self.has_room() || self.out.write_all(piece).is_err() {
                return false;
            }
            self.is_cut = piece.last() != Some(&b'\n');
        }
        true
    }

    fn has_room(&self) -> bool {
        // Whoever waited in vain once does not wait again until there is room.
        let patience = if self.dropped == 0 { PATIENCE } else { Duration::ZERO };
        let timeout = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
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

impl<W: Write + AsFd> Write for Lines<W> {
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
    use std::time::Instant;

    use super::*;

    #[test]
    fn who_does_not_read_loses_lines_and_is_told_how_many() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut lines = Lines::new(writer);
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
        let mut last: Vec<_> = text.lines().rev().take(2).collect();
        assert_eq!(last.remove(0), "again");
        let told: u64 = last[0].strip_prefix("{\"dropped\":").unwrap().trim_end_matches('}').parse().unwrap();
        assert!(told >= dropped, "{told} of {dropped}");
        assert!(text.lines().all(|line| line.len() <= 10_000), "no line goes on in another");
    }
}
