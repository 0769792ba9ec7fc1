//! Follows a connection byte by byte, below the HTTP library and stricter than it.
//!
//! The library reads some heads that other software reads differently: lines that end in a bare line feed,
//! folded lines, Content-Length beside Transfer-Encoding. Where two readers disagree on the end of a message,
//! one of them takes the rest for a request that the other never saw. So the scanner looks at every byte
//! before the library does and stops the connection at the first one that RFC 9112 does not allow there. It
//! holds no bytes: what it knows between two reads is its state, and the verdict on a message does not depend
//! on how it was cut into reads.
//!
//! In reading order: `stream` puts the scanner into a connection; `request_line`, `fields` and `chunks` are
//! the parts of an HTTP/1 message; `frames` counts what an HTTP/2 client sends.

mod stream;
mod request_line;
mod fields;
mod chunks;
mod frames;

#[cfg(test)]
mod tests;

use self::chunks::Chunks;
use self::fields::{Fields, Length};
use self::frames::{Flood, Frames};
use self::request_line::RequestLine;
use crate::gateway::reply::Refusal;

pub use self::stream::StrictStream;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The place in the messages of one connection.
#[derive(Debug)]
pub struct Scanner {
    state: State,
}

/// The first byte that may not stand where it stands.
#[derive(Debug)]
pub struct Violation {
    /// Its index in the slice; what stands before it is sound.
    pub at: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// Why a connection ends.
#[derive(Debug)]
pub enum Fault {
    /// The head of a request breaks a rule; no request has come of it.
    Head(Refusal),
    /// The body of the request in flight does.
    Body(Refusal),
    /// An HTTP/2 client sends too much that leads to nothing.
    Flood(Flood),
}

#[derive(Debug)]
enum State {
    /// The start of a connection: so many bytes of the preface of HTTP/2.
    Preface(usize),
    Line(RequestLine),
    Fields(Fields),
    /// So many bytes of a body are still to come.
    Body(u64),
    Chunks(Chunks),
    /// HTTP/2.
    Frames(Frames),
}

impl Scanner {
    /// A scanner for the start of a connection.
    pub fn new() -> Self {
        Self { state: State::Preface(0) }
    }

    /// Takes the next bytes of the connection.
    ///
    /// # Errors
    ///
    /// At the first byte that breaks a rule. Nothing that follows it has a meaning, so that nothing may be
    /// fed any more.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let mut at = 0;
        while at < bytes.len() {
            at += self.step(&bytes[at..]).map_err(|fault| Violation { at, fault })?;
        }
        Ok(())
    }

    /// So many bytes were written to the client.
    pub fn wrote(&mut self, bytes: usize) {
        if let State::Frames(frames) = &mut self.state {
            frames.wrote(bytes);
        }
    }

    /// Takes at least one byte, or changes the state; answers how many bytes.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match &mut self.state {
            State::Preface(matched) => {
                let matched = *matched;
                self.preface(matched, bytes)
            }
            State::Line(line) => {
                let taken = line.take(bytes).map_err(Fault::Head)?;
                if let Some(version) = line.version() {
                    self.state = State::Fields(Fields::of_head(version));
                }
                Ok(taken)
            }
            State::Fields(fields) => {
                let taken = fields.take(bytes).map_err(Fault::Head)?;
                if let Some(length) = fields.end() {
                    self.state = State::behind_head(length);
                }
                Ok(taken)
            }
            State::Body(left) => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                if *left == 0 {
                    self.state = State::next_message();
                }
                Ok(taken)
            }
            State::Chunks(chunks) => {
                let taken = chunks.take(bytes).map_err(Fault::Body)?;
                if chunks.is_whole() {
                    self.state = State::next_message();
                }
                Ok(taken)
            }
            State::Frames(frames) => frames.take(bytes).map_err(Fault::Flood),
        }
    }

    /// Goes on in the preface; where the bytes turn out to be something else, they were the start of a
    /// request line.
    fn preface(&mut self, matched: usize, bytes: &[u8]) -> Result<usize, Fault> {
        let same = PREFACE[matched..].iter().zip(bytes).take_while(|(one, other)| one == other).count();
        if matched + same == PREFACE.len() {
            self.state = State::Frames(Frames::default());
        } else if same > 0 {
            self.state = State::Preface(matched + same);
        } else {
            self.state = State::next_message();
            self.feed(&PREFACE[..matched]).map_err(|violation| violation.fault)?;
        }
        Ok(same)
    }
}

impl State {
    fn next_message() -> Self {
        Self::Line(RequestLine::default())
    }

    fn behind_head(length: Length) -> Self {
        match length {
            Length::Bytes(0) => Self::next_message(),
            Length::Bytes(bytes) => Self::Body(bytes),
            Length::Chunked => Self::Chunks(Chunks::default()),
        }
    }
}
