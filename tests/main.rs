//! The tests of the host, from outside, in one binary; in reading order.

#![allow(missing_docs)]

mod support;

mod tidy;
mod wit;
mod contracts;
mod configuration;
mod gateway;
mod shop;
mod crash;
mod deploys;
mod reload;
mod operation;
mod limits;
mod grants;
mod sql;
mod trial;
mod examples;
