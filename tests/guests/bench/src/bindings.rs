//! The code between the interfaces in `wit` and this component.

#![allow(missing_docs, unsafe_code, reason = "generated from WIT, which documents them")]

use crate::Bench;

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package bench:guest;
        world guest {
            import wasi:http/outgoing-handler@0.2.12;
            import wasi:clocks/monotonic-clock@0.2.12;
            export wasi:http/incoming-handler@0.2.12;
        }
    ",
    generate_all,
});

export!(Bench);
