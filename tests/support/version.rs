//! Other versions of a component that do the same, or what a test changes in their bytes.

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

/// The bytes of the probe whose stamps carry this mark.
pub fn stamped(probe: &[u8], mark: u64) -> Vec<u8> {
    replaced(probe, "probe-mark=000000", &format!("probe-mark={mark:06}"))
}

/// The bytes with each occurrence of one text replaced by another of the same length.
pub fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "another length would break the component's own counts");
    let mut changed = bytes.to_vec();
    let mut found = 0;
    for start in 0..=bytes.len() - from.len() {
        if bytes[start..].starts_with(from.as_bytes()) {
            changed[start..start + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "{from} is not in the component");
    changed
}
