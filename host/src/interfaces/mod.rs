//! What guests can reach: each interface of `wit/` over the back end behind it.
//!
//! Knows nothing of pools, routes, or which driver stands behind a back end. Files in reading order:
//! `bindings` are the generated types; `service` is what all instances of a version share, `guest` the state of
//! one instance, `call` what it does now; `memory`, with the `holdings` of the host, and `cpu` are its
//! meters, `slices` those of calls that share an instance, `turns` shares the processors between services, `usage` is what a whole service uses and `output` what
//! it says; then one file an interface: `wasi` with its `streams`, `http_out` for both `http_out_p2` and `http_out_p3` (with `outgoing_body` for
//! what is sent by WASI 0.2, `http_client` for outside hosts and `siblings` for services), `database` (with
//! `transaction`), `messaging`, `key_value`, `discovery`, `settings`, `logging`.

pub mod bindings;
pub mod service;
pub mod guest;
pub mod call;
pub mod memory;
pub mod cpu;
pub mod slices;
pub mod turns;
pub mod holdings;
pub mod usage;
pub mod output;
pub mod wasi;
pub mod streams;
pub mod outgoing_body;
pub mod http_out;
pub mod http_out_p2;
pub mod http_out_p3;
pub mod http_client;
pub mod siblings;
pub mod database;
pub mod transaction;
pub mod messaging;
pub mod key_value;
pub mod discovery;
pub mod settings;
pub mod logging;

use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::p2::bindings::cli::environment;
use wasmtime_wasi::p2::bindings::filesystem::preopens;

use crate::interfaces::bindings::{hostel, wasi as standard};
use crate::interfaces::guest::GuestState;

/// The newest patch of WASI 0.2 that this host has; every earlier one of 0.2 is a part of it.
pub const WASI_VERSION: &str = "0.2.12";

/// Adds every interface of the host to a linker. What a component may import of it is decided at its deploy.
///
/// # Errors
///
/// When an interface is added twice, which is a fault of the host.
pub fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    add_p2_to_linker(linker)?;
    linker.allow_shadowing(true);
    streams::add_to_linker(linker)?;
    outgoing_body::add_to_linker(linker)?;
    http_out_p2::add_to_linker(linker)?;
    // Files and environment are empty in wasmtime-wasi too, but there nobody hears that they were asked for.
    preopens::add_to_linker::<_, HasSelf<GuestState>>(linker, |state| state)?;
    environment::add_to_linker::<_, HasSelf<GuestState>>(linker, |state| state)?;
    linker.allow_shadowing(false);
    macro_rules! add {
        ($($interface:path),* $(,)?) => {$({
            use $interface as interface;
            interface::add_to_linker::<_, HasSelf<GuestState>>(linker, |state| state)?;
        })*};
    }
    add!(
        hostel::service::types,
        hostel::service::database,
        hostel::service::messaging,
        hostel::service::discovery,
        standard::keyvalue0_2_0_draft::store,
        standard::keyvalue0_2_0_draft::atomics,
        standard::keyvalue0_2_0_draft::batch,
        standard::keyvalue0_2_0_draft2::store,
        standard::keyvalue0_2_0_draft2::atomics,
        standard::keyvalue0_2_0_draft2::batch,
        standard::config0_2_0_rc_1::store,
        standard::config0_2_0_draft::store,
        standard::config0_2_0_draft_2024_09_27::store,
        standard::logging::logging,
    );
    Ok(())
}

/// Adds WASI 0.2 as its crates have it.
fn add_p2_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

/// Adds the interfaces of WASI 0.3 besides.
///
/// # Errors
///
/// When an interface is added twice, which is a fault of the host.
pub fn add_p3_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    http_out_p3::add_to_linker(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_the_place_of_others_finds_them_there() {
        for add in [streams::add_to_linker, outgoing_body::add_to_linker, http_out_p2::add_to_linker] {
            let mut linker = Linker::new(&wasmtime::Engine::default());
            add_p2_to_linker(&mut linker).unwrap();
            assert!(add(&mut linker).is_err(), "it would go unheard under another name");
        }
    }
}
