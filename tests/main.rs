//! The tests of the host, from outside, in one binary; in reading order.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

mod tidy;
mod contracts;
mod configuration;
mod gateway;
mod framing;
mod shop;
mod crash;
mod deploys;
mod reload;
mod operation;
mod limits;
mod cache;
mod grants;
mod messages;
mod sql;
mod trial;
mod examples;
