//! The export of HTTP requests by hand: a router always answers, and this service has to be able not to.

use hostel_sdk::Router;
use hostel_sdk::bindings::http as bindings;
use hostel_sdk::bindings::imports::wasi::http::types::{IncomingRequest, ResponseOutparam};

static ROUTER: std::sync::LazyLock<Router> = std::sync::LazyLock::new(crate::routes);

/// Answers requests, or not. Public, since only a component has symbols that use it.
#[derive(Debug)]
pub struct Http;

impl bindings::exports::wasi::http::incoming_handler::Guest for Http {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        if path.ends_with("/no-response") {
            return;
        }
        hostel_sdk::http::serve(&ROUTER, request, out);
    }
}

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "what the macro makes of an export")]
mod symbols {
    use super::{Http, bindings};

    bindings::export!(Http with_types_in bindings);
}
