//! A service that does what the SDK forbids: it speaks `wasi:http` by hand. What can be done with the SDK as well, the
//! guest `probe` does.
//!
//! The first segment of a path is the prefix of the route, whatever it is: `/misbehaving/hoard?what=fields`.

mod calling;
mod computing;
mod flooding;
mod hoarding;
mod keeping;
mod query;
mod responding;

use query::Query;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct Misbehaving;

impl wasip2::exports::http::incoming_handler::Guest for Misbehaving {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = Query::new(query);
        match path.rsplit('/').next().unwrap_or_default() {
            "say" => responding::say(&query, out),
            "hoard" => responding::text(&hoarding::hoard(&query), out),
            "send" => responding::text(&calling::send(&query), out),
            "reach" => responding::text(&calling::reach(&query), out),
            "flood" => responding::text(&flooding::flood(&query), out),
            "print" => responding::text(&flooding::print(&query), out),
            "compute" => responding::text(&computing::compute(&query), out),
            "ask" => responding::text(&computing::ask(&query), out),
            "remember" => responding::text(&keeping::remember(&query), out),
            "soil" => responding::text(&keeping::soil(&query), out),
            "sift" => responding::text(&keeping::sift(&query), out),
            _ => responding::text("ok", out),
        }
    }
}

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "what the macro makes of an export")]
mod symbols {
    use super::Misbehaving;

    wasip2::http::proxy::export!(Misbehaving);
}
