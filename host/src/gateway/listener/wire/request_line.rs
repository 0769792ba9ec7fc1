//! The request line (RFC 9112, 3): method, target and version, one space between them, CRLF behind them.

use http::Version;

use super::fields::{TOKEN, run};
use crate::gateway::framing::REQUEST_LINE_BYTES_MAX;
use crate::gateway::reply::Refusal;

/// With the CRLF, which the limit does not count.
const LINE_BYTES_MAX: usize = REQUEST_LINE_BYTES_MAX + 2;

/// The version but for its last digit.
const VERSION: &[u8] = b"HTTP/1.";

/// What cannot be mistaken for the end of a target; `path` judges the rest.
static TARGET: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!' as usize;
    while byte < table.len() {
        table[byte] = byte != 0x7f;
        byte += 1;
    }
    table
};

/// The place in a request line.
#[derive(Debug, Default)]
pub struct RequestLine {
    place: Place,
    bytes: usize,
    has_empty_line: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum Place {
    #[default]
    Start,
    /// Behind the CR of an empty line before the request line.
    EmptyLine,
    Method,
    Target {
        is_empty: bool,
    },
    /// So many bytes of [`VERSION`].
    Version(usize),
    CarriageReturn(Version),
    LineFeed(Version),
    End(Version),
}

impl RequestLine {
    /// The version, once the line has come whole.
    pub fn version(&self) -> Option<Version> {
        match self.place {
            Place::End(version) => Some(version),
            _ => None,
        }
    }

    /// Takes bytes of the line; answers how many.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let allowed = &bytes[..bytes.len().min(LINE_BYTES_MAX - self.bytes)];
        let Some(&byte) = allowed.first() else {
            return Err(Refusal::TargetTooLong);
        };
        let (taken, place) = match self.place {
            Place::Start | Place::EmptyLine => return self.begin(byte),
            Place::Method => match (run(allowed, &TOKEN), byte) {
                (0, b' ') => (1, Place::Target { is_empty: true }),
                (0, _) => return Err(Refusal::Malformed("the method is not a token and one space")),
                (taken, _) => (taken, Place::Method),
            },
            Place::Target { is_empty } => match (run(allowed, &TARGET), byte) {
                (0, b' ') if !is_empty => (1, Place::Version(0)),
                (0, _) => return Err(Refusal::Malformed("the request line has no target and version")),
                (taken, _) => (taken, Place::Target { is_empty: false }),
            },
            Place::Version(matched) => (1, version(matched, byte)?),
            Place::CarriageReturn(version) if byte == b'\r' => (1, Place::LineFeed(version)),
            Place::LineFeed(version) if byte == b'\n' => (1, Place::End(version)),
            Place::CarriageReturn(_) | Place::LineFeed(_) | Place::End(_) => {
                return Err(Refusal::Malformed("the request line does not end in CRLF behind its version"));
            }
        };
        self.bytes += taken;
        self.place = place;
        Ok(taken)
    }

    /// One empty line is left by old clients behind a body (RFC 9112, 2.2).
    fn begin(&mut self, byte: u8) -> Result<usize, Refusal> {
        match (self.place, byte) {
            (Place::EmptyLine, b'\n') => *self = Self { has_empty_line: true, ..Self::default() },
            (Place::Start, b'\r') if !self.has_empty_line => self.place = Place::EmptyLine,
            (Place::Start, byte) if TOKEN[usize::from(byte)] => {
                self.place = Place::Method;
                return Ok(0);
            }
            _ => return Err(Refusal::Malformed("the request does not begin with a method")),
        }
        Ok(1)
    }
}

fn version(matched: usize, byte: u8) -> Result<Place, Refusal> {
    match (VERSION.get(matched), byte) {
        (Some(expected), byte) if *expected == byte => Ok(Place::Version(matched + 1)),
        (None, b'0') => Ok(Place::CarriageReturn(Version::HTTP_10)),
        (None, b'1') => Ok(Place::CarriageReturn(Version::HTTP_11)),
        _ => Err(Refusal::Malformed("the version of HTTP is neither 1.1 nor 1.0")),
    }
}
