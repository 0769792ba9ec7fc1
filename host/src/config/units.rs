//! Durations, sizes, addresses and paths of the file, each parsed once.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;

use super::file::{Size, Time};
use super::key::Key;
use super::report::Report;

/// One kibibyte.
pub const KIB: u64 = 1 << 10;
/// One mebibyte.
pub const MIB: u64 = 1 << 20;
/// One gibibyte.
pub const GIB: u64 = 1 << 30;

/// No machine that this host runs on holds more; a larger figure is a slip of the pen.
pub const SIZE_BYTES_MAX: u64 = 1 << 50;

/// The ticks behind deadlines are not finer.
pub const TIME_MIN: Duration = Duration::from_millis(1);

/// Ten years: every timer and every sum of times still holds it.
pub const TIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Stands for an address that was refused; nothing ever listens there.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A size in bytes, or the default when none is written.
pub fn size(
    written: Option<&Size>,
    default: u64,
    allowed: RangeInclusive<u64>,
    key: &Key,
    report: &mut Report<'_>,
) -> u64 {
    size_or_none(written, allowed, key, report).unwrap_or(default)
}

/// A size in bytes, when one is written.
pub fn size_or_none(
    written: Option<&Size>,
    allowed: RangeInclusive<u64>,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<u64> {
    let Size(text) = written?;
    let is_bare = text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(size) = text.parse::<ByteSize>().ok().filter(|_| !is_bare) else {
        report.refuse(key, "write a size with its unit such as \"64MiB\" (B, KiB, MiB, GiB, KB, MB, GB)");
        return None;
    };
    if !allowed.contains(&size.0) {
        let (least, most) = (size_text(*allowed.start()), size_text(*allowed.end()));
        report.refuse(key, format!("write a size from {least:?} to {most:?}"));
        return None;
    }
    Some(size.0)
}

/// A duration, or the default when none is written.
pub fn time(written: Option<&Time>, default: Duration, key: &Key, report: &mut Report<'_>) -> Duration {
    time_or_none(written, key, report).unwrap_or(default)
}

/// A duration, when one is written.
pub fn time_or_none(written: Option<&Time>, key: &Key, report: &mut Report<'_>) -> Option<Duration> {
    let Time(text) = written?;
    let is_bare = text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(time) = humantime::parse_duration(text).ok().filter(|_| !is_bare) else {
        report.refuse(key, "write a duration with its unit such as \"250ms\" or \"5s\" (ms, s, m, h, days)");
        return None;
    };
    if !(TIME_MIN..=TIME_MAX).contains(&time) {
        report.refuse(key, "write a duration from \"1ms\" to \"3650days\"");
        return None;
    }
    Some(time)
}

/// A whole number that the schema has already bounded, or the default when none is written.
pub fn count(written: Option<u64>, default: usize) -> usize {
    written.and_then(|count| count.try_into().ok()).unwrap_or(default)
}

/// An address to listen on.
pub fn listen(written: Option<&str>, key: &Key, report: &mut Report<'_>) -> SocketAddr {
    // What is missing was refused by the schema.
    let Some(text) = written else { return NOWHERE };
    if let Ok(address) = text.parse() {
        return address;
    }
    report.refuse(
        key,
        "write an IP address and a port such as \"127.0.0.1:8080\", \"0.0.0.0:80\" or \"[::1]:0\"",
    );
    NOWHERE
}

/// A path relative to the folder of the file.
pub fn path(written: &str, folder: &Path, key: &Key, report: &mut Report<'_>) -> PathBuf {
    if written.trim().is_empty() {
        report.refuse(key, "write a path; it is relative to the folder of this file");
    }
    folder.join(written)
}

/// A size as one writes it.
pub fn size_text(bytes: u64) -> String {
    for (unit, name) in [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")] {
        if bytes > 0 && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for text in ["1B", "1500B", "1KiB", "64MiB", "4GiB", "1048576GiB"] {
            let bytes =
                size(Some(&Size(text.into())), 0, 1..=SIZE_BYTES_MAX, &Key::root(), &mut Report::new(""));
            assert_eq!(size_text(bytes), text);
        }
    }

    #[test]
    fn units_may_be_decimal_and_times_may_be_sums() {
        let mut report = Report::new("");
        let bytes = size(Some(&Size("1.5MB".into())), 0, 1..=SIZE_BYTES_MAX, &Key::root(), &mut report);
        assert_eq!(bytes, 1_500_000);
        let hours = time(Some(&Time("1h 30m".into())), TIME_MIN, &Key::root(), &mut report);
        assert_eq!(hours, Duration::from_secs(5_400));
        assert!(report.is_empty());
    }
}
