//! Other versions of a component that do the same.

use std::path::Path;

/// The bytes of a component, made another version of it by a custom section with this text.
pub fn version_of(component: &Path, text: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(component).unwrap();
    let name = b"hostel-test";
    let length = u8::try_from(1 + name.len() + text.len()).unwrap();
    assert!(length < 0x80, "the length must be one LEB128 byte");
    bytes.extend([0, length, u8::try_from(name.len()).unwrap()]);
    bytes.extend(name);
    bytes.extend(text.as_bytes());
    bytes
}
