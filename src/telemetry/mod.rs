//! What the node tells about itself while it runs: metrics, health of the
//! process, and log lines on stderr.

pub mod catalog;
mod clocks;
mod durations;
mod exposition;
mod histogram;
mod http;
mod json;
mod logs;
mod metrics;
pub mod otel;
mod process;
mod recorder;
mod stock;

pub use clocks::{ClockEstimate, Exchange};
pub use durations::Durations;
pub use exposition::{CONTENT_TYPE, Exposition};
pub use histogram::Times;
pub use http::http_client;
pub use json::{NoJson, role_change_from_json, role_change_to_json, to_json, trace_to_json};
pub use logs::{BadLevel, LogControl, init};
pub use metrics::exposition;
pub use process::reading as process;
pub use recorder::{BatchStages, Recorder, RequestStages};

use std::sync::Arc;

/// What is stamped and traced on the way of a write.
#[derive(Debug, Clone, Default)]
pub struct Instruments {
    /// Always on.
    pub recorder: Arc<Recorder>,
    /// Always on.
    pub durations: Arc<Durations>,
    /// Present while spans are exported.
    pub tracer: Option<Arc<otel::Tracer>>,
}
