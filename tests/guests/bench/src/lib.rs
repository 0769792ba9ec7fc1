//! Does on request what the benchmark measures. The last segments of the path say what: `hello`, `call`,
//! `wait/MILLISECONDS`, `bytes/LENGTH`, `take`; whatever stands before them is the prefix of the route.

mod bindings;
mod answer;
mod call;

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::clocks::monotonic_clock;
use bindings::wasi::http::types::{IncomingRequest, ResponseOutparam};

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

struct Bench;

impl Guest for Bench {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let mut segments = path.rsplit('/');
        let last = segments.next().unwrap_or_default();
        let number = last.parse().unwrap_or_default();
        match segments.next() {
            _ if last == "call" => call::pass_on(out),
            _ if last == "take" => answer::count(&request, out),
            Some("bytes") => answer::bytes(number, out),
            Some("wait") => {
                monotonic_clock::subscribe_duration(number * NANOSECONDS_PER_MILLISECOND).block();
                answer::text(b"waited\n", out);
            }
            _ => answer::text(b"Hello, world!\n", out),
        }
    }
}
