//! `cargo xtask report`: measures at length and writes pages of docs/reports.

mod failover;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run::root;
use crate::{console_figures, performance};

/// The pages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Page {
    /// How long clients get no answer, fault by fault
    Failover,
    /// What replication, verification and the doors cost
    Performance,
    /// How fast the console draws, and what it costs to leave it open
    Console,
}

impl Page {
    fn name(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Performance => "performance",
            Self::Console => "console",
        }
    }

    fn measure(self, runs: Option<u32>) -> Result<Value> {
        match self {
            Self::Failover => crate::e2e::failover_report(runs.unwrap_or(30)),
            Self::Performance => performance::measure(runs.unwrap_or(5)),
            Self::Console => console_figures::measure(runs.unwrap_or(3)),
        }
    }

    fn text(self, line: &Value) -> Result<String> {
        match self {
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
            serde_json::from_str(text.trim()).with_context(|| format!("{} is no JSON", path.display()))?
        }
        None => page.measure(runs)?,
    };
    let text = page.text(&line)?;
    let path = root().join("docs/reports").join(page.name()).with_extension("md");
    fs::create_dir_all(path.parent().context("it has a folder")?)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote docs/reports/{}.md", page.name());
    Ok(if line["failed"] == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
