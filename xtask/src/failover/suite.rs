//! The failover suite from its first case to its line: every fault, kill -9 with shorter timers, and the released client.
//! For the report each row is in a file as soon as it is measured: what took minutes is not lost by what fails later.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{CaseReport, Selection, curve, facts, kept_binary, run_each};
use crate::run::root;
use crate::tally::Tally;
use crate::{machine, wheel_outage};

/// Where the report's line is while it is measured, and afterwards: `report failover --from` takes it.
const KEPT: &str = "target/failover-report.json";

/// Runs the suite and prints its closing line, or one line of JSON.
pub(crate) fn run(selection: Selection, json: bool) -> Result<ExitCode> {
    let line = measure(selection, false, Line::new(None))?;
    if json {
        println!("{}", line.to_json());
    } else {
        line.notes.iter().for_each(|note| println!("{note}"));
        println!("{}", line.tally);
    }
    Ok(if line.tally.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every fault so often, and kill -9 with shorter timers: what the report is made of.
pub(crate) fn report(runs: u32) -> Result<Value> {
    let line =
        measure(Selection { runs, quick: false, only: None }, true, Line::new(Some(root().join(KEPT))))?;
    line.notes.iter().for_each(|note| eprintln!("{note}"));
    eprintln!("kept in {KEPT}");
    Ok(line.to_json())
}

fn measure(selection: Selection, with_curve: bool, mut line: Line) -> Result<Line> {
    let (_folder, binary) = kept_binary()?;
    let ended = run_each(&binary, selection, |report| line.add_fault(&report));
    line.end_section("faults", ended)?;
    if with_curve {
        let ended = curve(&binary, selection.runs, |point| {
            line.tally += Tally::one(point["ok"] == true);
            line.add("curve", point)
        });
        line.end_section("curve", ended)?;
    }
    if selection.takes_wheel() {
        let ended = wheel(&binary, selection.runs, &mut line);
        line.end_section("wheel", ended)?;
    }
    line.complete = true;
    line.save()?;
    Ok(line)
}

/// How long the released client waits, fault by fault.
fn wheel(binary: &Path, runs: u32, line: &mut Line) -> Result<()> {
    wheel_outage::measure(binary, runs, |row| {
        let ok = row["ok"] == true;
        line.tally += Tally::one(ok);
        eprintln!("wheel, {}: {row}", row["name"]);
        line.add("wheel", row)
    })
}

/// The line of the suite, as far as it goes.
struct Line {
    sections: serde_json::Map<String, Value>,
    tally: Tally,
    notes: Vec<String>,
    /// Why a section ended before its last row.
    broken: Vec<String>,
    complete: bool,
    kept: Option<PathBuf>,
}

impl Line {
    fn new(kept: Option<PathBuf>) -> Self {
        let sections = ["faults", "curve", "wheel"].map(|name| (name.to_owned(), json!([])));
        Self {
            sections: sections.into_iter().collect(),
            tally: Tally::default(),
            notes: Vec::new(),
            broken: Vec::new(),
            complete: false,
            kept,
        }
    }

    fn add_fault(&mut self, report: &CaseReport) -> Result<()> {
        let (tally, notes) = counted(report);
        self.tally += tally;
        self.notes.extend(notes);
        self.add("faults", report.to_json())
    }

    fn add(&mut self, section: &str, row: Value) -> Result<()> {
        let rows = self.sections.get_mut(section).and_then(Value::as_array_mut);
        rows.with_context(|| format!("there is no section {section}"))?.push(row);
        self.save()
    }

    /// A section that could not be ended fails the suite, and the next one goes on.
    fn end_section(&mut self, name: &str, ended: Result<()>) -> Result<()> {
        if let Err(error) = ended {
            let why = format!("{name}: {error:#}");
            eprintln!("failover, {why}");
            self.notes.push(why.clone());
            self.broken.push(why);
            self.tally += Tally::one(false);
        }
        self.save()
    }

    fn to_json(&self) -> Value {
        let mut line = json!({
            "schema": 1, "suite": "failover", "machine": facts(), "commit": machine::commit(), "profile": "dev",
            "complete": self.complete, "reasons": self.broken, "passed": self.tally.passed,
            "failed": self.tally.failed, "skipped": self.tally.skipped,
        });
        for (name, rows) in &self.sections {
            line[name] = rows.clone();
        }
        line
    }

    /// Whole or not at all: who reads it while it is written reads the one before.
    fn save(&self) -> Result<()> {
        let Some(path) = &self.kept else { return Ok(()) };
        let new = path.with_extension("new");
        std::fs::write(&new, format!("{}\n", self.to_json()))
            .and_then(|()| std::fs::rename(&new, path))
            .with_context(|| format!("cannot keep {}", path.display()))
    }
}

/// The counts, and a line for each fault that failed or was skipped.
pub(crate) fn summary(reports: &[CaseReport]) -> (Tally, Vec<String>) {
    let mut all = (Tally::default(), Vec::new());
    for (tally, notes) in reports.iter().map(counted) {
        all.0 += tally;
        all.1.extend(notes);
    }
    all
}

fn counted(report: &CaseReport) -> (Tally, Vec<String>) {
    let mut notes: Vec<String> = report.reasons.iter().map(|why| format!("{}: {why}", report.name)).collect();
    let tally = match &report.skipped {
        // Where no machine could run it, it is told and fails nothing.
        Some(why) => {
            notes.push(format!("{}: skipped: {why}", report.name));
            Tally { skipped: 1, ..Tally::default() }
        }
        None => Tally::one(report.reasons.is_empty()),
    };
    (tally, notes)
}

#[cfg(test)]
mod tests {
    use super::super::cases::CASES;
    use super::*;

    fn read(path: &Path) -> Value {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn each_row_is_on_disk_at_once_and_a_broken_section_costs_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("line.json");
        let mut line = Line::new(Some(path.clone()));
        line.add_fault(&CaseReport::new(&CASES[0])).unwrap();
        let kept = read(&path);
        assert_eq!((&kept["faults"][0]["name"], &kept["complete"]), (&json!("kill -9"), &json!(false)));
        line.end_section("curve", Err(anyhow::anyhow!("no etcd"))).unwrap();
        line.add("wheel", json!({"name": "freeze"})).unwrap();
        line.complete = true;
        line.save().unwrap();
        let kept = read(&path);
        assert_eq!(
            (&kept["passed"], &kept["failed"], &kept["complete"]),
            (&json!(1), &json!(1), &json!(true))
        );
        assert_eq!(
            (&kept["reasons"][0], &kept["wheel"][0]["name"]),
            (&json!("curve: no etcd"), &json!("freeze"))
        );
        assert!(line.add("nonsense", Value::Null).is_err());
    }

    #[test]
    fn what_is_skipped_fails_nothing_and_what_has_a_reason_does() {
        let of = |skipped: Option<&str>, reasons: &[&str]| {
            let reasons = reasons.iter().map(|why| (*why).to_owned()).collect();
            CaseReport { skipped: skipped.map(str::to_owned), reasons, ..CaseReport::new(&CASES[0]) }
        };
        let (tally, notes) = summary(&[of(None, &[]), of(Some("no root"), &[]), of(None, &["a", "b"])]);
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 1, 1));
        assert_eq!(notes, ["kill -9: skipped: no root", "kill -9: a", "kill -9: b"]);
    }
}
