//! `cargo xtask report performance`: what replication, verification and the door cost, each as a ratio of two
//! sides of one run, into docs/reports/performance.{json,md}.

mod cluster;
mod measure;
mod page;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::bench;
use crate::run::{self, root};

const FOLDER: &str = "docs/reports";

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Rounds on each side; figures are medians of them.
    rounds: u32,
    /// Objects beside which verification is weighed.
    objects: u64,
    /// Keys of a round of batches.
    count: u64,
    /// Duration of a paced round.
    seconds: u32,
}

const WHOLE: Scale = Scale { rounds: 5, objects: 1_000_000, count: 400_000, seconds: 15 };
const SHORT: Scale = Scale { rounds: 1, objects: 50_000, count: 40_000, seconds: 3 };

/// Measures, writes both files, and prints the page or its line of JSON. A short run proves that the way is
/// open; it writes nothing.
pub(crate) fn run(short: bool, as_json: bool) -> Result<ExitCode> {
    let scale = if short { SHORT } else { WHOLE };
    let busy_before = bench::load();
    let binary = run::build_binary(run::Profile::Release)?;
    let figures = measure::all(&binary, scale)?;
    let document = json!({
        "schema": 1,
        "commit": bench::commit(),
        "machine": bench::machine(),
        "load_before": busy_before,
        "scale": {"rounds": scale.rounds, "objects": scale.objects, "count": scale.count, "seconds": scale.seconds},
        "figures": figures,
    });
    let page = page::page(&document);
    if !short {
        write("performance.json", &format!("{document:#}\n"))?;
        write("performance.md", &page)?;
    }
    println!("{}", if as_json { document.to_string() } else { page });
    Ok(if is_right(&document) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(name: &str, text: &str) -> Result<()> {
    let folder = root().join(FOLDER);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), text).with_context(|| format!("writing {FOLDER}/{name}"))
}

/// Whether every answer was right; how fast they were is for the reader to judge.
fn is_right(document: &Value) -> bool {
    let runs = document["figures"].as_object().into_iter().flatten();
    runs.flat_map(|(_, run)| run["targets"].as_array().into_iter().flatten())
        .all(|target| target["wrong"] == 0)
}
