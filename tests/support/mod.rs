//! What the tests share: a running host, a client, guests, temporary folders.

pub mod authority;
pub mod client;
pub mod folder;
pub mod guests;
pub mod host;
pub mod issuer;
pub mod load;
pub mod operator;
pub mod port;
pub mod process;
pub mod scene;
pub mod shop;
pub mod upstream;
pub mod version;
pub mod stamps;
pub mod lasting;
pub mod samples;
pub mod compiler;
pub mod artefacts;
pub mod origin;
pub mod counting_origin;
