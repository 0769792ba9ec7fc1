//! Ways not to answer.

use std::hint::black_box;
use std::time::SystemTime;

use wasip3::http::types::{ErrorCode, Fields, Request};
use wasip3::wit_future;

/// What an endless allocation asks for at a time.
const ALLOCATION_BYTES: usize = 1024 * 1024;

/// Of each request that is hoarded, the field.
const FIELD_BYTES: usize = 100 * 1024;

/// Traps.
pub fn trap() -> ! {
    panic!("the guest traps, as it was asked to");
}

/// Computes without end.
pub fn spin() -> ! {
    let mut turns = 0u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Calls the host without end.
pub fn spin_in_the_host() -> ! {
    loop {
        black_box(SystemTime::now());
    }
}

/// Allocates, and touches, without end.
pub fn allocate() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1u8; ALLOCATION_BYTES]));
    }
}

/// Makes requests without end, which the host holds.
pub fn hoard() -> Result<(), ErrorCode> {
    let mut held = Vec::new();
    loop {
        let field = ("x-large".to_owned(), vec![b'x'; FIELD_BYTES]);
        let fields = Fields::from_list(&[field]).map_err(|_| ErrorCode::InternalError(None))?;
        let (_trailers, no_trailers) = wit_future::new(|| Ok(None));
        held.push(black_box(Request::new(fields, None, no_trailers, None)));
    }
}
