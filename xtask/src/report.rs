//! `cargo xtask report`: measures at length and writes pages of docs/reports.

mod chaos;
mod failover;
mod goals;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::failover::chaos::Ack;
use crate::run::root;
use crate::{console_figures, performance};

/// The pages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Page {
    /// How long clients get no answer, fault by fault
    Failover,
    /// What two hours of one fault after the other came to
    Chaos,
    /// What replication, verification and the doors cost
    Performance,
    /// How fast the console draws, and what it costs to leave it open
    Console,
}

/// As long as the acceptance wants; what was made for another time comes by `--from`.
const CHAOS: Duration = Duration::from_secs(2 * 60 * 60);
const CHAOS_SEED: u64 = 1;

impl Page {
    fn name(self) -> &'static str {
        match self {
            Self::Chaos => "chaos",
            Self::Failover => "failover",
            Self::Performance => "performance",
            Self::Console => "console",
        }
    }

    fn measure(self, runs: Option<u32>) -> Result<Value> {
        match self {
            Self::Chaos => crate::failover::chaos::measure(CHAOS, CHAOS_SEED, Ack::Sync),
            Self::Failover => crate::failover::suite::report(runs.unwrap_or(30)),
            Self::Performance => performance::measure(runs.unwrap_or(5)),
            Self::Console => console_figures::measure(runs.unwrap_or(3)),
        }
    }

    fn text(self, line: &Value) -> Result<String> {
        match self {
            Self::Chaos => chaos::page(line),
            Self::Failover => failover::page(line),
            Self::Performance => Ok(performance::page(line)),
            Self::Console => Ok(console_figures::page(line)),
        }
    }
}

/// Measures, or takes what was measured before, and writes the page.
pub(crate) fn run(page: Page, runs: Option<u32>, from: Option<PathBuf>) -> Result<ExitCode> {
    let line = match from {
        Some(path) => {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            // Of many lines the last one of JSON is the summary.
            let mut lines = text.lines().rev().filter(|line| line.starts_with('{'));
            let last = lines.next().unwrap_or_default();
            serde_json::from_str(last).with_context(|| format!("{} is no JSON", path.display()))?
        }
        None => page.measure(runs)?,
    };
    let text = page.text(&line)?;
    let path = root().join("docs/reports").join(page.name()).with_extension("md");
    fs::create_dir_all(path.parent().context("it has a folder")?)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    if page == Page::Performance {
        performance::write_side_by_side(&line)?;
    }
    if page == Page::Console {
        console_figures::write_manual(&line)?;
    }
    println!("wrote docs/reports/{}.md", page.name());
    Ok(if line["failed"] == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Unknown is a question mark.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "?".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
