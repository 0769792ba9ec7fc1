//! Computes, in the guest or in the host.

use std::hint::black_box;

use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::http::types::Fields;
use wasip2::random::random;

use crate::query::Query;

/// Computes `rounds` thousand steps; the same work at each request, however busy the machine is.
pub fn compute(query: &Query) -> String {
    let rounds: u64 = query.number("rounds", u64::MAX);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..rounds.saturating_mul(1_000) {
        state ^= state << 13;
        state ^= state >> 7;
        state = black_box(state ^ (state << 17));
    }
    state.to_string()
}

/// Does nothing but ask the host, without end: `what` is `clock`, `random`, `resources`, `poll` or `drops`.
pub fn ask(query: &Query) -> String {
    let fields = Fields::new();
    loop {
        match query.text("what") {
            "random" => drop(black_box(random::get_random_bytes(64))),
            "resources" => drop(black_box(Fields::new())),
            "poll" => monotonic_clock::subscribe_duration(0).block(),
            "fields" => drop(black_box(fields.entries())),
            _ => _ = black_box(wall_clock::now()),
        }
    }
}
