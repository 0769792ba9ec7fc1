//! Ids for new things.

use std::fmt::Write;

use crate::time;

/// A new id: a UUID of version 7 (RFC 9562, 5.7), so that ids sort by the time they were made and can
/// not be guessed.
pub fn new() -> String {
    let mut random = [0; 10];
    if let Err(error) = getrandom::fill(&mut random) {
        // A guessable id would be worse than none: the host ends this call and the caller tries again.
        panic!("the host gives no random bytes: {error}");
    }
    uuid_v7(time::now_ms(), &random)
}

fn uuid_v7(now_ms: i64, random: &[u8]) -> String {
    let mut bytes = [0u8; 16];
    bytes[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
    for (byte, random) in bytes[6..].iter_mut().zip(random) {
        *byte = *random;
    }
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_form_of_version_7() {
        let id = uuid_v7(0x0123_4567_89ab, &[0xff; 10]);
        assert_eq!(id, "01234567-89ab-7fff-bfff-ffffffffffff");
    }
}
