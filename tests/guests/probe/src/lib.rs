//! A service that misbehaves on request: each route is one misdeed, and each answer says how it went.
//!
//! The first segment of a path is the prefix of the route, whatever it is: `/probe/trap`.

pub mod export;
mod failing;
mod grpc;
mod messages;
mod outcome;
mod plan;
mod plain;
mod reaching;
mod sql;
mod stamp;
mod transactions;

use hostel_sdk::Router;

hostel_sdk::service! {
    messages: messages::subscriptions,
    migrations: plan::migrations,
    health: plan::health,
}

/// Every route but `/no-response`, which no router can answer.
fn routes() -> Router {
    Router::new()
        .get("/{prefix}/ok", plain::ok)
        .get("/{prefix}/caller", plain::caller)
        .post("/{prefix}/echo", plain::echo)
        .get("/{prefix}/slow", plain::slow)
        .get("/{prefix}/print", plain::print)
        .get("/{prefix}/counter", plain::counter)
        .get("/{prefix}/say", plain::say)
        .post("/{prefix}/say", plain::say)
        .get("/{prefix}/stamp", stamp::stamp)
        .post("/{prefix}/stamp", stamp::stamp)
        .get("/{prefix}/relay", stamp::relay)
        .get("/{prefix}/trap", failing::trap)
        .get("/{prefix}/loop", failing::spin)
        .get("/{prefix}/loop-host", failing::spin_in_the_host)
        .get("/{prefix}/allocate", failing::allocate)
        .get("/{prefix}/recurse", failing::recurse)
        .get("/{prefix}/exit", failing::exit)
        .get("/{prefix}/late-trap", failing::late_trap)
        .get("/{prefix}/file", reaching::file)
        .get("/{prefix}/socket", reaching::socket)
        .get("/{prefix}/environment", reaching::environment)
        .get("/{prefix}/fetch", reaching::fetch)
        .get("/{prefix}/sibling", reaching::sibling)
        .get("/{prefix}/publish", reaching::publish)
        .get("/{prefix}/bucket", reaching::bucket)
        .post("/{prefix}/sql", sql::run)
        .get("/{prefix}/keep", transactions::keep)
        .get("/{prefix}/use-kept", transactions::use_kept)
        .get("/{prefix}/begin-twice", transactions::begin_twice)
        .get("/{prefix}/execute-beside", transactions::execute_beside)
        .get("/{prefix}/call-inside", transactions::call_inside)
        .get("/{prefix}/request-inside", transactions::request_inside)
        .get("/{prefix}/publish-read-only", transactions::publish_read_only)
        .get("/{prefix}/write-read-only", transactions::write_read_only)
        .get("/{prefix}/this-delivery", transactions::this_delivery)
        .get("/{prefix}/once", transactions::once)
        .get("/{prefix}/notes", transactions::notes)
        .get("/{prefix}/deliveries", messages::deliveries)
        .get("/{prefix}/ask", messages::ask)
        .post("/{prefix}/Check", grpc::check)
}
