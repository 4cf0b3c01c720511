//! `cargo xtask report`: measures at length and writes pages of docs/reports.

mod chaos;
mod failover;
mod goals;
mod scale;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
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

    /// Of what was measured; of chaos there may be several summaries.
    fn text(self, lines: &[Value]) -> Result<String> {
        let line = lines.last().context("nothing was measured")?;
        match self {
            Self::Chaos => chaos::page(lines),
            Self::Failover => failover::page(line),
            Self::Performance => Ok(performance::page(line)),
            Self::Console => Ok(console_figures::page(line)),
        }
    }

    /// The summaries in what such a command printed: the last line of JSON, of chaos each that ends a run.
    fn summaries(self, text: &str) -> Result<Vec<Value>> {
        let lines = text.lines().filter(|line| line.starts_with('{'));
        let all = lines.map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        let last = all.len().saturating_sub(1);
        let kept = |nr: usize, line: &Value| {
            if self == Self::Chaos { line["event"] == "end" } else { nr == last }
        };
        let found: Vec<Value> =
            (0..).zip(all).filter(|(nr, line)| kept(*nr, line)).map(|(_, line)| line).collect();
        ensure!(!found.is_empty(), "it has no summary: a line of JSON is expected");
        Ok(found)
    }
}

/// Measures, or takes what was measured before, and writes the page.
pub(crate) fn run(page: Page, runs: Option<u32>, from: &[PathBuf]) -> Result<ExitCode> {
    let mut lines = Vec::new();
    for path in from {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        lines.extend(page.summaries(&text).with_context(|| format!("in {}", path.display()))?);
    }
    if from.is_empty() {
        lines.push(page.measure(runs)?);
    }
    let text = page.text(&lines)?;
    let path = root().join("docs/reports").join(page.name()).with_extension("md");
    fs::create_dir_all(path.parent().context("it has a folder")?)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    for line in &lines {
        match page {
            Page::Performance => performance::write_side_by_side(line)?,
            Page::Console => console_figures::write_manual(line)?,
            Page::Chaos | Page::Failover => {}
        }
    }
    println!("wrote docs/reports/{}.md", page.name());
    let good = lines.iter().all(|line| line["failed"] == 0);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Unknown is a question mark.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "?".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Why a run was not good.
fn joined(reasons: &Value) -> String {
    // Where a machine keeps its logs is no matter of a page.
    let is_told = |why: &String| !why.starts_with("logs are in ");
    let all: Vec<String> = reasons.as_array().into_iter().flatten().map(shown).filter(is_told).collect();
    // It may stand in a table.
    all.join("; ").replace('|', "/").replace('\n', " ")
}

#[test]
fn of_chaos_each_end_of_a_run_is_a_summary_and_of_others_the_last_line() {
    let text = "{\"event\":\"end\",\"nr\":1}\n1 ok\n{\"event\":\"fault\"}\n{\"event\":\"end\",\"nr\":2}\n{\"event\":\"late\"}\n";
    let numbers = |page: Page| {
        let found = page.summaries(text).unwrap();
        found.iter().map(|line| line["nr"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(Page::Chaos), [Some(1), Some(2)]);
    assert_eq!(numbers(Page::Failover), [None]);
    assert!(Page::Chaos.summaries("{\"event\":\"fault\"}").is_err(), "the run has no end");
    assert!(Page::Failover.summaries("").is_err() && Page::Failover.summaries("{nonsense").is_err());
}
