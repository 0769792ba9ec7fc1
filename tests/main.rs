//! The tests of the host, from outside, in one binary; in reading order.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

mod tidy;
mod contracts;
mod configuration;
mod gateway;
mod routing;
mod static_files;
mod framing;
mod heads;
mod tls;
mod proxies;
mod slow_clients;
mod http2;
mod upstreams;
mod blame;
mod streams;
mod identity;
mod login;
mod shop;
mod crash;
mod deploys;
mod deploy_load;
mod deploy_crash;
mod storm;
mod reload;
mod operation;
mod limits;
mod limits_met;
mod guests_trapping;
mod guests_endless;
mod guests_hoarding;
mod guests_reaching;
mod guests_printing;
mod guests_framing;
mod concurrent;
mod concurrent_limits;
mod overload;
mod rate_limits;
mod cors;
mod compression;
mod security_headers;
mod cache;
mod cache_validation;
mod grants;
mod messages;
mod sql;
mod trial;
mod bad_artefacts;
mod examples;
