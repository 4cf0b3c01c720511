//! What the node tells about itself while it runs: metrics, health of the
//! process, and log lines on stderr.

pub mod catalog;
mod clocks;
mod exposition;
mod histogram;
mod json;
mod logs;
mod metrics;
pub mod otel;
mod process;
mod recorder;
mod stock;

pub use clocks::{ClockEstimate, Exchange};
pub use exposition::{CONTENT_TYPE, Exposition};
pub use histogram::Times;
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
    /// Present while spans are exported.
    pub tracer: Option<Arc<otel::Tracer>>,
}
