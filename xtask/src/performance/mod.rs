//! What replication, verification and the doors cost, each as a ratio of two sides of one run: the figures and the
//! page of `cargo xtask report performance`.

mod cluster;
mod measure;
mod page;
mod pipeline;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{bench, machine, run};

pub(crate) use page::page;

/// How much is done.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Rounds on each side; figures are medians of them.
    rounds: u32,
    /// Objects beside which verification is weighed.
    objects: u64,
    /// Keys of a round of batches.
    count: u64,
    /// Duration of a paced round.
    seconds: u32,
}

/// Measures everything.
pub(crate) fn measure(rounds: u32) -> Result<Value> {
    let scale = Scale { rounds, objects: 1_000_000, count: 400_000, seconds: 15 };
    let load_before = machine::load();
    let figures = measure::all(&run::release_binary()?, scale)?;
    // Right answers are this page's pass; how fast they were is for its reader to judge.
    let targets = figures.values().flat_map(|run| run["targets"].as_array().into_iter().flatten());
    let failed = targets.filter(|target| target["wrong"] != 0).count();
    Ok(json!({
        "schema": 1,
        "commit": machine::head(),
        "machine": bench::facts(),
        "load_before": load_before,
        "scale": {"rounds": rounds, "objects": scale.objects, "count": scale.count, "seconds": scale.seconds},
        "failed": failed,
        "figures": figures,
    }))
}
