//! Ports for hosts whose address must be known before they start.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to whoever asks for any: so nobody gets one of these between choice and use.
const FIRST: u16 = 20_000;

/// How many there are to choose from.
const COUNT: u16 = 10_000;

/// A port that nobody uses, and each time another one.
pub fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Runs of the tests side by side begin at different ports.
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap();
    (0..COUNT)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("all ports are in use")
}
