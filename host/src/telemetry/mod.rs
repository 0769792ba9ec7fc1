//! Telemetry: what the host tells about itself and its services.
//!
//! Knows nothing of Wasm, HTTP listeners or storage. Files in reading order:
//! `logs` starts the host's log, to `standard_error`; `journal` keeps the lines of services; `metrics` names every metric, with its
//! `labels`; `requests` counts those of one route;
//! `trace` is the W3C trace context.

pub mod logs;
mod standard_error;
pub mod journal;
mod labels;
pub mod metrics;
pub mod requests;
pub mod trace;
