//! Hostel runs a whole microservice system in one process: each domain service is a sandboxed WebAssembly
//! component, behind one API gateway.
//!
//! The way of a request: `gateway` (listen, check, route, reply) -> `balance` (which version, which instance) ->
//! `runtime` (one sandbox, its limits) -> the guest -> `interfaces` (what it may reach) -> `backends` and `registry`.
//! Messages come the other way in: `backends::messaging` -> `subscriptions` -> `balance`. Beside them `deploy` brings
//! versions up, `admin` answers operators, `app` puts the parts together, `cli` is the command.
//!
//! Layers, lowest first; a module uses only what stands before it (held by `tests/tidy.rs`):
//!
//! | module | what it is | only here is named |
//! | --- | --- | --- |
//! | `allocator` | memory for all of it | |
//! | `names`, `body`, `deadline`, `coarse_time` | typed names; the one body type; waiting until then; times noted with every request | |
//! | `config` | gateway.toml, checked | `toml` |
//! | `telemetry` | logs, journal, metrics, trace context | `prometheus_client` |
//! | `backends` | databases, brokers, buckets, all durable | `rusqlite` |
//! | `registry` | which services exist and how they are | |
//! | `sessions` | browser sessions, kept durably | |
//! | `interfaces` | what a guest can reach, over the back ends | `wasmtime` (with `runtime`) |
//! | `runtime` | compile, instantiate and call components | `wasmtime` |
//! | `balance` | services, pools of instances, circuits, external services | `hyper_rustls` (with `interfaces`) |
//! | `subscriptions` | messages into handlers | |
//! | `gateway` | HTTP from clients | `hyper`'s server, `rustls` |
//! | `deploy` | versions, trials, history, file watch | `notify` |
//! | `admin` | the operators' API | `axum` |
//! | `app` | builds, runs, reloads, stops | |
//! | `cli` | the `hostel` command | `clap` |
//!
//! Words: a *service* has *versions* (one component each, known by digest); a version has *instances*; an *endpoint*
//! is where a set of instances can be reached; a *route* sends requests to a service; a *grant* is a right that
//! `gateway.toml` gives; a *topic* carries messages; a *back end* is what stands behind an interface.

pub mod allocator;
pub mod names;
pub mod body;
pub mod deadline;
pub mod coarse_time;
pub mod config;
pub mod telemetry;
pub mod backends;
pub mod registry;
pub mod sessions;
pub mod interfaces;
pub mod runtime;
pub mod balance;
pub mod subscriptions;
pub mod gateway;
pub mod deploy;
pub mod admin;
pub mod app;
pub mod cli;
