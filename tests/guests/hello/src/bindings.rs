//! The code between the interfaces in `wit` and this component.

#![allow(missing_docs, unsafe_code, reason = "generated from WIT, which documents them")]

use crate::Hello;

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package bench:hello;
        world hello { export wasi:http/incoming-handler@0.2.12; }
    ",
    generate_all,
});

export!(Hello);
