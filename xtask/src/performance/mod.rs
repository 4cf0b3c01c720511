//! What replication, verification and the doors cost, each as a ratio of two sides of one run: the figures and the
//! page of `cargo xtask report performance`.

mod cluster;
mod figures;
mod measure;
mod page;
mod pipeline;
mod side_by_side;
mod sink;
mod wheel;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::{bench, machine, run};

pub(crate) use figures::figures;
pub(crate) use page::page;
pub(crate) use side_by_side::write as write_side_by_side;

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

impl Scale {
    fn with(rounds: u32) -> Self {
        Self { rounds, objects: 1_000_000, count: 400_000, seconds: 15 }
    }
}

/// Measures what replication costs, for docs/figures.json: its runs by name.
pub(crate) fn replication(rounds: u32) -> Result<Map<String, Value>> {
    Ok(measure::replication(&run::release_binary()?, Scale::with(rounds)))
}

/// Measures everything.
pub(crate) fn measure(rounds: u32) -> Result<Value> {
    let scale = Scale::with(rounds);
    let load_before = machine::load();
    let figures = measure::all(&run::release_binary()?, scale);
    // Right answers are this page's pass; how fast they were is for its reader to judge.
    let targets = figures.values().flat_map(|run| run["targets"].as_array().into_iter().flatten());
    let failed = targets.filter(|target| target["wrong"] != 0).count();
    let failed = failed + figures.values().filter(|run| run["error"].is_string()).count();
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
