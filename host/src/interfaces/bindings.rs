//! Rust types generated from `wit/`.

#![allow(missing_docs, reason = "generated; the documentation stands in the WIT files")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "hostel:service/host",
    imports: { default: async | trappable },
    exports: { default: async },
    require_store_data_send: true,
    with: {
        "wasi:http": wasmtime_wasi_http::p2::bindings::http,
        "wasi:io": wasmtime_wasi::p2::bindings::io,
        "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
        "hostel:service/database.transaction": crate::interfaces::database::GuestTransaction,
        "hostel:service/database.cursor": crate::interfaces::database::GuestCursor,
        "wasi:keyvalue/store@0.2.0-draft.bucket": crate::interfaces::key_value::Bucket,
        "wasi:keyvalue/store@0.2.0-draft2.bucket": crate::interfaces::key_value::Bucket,
        "wasi:keyvalue/atomics@0.2.0-draft2.cas": crate::interfaces::key_value::Cas,
    },
});
