//! What `wit-bindgen` makes of the files in `wit`; services never name it.
//!
//! Every export stands in a world of its own, so that a service exports only what it names in
//! [`service!`](crate::service), and imports are taken from one module, so that types agree.

#![allow(missing_docs, reason = "generated from WIT, which documents them")]

/// The interfaces that a service may import. Only those that are called stay in a component.
pub mod imports {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "hostel:service/imports",
        additional_derives: [PartialEq],
        additional_derives_ignore: ["stream-error", "cas-error"],
        generate_all,
    });
}

/// The export of HTTP requests.
pub mod http {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package hostel:sdk;
            world http { export wasi:http/incoming-handler@0.2.12; }
        ",
        with: {
            "wasi:http/types@0.2.12": crate::bindings::imports::wasi::http::types,
            "wasi:io/streams@0.2.12": crate::bindings::imports::wasi::io::streams,
            "wasi:io/poll@0.2.12": crate::bindings::imports::wasi::io::poll,
            "wasi:io/error@0.2.12": crate::bindings::imports::wasi::io::error,
            "wasi:clocks/monotonic-clock@0.2.12": crate::bindings::imports::wasi::clocks::monotonic_clock,
        },
        pub_export_macro: true,
    });
}

/// The export of message handling.
pub mod messages {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package hostel:sdk;
            world messages { export hostel:service/message-handler@0.1.0; }
        ",
        additional_derives: [PartialEq],
        pub_export_macro: true,
    });
}

/// The export of the schema.
pub mod migrations {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package hostel:sdk;
            world migrations { export hostel:service/migrations@0.1.0; }
        ",
        pub_export_macro: true,
    });
}

/// The export of the health check.
pub mod health {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package hostel:sdk;
            world health { export hostel:service/health@0.1.0; }
        ",
        pub_export_macro: true,
    });
}
