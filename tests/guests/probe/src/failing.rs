//! Ways not to answer.

use std::hint::black_box;
use std::io::{self, Read};
use std::time::SystemTime;

use hostel_sdk::{Request, Response, Result};

/// Portions that are written before a late trap: more than the host holds back, so that some arrive.
const LATE_PORTIONS: u32 = 64;

/// What an endless allocation asks for at a time.
const ALLOCATION_BYTES: usize = 1024 * 1024;

/// A body that traps when it has been read so many times.
struct Breaking {
    portions: u32,
}

/// Traps.
pub fn trap(_: &Request) -> Result<Response> {
    panic!("the probe traps, as it was asked to");
}

/// Computes without end.
pub fn spin(_: &Request) -> Result<Response> {
    let mut turns = 0u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Calls the host without end.
pub fn spin_in_the_host(_: &Request) -> Result<Response> {
    loop {
        black_box(SystemTime::now());
    }
}

/// Allocates, and touches, without end.
pub fn allocate(_: &Request) -> Result<Response> {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1u8; ALLOCATION_BYTES]));
    }
}

/// Recurses without end.
pub fn recurse(_: &Request) -> Result<Response> {
    Response::ok(&descend(1))
}

/// Ends the program.
pub fn exit(_: &Request) -> Result<Response> {
    std::process::exit(3);
}

/// Begins its response, writes some of it, and traps.
pub fn late_trap(_: &Request) -> Result<Response> {
    Ok(Response::stream(200, "text/plain", Breaking { portions: LATE_PORTIONS }))
}

impl Read for Breaking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(self.portions > 0, "the probe traps late, as it was asked to");
        self.portions -= 1;
        buffer.fill(b'x');
        Ok(buffer.len())
    }
}

#[allow(unconditional_recursion, reason = "the misdeed itself")]
fn descend(depth: u64) -> u64 {
    // What follows the call keeps the compiler from making a loop of it.
    black_box(descend(black_box(depth + 1))) + depth
}
