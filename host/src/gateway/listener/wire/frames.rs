//! The frames of an HTTP/2 client, counted: those that carry nothing may not be out of proportion.
//!
//! The library bounds what it holds for a client, but it answers any number of PING and SETTINGS frames and
//! takes any number of others that lead to nothing. Each costs the client next to nothing.

/// Bytes of a frame's head (RFC 9113, 4.1).
const HEAD_BYTES: usize = 9;

/// Bytes of frames that carry nothing which every client may send: more than 60,000 pings.
const IDLE_BYTES_FREE: u64 = 1024 * 1024;

/// How many such bytes go with each byte that is of use. A client may open both windows again, in 26 bytes,
/// behind each small frame that it gets.
const IDLE_BYTES_PER_USEFUL: u64 = 8;

/// Kinds of frames (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

/// That a client behaves in a way that costs too much (RFC 9113, 7).
const ENHANCE_YOUR_CALM: u32 = 11;

/// The place in the frames of a client, and what they carried so far.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// Bytes of the payload that are still to come.
    left: usize,
    idle: u64,
    useful: u64,
    /// Bytes of answers that the client asked for by PING and SETTINGS; they are of no use either.
    answers: u64,
    written: u64,
    last_stream: u32,
}

/// There are too many frames that carry nothing.
#[derive(Debug)]
pub struct Flood {
    /// The last stream that the client opened.
    pub last_stream: u32,
}

impl Frames {
    /// Takes bytes from the client; answers how many.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Flood> {
        if self.left > 0 {
            let taken = self.left.min(bytes.len());
            self.left -= taken;
            return Ok(taken);
        }
        let taken = (HEAD_BYTES - self.head_bytes).min(bytes.len());
        self.head[self.head_bytes..][..taken].copy_from_slice(&bytes[..taken]);
        self.head_bytes += taken;
        if self.head_bytes == HEAD_BYTES {
            self.head_bytes = 0;
            self.begin()?;
        }
        Ok(taken)
    }

    /// So many bytes were written to the client.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes as u64;
    }

    /// A frame has begun.
    fn begin(&mut self) -> Result<(), Flood> {
        let [high, middle, low, kind, _, stream @ ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.left = length as usize;
        match kind {
            DATA | HEADERS | CONTINUATION => {
                self.idle += HEAD_BYTES as u64;
                self.useful += u64::from(length);
            }
            _ => self.idle += HEAD_BYTES as u64 + u64::from(length),
        }
        match kind {
            HEADERS => self.last_stream = u32::from_be_bytes(stream) & (u32::MAX >> 1),
            SETTINGS => self.answers += HEAD_BYTES as u64,
            PING => self.answers += HEAD_BYTES as u64 + u64::from(length),
            _ => {}
        }
        let useful = self.useful + self.written.saturating_sub(self.answers);
        if self.idle > IDLE_BYTES_FREE + IDLE_BYTES_PER_USEFUL * useful {
            return Err(Flood { last_stream: self.last_stream });
        }
        Ok(())
    }
}

impl Flood {
    /// The last frame that the client gets.
    pub fn goaway(&self) -> Vec<u8> {
        let mut frame = vec![0, 0, 8, GOAWAY, 0, 0, 0, 0, 0];
        frame.extend(self.last_stream.to_be_bytes());
        frame.extend(ENHANCE_YOUR_CALM.to_be_bytes());
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(payload).unwrap().to_be_bytes();
        [vec![high, middle, low, kind, 0, 0, 0, 0, 3], vec![0; payload]].concat()
    }

    /// How many frames pass, of so many; they come in parts that do not fit the frames.
    fn passing(frames: &mut Frames, frame: &[u8], count: usize) -> usize {
        let bytes = frame.repeat(count);
        let mut at = 0;
        for part in bytes.chunks(7) {
            let end = at + part.len();
            while at < end {
                match frames.take(&bytes[at..end]) {
                    Ok(taken) => at += taken,
                    Err(_) => return at / frame.len(),
                }
            }
        }
        count
    }

    #[test]
    fn floods_are_told_from_traffic() {
        for (kind, payload) in
            [(PING, 8), (SETTINGS, 0), (SETTINGS, 6), (DATA, 0), (2, 5), (3, 4), (8, 4), (99, 0)]
        {
            let mut frames = Frames::default();
            let passed = passing(&mut frames, &frame(kind, payload), 200_000);
            assert!((40_000..120_000).contains(&passed), "{kind}: {passed}");
        }
        assert_eq!(passing(&mut Frames::default(), &frame(HEADERS, 20), 200_000), 200_000);
        assert_eq!(passing(&mut Frames::default(), &frame(DATA, 2), 200_000), 200_000);
    }

    #[test]
    fn what_the_client_gets_counts_unless_it_is_an_answer_to_its_frames() {
        let (update, ping) = (frame(8, 4), frame(PING, 8));
        let mut reading = Frames::default();
        for _ in 0..200_000 {
            reading.wrote(HEAD_BYTES + 1);
            assert_eq!(passing(&mut reading, &update, 2), 2);
        }
        let mut pinging = Frames::default();
        let passed = (0..200_000).take_while(|_| {
            pinging.wrote(ping.len());
            passing(&mut pinging, &ping, 1) == 1
        });
        assert!(passed.count() < 100_000);
    }

    #[test]
    fn the_farewell_names_the_last_stream() {
        let mut frames = Frames::default();
        passing(&mut frames, &frame(HEADERS, 1), 1);
        let goaway = Flood { last_stream: frames.last_stream }.goaway();
        assert_eq!(goaway, [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 11]);
    }
}
