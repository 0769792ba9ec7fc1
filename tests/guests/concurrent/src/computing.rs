//! Computes.

use std::hint::black_box;

/// Computes `rounds` thousand steps; the same work at each request, however busy the machine is.
pub fn compute(rounds: u64) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..rounds.saturating_mul(1_000) {
        state ^= state << 13;
        state ^= state >> 7;
        state = black_box(state ^ (state << 17));
    }
    state
}
