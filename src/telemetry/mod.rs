//! What the node tells about itself while it runs: metrics, health of the
//! process, and log lines on stderr.

pub mod catalog;
mod clocks;
mod exposition;
mod histogram;
mod json;
mod metrics;
pub mod otel;
mod process;
mod recorder;

pub use clocks::{ClockEstimate, Exchange};
pub use exposition::{CONTENT_TYPE, Exposition};
pub use histogram::Times;
pub use json::{NoJson, to_json};
pub use metrics::exposition;
pub use process::reading as process;
pub use recorder::{BatchStages, Recorder, RequestStages};

use std::io::IsTerminal as _;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

/// What is stamped and traced on the way of a write.
#[derive(Debug, Clone, Default)]
pub struct Instruments {
    /// Always on.
    pub recorder: Arc<Recorder>,
    /// Present while spans are exported.
    pub tracer: Option<Arc<otel::Tracer>>,
}

/// Starts logging. The level comes from `STANDFAST_LOG`, `info` without it.
pub fn init(json: bool) {
    let filter = EnvFilter::try_from_env("STANDFAST_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    // A second call, as in tests, keeps the first subscriber.
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.compact().try_init() };
}
