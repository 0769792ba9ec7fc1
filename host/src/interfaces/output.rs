//! What the instances of one service say in a second, so that no guest fills a disk with it.

use std::sync::{Mutex, PoisonError};

/// What one service has said.
#[derive(Debug, Default)]
pub struct Output(Mutex<Said>);

/// In the present second.
#[derive(Debug, Default)]
struct Said {
    second: i64,
    lines: u64,
    bytes: u64,
}

impl Output {
    /// Counts a line of so many bytes, said in this second of any clock, unless it goes beyond what may be said in one.
    ///
    /// # Errors
    ///
    /// The limit that it goes beyond.
    pub fn admit(
        &self,
        second: i64,
        bytes: usize,
        lines_max: u64,
        bytes_max: u64,
    ) -> Result<(), &'static str> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.second != second {
            *said = Said { second, lines: 0, bytes: 0 };
        }
        let bytes = said.bytes + bytes as u64;
        match () {
            () if said.lines >= lines_max => Err("log-lines"),
            () if bytes > bytes_max => Err("log-bytes"),
            () => {
                (said.lines, said.bytes) = (said.lines + 1, bytes);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_too_fast_is_not_written() {
        let output = Output::default();
        let admit = |second, bytes| output.admit(second, bytes, 3, 100);
        for bytes in [50, 10, 10] {
            assert_eq!(admit(7, bytes), Ok(()));
        }
        assert_eq!(admit(7, 1), Err("log-lines"));
        assert_eq!(admit(8, 50), Ok(()));
        assert_eq!(admit(8, 51), Err("log-bytes"));
        assert_eq!(admit(8, 50), Ok(()), "a shorter one has room");
    }
}
