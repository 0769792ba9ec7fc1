//! The lines of a header or trailer (RFC 9112, 5), and what they say of the length of the body.

use http::Version;

use crate::gateway::framing::{HEADER_BYTES_MAX, HEADER_FIELDS_MAX};
use crate::gateway::reply::Refusal;

/// With the empty line at the end, which the limit does not count.
const SECTION_BYTES_MAX: usize = HEADER_BYTES_MAX + 2;

/// Digits of a Content-Length; what has no more fits into 64 bits.
const LENGTH_DIGITS_MAX: u8 = 19;

/// The only transfer coding.
const CHUNKED: &[u8] = b"chunked";

/// The bytes of a token (RFC 9110, 5.6.2).
pub static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x7f {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

/// The bytes of a field value or a chunk extension: no controls but the tab (RFC 9110, 5.5).
pub static TEXT: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0;
    while byte < b' ' as usize {
        table[byte] = byte == b'\t' as usize;
        byte += 1;
    }
    table[0x7f] = false;
    table
};

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Bytes(u64),
    /// Told by its chunks.
    Chunked,
}

/// The place in a section of fields.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    section: Section,
    place: Place,
    bytes: usize,
    count: usize,
    length: Option<Length>,
}

#[derive(Debug, Clone, Copy)]
enum Section {
    Head(Version),
    Trailer,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// The start of a line.
    Start,
    /// In a name: so many bytes, and which field that frames the message they may still become.
    Name(Option<Framing>, usize),
    Value,
    Length(Digits),
    /// So many bytes of [`CHUNKED`].
    Coding(usize),
    LineFeed,
    /// Behind the CR of the empty line.
    LastLineFeed,
    End,
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    ContentLength,
    TransferEncoding,
}

#[derive(Debug, Default, Clone, Copy)]
struct Digits {
    count: u8,
    number: u64,
    /// Behind them came a space.
    have_ended: bool,
}

/// How many bytes at the start stand in the table.
pub fn run(bytes: &[u8], table: &[bool; 256]) -> usize {
    bytes.iter().position(|byte| !table[usize::from(*byte)]).unwrap_or(bytes.len())
}

impl Fields {
    /// The fields of a head.
    pub fn of_head(version: Version) -> Self {
        Self { section: Section::Head(version), place: Place::Start, bytes: 0, count: 0, length: None }
    }

    /// The fields behind the last chunk.
    pub fn of_trailer() -> Self {
        Self { section: Section::Trailer, ..Self::of_head(Version::HTTP_11) }
    }

    /// The length of the body that follows, once the empty line has come.
    pub fn end(&self) -> Option<Length> {
        matches!(self.place, Place::End).then(|| self.length.unwrap_or(Length::Bytes(0)))
    }

    /// Takes bytes of the section; answers how many.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let allowed = &bytes[..bytes.len().min(SECTION_BYTES_MAX - self.bytes)];
        let Some(&byte) = allowed.first() else {
            return Err(Refusal::HeadTooLarge);
        };
        let (taken, place) = match self.place {
            Place::Start => self.begin(byte)?,
            Place::Name(framing, matched) => match run(allowed, &TOKEN) {
                0 => (1, self.value(framing, matched, byte)?),
                taken => (taken, name(framing, matched, &allowed[..taken])),
            },
            Place::Value => match (run(allowed, &TEXT), byte) {
                (0, b'\r') => (1, Place::LineFeed),
                (0, _) => return Err(Refusal::Malformed("a header value holds a control character")),
                (taken, _) => (taken, Place::Value),
            },
            Place::Length(digits) => (1, self.length(digits, byte)?),
            Place::Coding(matched) => (1, self.coding(matched, byte)?),
            Place::LineFeed if byte == b'\n' => (1, Place::Start),
            Place::LastLineFeed if byte == b'\n' => (1, Place::End),
            Place::LineFeed | Place::LastLineFeed | Place::End => {
                return Err(Refusal::Malformed("a header line holds a bare carriage return"));
            }
        };
        self.bytes += taken;
        self.place = place;
        Ok(taken)
    }

    fn begin(&mut self, byte: u8) -> Result<(usize, Place), Refusal> {
        match byte {
            b'\r' => Ok((1, Place::LastLineFeed)),
            b' ' | b'\t' => Err(Refusal::Malformed("a header line is folded or begins with a space")),
            b':' => Err(Refusal::Malformed("a header field has no name")),
            _ if self.count == HEADER_FIELDS_MAX => Err(Refusal::HeadTooLarge),
            _ => {
                self.count += 1;
                Ok((0, Place::Name(Framing::beginning_with(byte), 0)))
            }
        }
    }

    /// The value behind a name, which must have ended in its colon.
    fn value(&self, framing: Option<Framing>, matched: usize, byte: u8) -> Result<Place, Refusal> {
        if byte != b':' {
            return Err(Refusal::Malformed("a header field name is not a token with its colon behind it"));
        }
        let Some(framing) = framing.filter(|framing| framing.name().len() == matched) else {
            return Ok(Place::Value);
        };
        if self.length.is_some() {
            return Err(Refusal::Malformed("the length of the body is given more than once"));
        }
        match (self.section, framing) {
            (Section::Trailer, _) => Err(Refusal::Malformed("a trailer field gives the length of a body")),
            (Section::Head(_), Framing::ContentLength) => Ok(Place::Length(Digits::default())),
            // A recipient of that version does not know the field (RFC 9112, 6.1).
            (Section::Head(Version::HTTP_10), _) => {
                Err(Refusal::Malformed("version 1.0 of HTTP has no transfer codings"))
            }
            (Section::Head(_), Framing::TransferEncoding) => Ok(Place::Coding(0)),
        }
    }

    /// Tabs around it are allowed by the letter, but no honest client sends them, and not all software takes
    /// them off; the same holds for the coding.
    fn length(&mut self, mut digits: Digits, byte: u8) -> Result<Place, Refusal> {
        match byte {
            b' ' => digits.have_ended = digits.count > 0,
            b'0'..=b'9' if !digits.have_ended && digits.count < LENGTH_DIGITS_MAX => {
                digits.number = digits.number * 10 + u64::from(byte - b'0');
                digits.count += 1;
            }
            b'\r' if digits.count > 0 => {
                self.length = Some(Length::Bytes(digits.number));
                return Ok(Place::LineFeed);
            }
            _ => return Err(Refusal::Malformed("Content-Length is not one number")),
        }
        Ok(Place::Length(digits))
    }

    fn coding(&mut self, matched: usize, byte: u8) -> Result<Place, Refusal> {
        match (CHUNKED.get(matched), byte) {
            (Some(_), b' ') if matched == 0 => Ok(Place::Coding(0)),
            (Some(expected), byte) if *expected == byte.to_ascii_lowercase() => {
                Ok(Place::Coding(matched + 1))
            }
            (None, b' ') => Ok(Place::Coding(matched)),
            (None, b'\r') => {
                self.length = Some(Length::Chunked);
                Ok(Place::LineFeed)
            }
            _ => Err(Refusal::Malformed("the only transfer coding is `chunked`, once")),
        }
    }
}

impl Framing {
    fn beginning_with(byte: u8) -> Option<Self> {
        match byte {
            b'c' | b'C' => Some(Self::ContentLength),
            b't' | b'T' => Some(Self::TransferEncoding),
            _ => None,
        }
    }

    fn name(self) -> &'static [u8] {
        match self {
            Self::ContentLength => b"content-length",
            Self::TransferEncoding => b"transfer-encoding",
        }
    }
}

/// The place behind more bytes of a name.
fn name(framing: Option<Framing>, matched: usize, bytes: &[u8]) -> Place {
    let end = matched + bytes.len();
    let is_still = |framing: &Framing| {
        framing.name().get(matched..end).is_some_and(|part| part.eq_ignore_ascii_case(bytes))
    };
    Place::Name(framing.filter(is_still), end)
}
