//! A chunked body (RFC 9112, 7.1): hexadecimal sizes, bounded extensions, a trailer; every line ends in CRLF.

use super::fields::{Fields, TEXT, run};
use crate::gateway::reply::Refusal;

/// Digits of a chunk size; what has no more fits into 64 bits.
const SIZE_DIGITS_MAX: u8 = 16;

/// Bytes of the extensions of one chunk. Nobody here reads them, and a client could hide a body's worth of
/// bytes in them.
const EXTENSION_BYTES_MAX: usize = 256;

/// The place in a chunked body.
#[derive(Debug)]
pub struct Chunks {
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Size {
        digits: u8,
        size: u64,
    },
    /// So many bytes of the extensions have come.
    Extension {
        bytes: usize,
        size: u64,
    },
    SizeLineFeed {
        size: u64,
    },
    /// So many bytes of the chunk are still to come.
    Data(u64),
    DataLineFeed,
    Trailer(Fields),
}

impl Default for Chunks {
    fn default() -> Self {
        Self { place: Place::Size { digits: 0, size: 0 } }
    }
}

impl Chunks {
    /// Whether the body has come to its end.
    pub fn is_whole(&self) -> bool {
        matches!(&self.place, Place::Trailer(fields) if fields.end().is_some())
    }

    /// Takes bytes of the body; answers how many.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let Some(&byte) = bytes.first() else {
            return Ok(0);
        };
        let (taken, place) = match self.place {
            Place::Size { digits, size } => (1, in_size(digits, size, byte)?),
            Place::Extension { bytes: so_far, size } => in_extension(so_far, size, bytes)?,
            Place::SizeLineFeed { size } if byte == b'\n' => (1, behind_size(size)),
            Place::Data(0) if byte == b'\r' => (1, Place::DataLineFeed),
            Place::DataLineFeed if byte == b'\n' => (1, Self::default().place),
            Place::SizeLineFeed { .. } | Place::Data(0) | Place::DataLineFeed => {
                return Err(Refusal::Malformed("a chunk or its size does not end in CRLF"));
            }
            Place::Data(left) => {
                let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                (taken, Place::Data(left - taken as u64))
            }
            Place::Trailer(mut fields) => (fields.take(bytes)?, Place::Trailer(fields)),
        };
        self.place = place;
        Ok(taken)
    }
}

fn in_size(digits: u8, size: u64, byte: u8) -> Result<Place, Refusal> {
    let digit = char::from(byte).to_digit(16);
    match (digit, byte) {
        (Some(digit), _) if digits < SIZE_DIGITS_MAX => {
            Ok(Place::Size { digits: digits + 1, size: size << 4 | u64::from(digit) })
        }
        (None, b'\r') if digits > 0 => Ok(Place::SizeLineFeed { size }),
        (None, b';') if digits > 0 => Ok(Place::Extension { bytes: 0, size }),
        _ => Err(Refusal::Malformed("a chunk size is not a hexadecimal number")),
    }
}

fn in_extension(so_far: usize, size: u64, bytes: &[u8]) -> Result<(usize, Place), Refusal> {
    let allowed = &bytes[..bytes.len().min(EXTENSION_BYTES_MAX - so_far)];
    match (run(allowed, &TEXT), bytes.first()) {
        (0, Some(b'\r')) => Ok((1, Place::SizeLineFeed { size })),
        (0, _) => Err(Refusal::Malformed("a chunk extension is too long or holds a control character")),
        (taken, _) => Ok((taken, Place::Extension { bytes: so_far + taken, size })),
    }
}

/// The last chunk is the empty one (RFC 9112, 7.1).
fn behind_size(size: u64) -> Place {
    if size == 0 { Place::Trailer(Fields::of_trailer()) } else { Place::Data(size) }
}
