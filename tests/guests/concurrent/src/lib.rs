//! Handles several requests at a time through WASI 0.3, well or badly: the last segment of the path says how.

mod computing;
mod misdeeds;
mod reaching;
mod responding;
mod sibling;

use std::sync::atomic::{AtomicU64, Ordering};

use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Request, Response};

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;

/// How many requests this instance has begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// How many of them it has now.
static NOW: AtomicU64 = AtomicU64::new(0);

struct Concurrent;

impl wasip3::exports::http::handler::Guest for Concurrent {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        NOW.fetch_add(1, Ordering::Relaxed);
        let answer = answer(request).await;
        NOW.fetch_sub(1, Ordering::Relaxed);
        answer
    }
}

async fn answer(request: Request) -> Result<Response, ErrorCode> {
    let target = request.get_path_with_query().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let value = |name: &str| {
        let found = form_urlencoded::parse(query.as_bytes()).find(|(it, _)| it == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let ms = || value("ms").parse().unwrap_or(100) * MS;
    match path.rsplit('/').next().unwrap_or_default() {
        "wait" => monotonic_clock::wait_for(ms()).await,
        "trap" => misdeeds::trap(),
        "loop" => misdeeds::spin(),
        "loop-host" => misdeeds::spin_in_the_host(),
        "allocate" => misdeeds::allocate(),
        "hoard" => misdeeds::hoard()?,
        "loop-after" => return responding::spinning(),
        "drip" => return responding::dripping(value("count").parse().unwrap_or_default(), ms()),
        "late-trap" => return responding::breaking(None, ms()),
        "late-trap-of-length" => return responding::breaking(Some(responding::TEXT.len()), ms()),
        "excess" => return responding::exceeding(),
        "reach" => return responding::bytes(reaching::all().await.into_bytes()),
        "trailers" => return responding::trailing(),
        "caller" => {
            monotonic_clock::wait_for(ms()).await;
            let seen = sibling::ask("seer", "/seer/caller").await?;
            return responding::bytes(seen);
        }
        "calling" => {
            let seen = sibling::ask("worker", &format!("/worker/compute?rounds={}", value("rounds"))).await?;
            return responding::bytes(seen);
        }
        "compute" => {
            let rounds = value("rounds").parse().unwrap_or_default();
            return responding::bytes(computing::compute(rounds).to_string().into_bytes());
        }
        "state" => return responding::bytes(BEGUN.load(Ordering::Relaxed).to_string().into_bytes()),
        "now" => return responding::bytes(NOW.load(Ordering::Relaxed).to_string().into_bytes()),
        _ => {}
    }
    responding::bytes(responding::TEXT.as_bytes().to_vec())
}

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "what the macro makes of an export")]
mod symbols {
    use super::Concurrent;

    wasip3::http::service::export!(Concurrent);
}
