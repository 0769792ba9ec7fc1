//! Trace context: which trace a request belongs to and which span is its parent (W3C Trace Context).

use http::{HeaderName, HeaderValue};
use serde::{Serialize, Serializer};

/// The header that carries it.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What systems add to it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// Bytes of a `traceparent` of version 00.
const HEADER_BYTES: usize = 55;

/// Hexadecimal digits of a trace.
const TRACE_DIGITS: usize = 32;

/// A place in a trace. Copied, never shared: each span makes its own with [`TraceContext::child`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace, never 0.
    pub trace_id: u128,
    /// The span, never 0.
    pub span_id: u64,
    /// Trace flags; bit 0 means recorded.
    pub flags: u8,
}

impl TraceContext {
    /// The first span of a new trace.
    #[expect(clippy::new_without_default, reason = "each call gives another trace")]
    pub fn new() -> Self {
        Self { trace_id: rand::random::<u128>().max(1), span_id: new_span(), flags: SAMPLED }
    }

    /// Reads a `traceparent` header. Anything that the standard does not allow gives none, so that a
    /// new trace begins.
    pub fn parse(header: &str) -> Option<Self> {
        let mut fields = header.split('-');
        let version = hexadecimal(fields.next()?, 2)?;
        let trace_id = hexadecimal(fields.next()?, 32)?;
        let span_id = u64::try_from(hexadecimal(fields.next()?, 16)?).ok()?;
        let flags = u8::try_from(hexadecimal(fields.next()?, 2)?).ok()?;
        // Version 00 ends here; later ones may add fields; 255 is forbidden.
        let valid = match version {
            0 => header.len() == HEADER_BYTES,
            1..255 => true,
            _ => false,
        };
        if !valid || trace_id == 0 || span_id == 0 {
            return None;
        }
        Some(Self { trace_id, span_id, flags: flags & SAMPLED })
    }

    /// A new span of the same trace.
    pub fn child(&self) -> Self {
        Self { span_id: new_span(), ..*self }
    }

    /// The value of a `traceparent` header.
    pub fn to_header(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hexadecimal(&mut text[3..35], self.trace_id);
        write_hexadecimal(&mut text[36..52], self.span_id.into());
        write_hexadecimal(&mut text[53..], self.flags.into());
        // Digits and dashes are always a value.
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
    }

    /// The trace as text.
    pub fn trace_text(&self) -> TraceText {
        let mut digits = [0; TRACE_DIGITS];
        write_hexadecimal(&mut digits, self.trace_id);
        TraceText(digits)
    }
}

/// A trace as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub struct TraceText([u8; TRACE_DIGITS]);

impl TraceText {
    /// The digits.
    pub fn as_str(&self) -> &str {
        // Digits are always text.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for TraceText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Fills `text` with the last digits of `value`.
fn write_hexadecimal(text: &mut [u8], value: u128) {
    let mut rest = value;
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
}

fn new_span() -> u64 {
    rand::random::<u64>().max(1)
}

/// Exactly so many lower-case hexadecimal digits; the standard forbids upper case.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != digits || !lower {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_header_keeps_its_trace() {
        let parsed = TraceContext::parse(GOOD).unwrap();
        assert_eq!(parsed.to_header(), GOOD);
        let child = parsed.child();
        assert_eq!(child.trace_id, parsed.trace_id);
        assert_ne!(child.span_id, parsed.span_id);
        assert_eq!(child.trace_text().as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn what_the_standard_forbids_is_no_context() {
        let bad = [
            "",
            "-",
            "---",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-001",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-ébf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ];
        for header in bad {
            assert_eq!(TraceContext::parse(header), None, "{header}");
        }
    }

    #[test]
    fn a_later_version_may_add_fields() {
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more";
        assert!(TraceContext::parse(later).is_some());
    }
}
