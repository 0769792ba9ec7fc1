//! Takes what the host has to hold for a guest, and keeps it.

use std::hint::black_box;
use std::time::Duration;

use wasip2::cli::stdout;
use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{Fields, OutgoingRequest, OutgoingResponse};
use wasip2::io::streams::OutputStream;
use wasip2::random::random;

use crate::query::Query;

/// Values of one header field, and the bytes of each: a little less than the host takes before it traps.
const VALUES: usize = 8;
const VALUE_BYTES: usize = 15 * 1024;

/// What is printed without the end of a line: a little less than the host takes for one.
const UNENDED_BYTES: usize = 8_000;

/// What is asked for at once of random bytes, where nothing else is said.
const RANDOM_BYTES: u64 = 64 * 1024;

/// Takes `count` things of the kind `what`, keeps them for `ms`, and answers how many it got. What it took is given
/// back unless it is to `keep` it.
pub fn hoard(query: &Query) -> String {
    let count: u64 = query.number("count", u64::MAX);
    let mut held = Vec::new();
    for _ in 0..count {
        let Some(thing) = take(query) else { break };
        held.push(thing);
    }
    std::thread::sleep(Duration::from_millis(query.number("ms", 0)));
    let got = held.len();
    if !query.text("keep").is_empty() {
        std::mem::forget(held);
    }
    got.to_string()
}

fn take(query: &Query) -> Option<Box<dyn std::any::Any>> {
    Some(match query.text("what") {
        "fields" => Box::new(filled()),
        "requests" => Box::new(OutgoingRequest::new(filled())),
        "bodies" => {
            let response = OutgoingResponse::new(Fields::new());
            let body = response.body().ok()?;
            let stream = body.write().ok()?;
            fill(&stream);
            // A child goes before its parent.
            Box::new((stream, body, response))
        }
        "pollables" => Box::new(monotonic_clock::subscribe_duration(u64::MAX / 2)),
        "output" => {
            let stream = stdout::get_stdout();
            stream.check_write().ok()?;
            stream.write(&[b'x'; UNENDED_BYTES]).ok()?;
            stream.blocking_flush().ok()?;
            Box::new(stream)
        }
        "random" => Box::new(random::get_random_bytes(query.number("bytes", RANDOM_BYTES))),
        _ => Box::new(black_box([1u8; 1024])),
    })
}

/// Fields with as much in them as the host takes.
fn filled() -> Fields {
    let fields = Fields::new();
    for _ in 0..VALUES {
        let _ = fields.append("x-hoarded", &[b'x'; VALUE_BYTES]);
    }
    fields
}

/// Writes as long as the host takes it at once.
fn fill(stream: &OutputStream) {
    while let Ok(permitted @ 1..) = stream.check_write() {
        let bytes = vec![b'x'; usize::try_from(permitted).unwrap_or_default()];
        if stream.write(&bytes).is_err() {
            return;
        }
    }
}
