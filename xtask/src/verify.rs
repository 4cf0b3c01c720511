//! `cargo xtask verify`: runs every step, also after one has failed, and adds up.

use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::failover::{self, Selection};
use crate::run::Stopwatch;
use crate::steps::{Component, Count, FULL, QUICK, Step, Work, steps};
use crate::tally::Tally;
use crate::{codegen, coverage, dashboards, e2e, etcd, run, tmux, wheel};

/// At most so many names of failed cases are repeated in the table.
const FAILURES_SHOWN_MAX: usize = 20;

/// What came of one step.
struct Outcome {
    name: &'static str,
    tally: Tally,
    /// Why it failed or was skipped, a line each.
    notes: Vec<String>,
    took: Duration,
}

/// Runs all steps and prints the table; fails when any case failed.
pub(crate) fn run(full: bool) -> Result<ExitCode> {
    let strict = is_strict();
    let watch = Stopwatch::start();
    let steps = steps(if full { &FULL } else { &QUICK });
    let count = steps.len();
    let mut outcomes = Vec::with_capacity(count);
    for (nr, step) in (1..).zip(steps) {
        eprintln!("--- [{nr}/{count}] {}", step.name);
        let outcome = run_step(step, strict);
        eprintln!("--- [{nr}/{count}] {}", row(&outcome));
        outcomes.push(outcome);
    }
    let total = sum(&outcomes);
    println!("{}", table(&outcomes, watch.elapsed()));
    println!("{total}");
    Ok(if total.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where nobody reads the output, a missing tool must not pass for a checked one.
pub(crate) fn is_strict() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}

fn run_step(step: Step, strict: bool) -> Outcome {
    let watch = Stopwatch::start();
    let done = match step.work {
        Work::Program { needs: Some(component), .. } if !is_installed(component) => {
            let name = component.name;
            Ok(skipped(&format!("{name} is not installed; cure: rustup component add {name}"), strict))
        }
        Work::Program { command, count, .. } => run_program(*command, count),
        Work::CodegenCheck => codegen::run(true).map(|()| (Tally::one(true), Vec::new())),
        Work::Demo { runs } => e2e::demo_cases(runs).map(|results| e2e::summary(&results)),
        Work::Failover { runs, quick } => match etcd::install() {
            Ok(()) => {
                // What it lacks afterwards, its cases say themselves.
                let _ = failover::net::install();
                failover::run(Selection { runs, quick, only: None })
                    .map(|reports| failover::suite::summary(&reports))
            }
            Err(error) => Ok(skipped(&format!("{error:#}"), strict)),
        },
        Work::Console { runs } => match tmux::install() {
            Ok(()) => e2e::console_cases(runs).map(|results| e2e::summary(&results)),
            Err(error) => Ok(skipped(&format!("{error:#}"), strict)),
        },
        Work::Etcd => match etcd::install() {
            Ok(()) => Ok((Tally::one(true), Vec::new())),
            Err(error) => Ok(skipped(&format!("{error:#}"), strict)),
        },
        Work::Prometheus => match dashboards::install() {
            Ok(()) => Ok((Tally::one(true), Vec::new())),
            Err(error) => Ok(skipped(&format!("{error:#}"), strict)),
        },
        Work::GrafanaTypes => match dashboards::schema_command() {
            Ok(command) => run_program(command, Count::ClosingLine),
            Err(error) => Ok(skipped(&format!("{error:#}"), strict)),
        },
        Work::Wheel { full } => match wheel::python() {
            Ok(python) => e2e::wheel_cases(&python, 1, full, "").map(|results| e2e::summary(&results)),
            Err(error) => Ok(skipped(&format!("{error:#}"), strict)),
        },
        Work::Coverage if !coverage::is_there() => {
            Ok(skipped("cargo-tarpaulin is not installed; cure: cargo xtask setup", strict))
        }
        Work::Coverage => coverage::shares().map(|shares| coverage::summary(&shares)),
    };
    let (tally, notes) = done.unwrap_or_else(|error| (Tally::one(false), vec![format!("{error:#}")]));
    Outcome { name: step.name, tally, notes, took: watch.elapsed() }
}

fn is_installed(component: Component) -> bool {
    let mut probe = run::cargo();
    probe.args([component.subcommand, "--version"]);
    probe.output().is_ok_and(|output| output.status.success())
}

/// What a step comes to that could not be run.
pub(crate) fn skipped(why: &str, strict: bool) -> (Tally, Vec<String>) {
    let note = format!("skipped: {why}");
    let failed = u64::from(strict);
    (Tally { passed: 0, failed, skipped: 1 - failed }, vec![note])
}

fn run_program(command: Command, count: Count) -> Result<(Tally, Vec<String>)> {
    let mut reader = Reader::new(count);
    let status = run::stream(command, |line| reader.line(line))?;
    reader.finish(status)
}

/// Reads the counts out of a program's lines.
struct Reader {
    count: Count,
    tally: Tally,
    /// Whether any count was read.
    counted: bool,
    failures: Vec<String>,
}

impl Reader {
    fn new(count: Count) -> Self {
        Self { count, tally: Tally::default(), counted: false, failures: Vec::new() }
    }

    fn line(&mut self, line: &str) {
        match self.count {
            Count::ExitCode => {}
            Count::TestResults | Count::DocTestResults => {
                if let Some(tally) = Tally::from_test_result(line) {
                    self.tally += tally;
                    self.counted = !self.tally.is_empty() || self.count == Count::DocTestResults;
                }
                let failed = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"));
                self.failures.extend(failed.map(str::to_owned));
            }
            Count::ClosingLine => {
                if let Some(tally) = Tally::from_closing_line(line) {
                    self.tally = tally;
                    self.counted = !tally.is_empty();
                }
            }
        }
    }

    /// The exit code has the last word: counts that all passed do not excuse a program that failed,
    /// and a program that ran no case has proved nothing.
    fn finish(mut self, status: ExitStatus) -> Result<(Tally, Vec<String>)> {
        if self.count == Count::ExitCode {
            self.tally = Tally::one(status.success());
        } else if status.success() {
            ensure!(self.counted, "the program succeeded but reported no case");
        } else if self.tally.is_ok() {
            self.tally += Tally::one(false);
        }
        let more = self.failures.len().saturating_sub(FAILURES_SHOWN_MAX);
        self.failures.truncate(FAILURES_SHOWN_MAX);
        if more > 0 {
            self.failures.push(format!("and {more} more"));
        }
        if !status.success() {
            self.failures.push(format!("{status}"));
        }
        Ok((self.tally, self.failures))
    }
}

fn sum(outcomes: &[Outcome]) -> Tally {
    let mut total = Tally::default();
    for outcome in outcomes {
        total += outcome.tally;
    }
    total
}

fn row(outcome: &Outcome) -> String {
    let Outcome { name, tally, took, .. } = outcome;
    let word = match tally {
        Tally { failed: 1.., .. } => "FAILED",
        Tally { passed: 0, skipped: 1.., .. } => "skipped",
        _ => "ok",
    };
    format!("{name:<16} {word:<8} {:>8.1} s   {tally}", took.as_secs_f64())
}

fn table(outcomes: &[Outcome], took: Duration) -> String {
    let mut lines = Vec::new();
    for outcome in outcomes {
        lines.push(row(outcome));
        lines.extend(outcome.notes.iter().map(|note| format!("    {note}")));
    }
    lines.push(format!("{:<16} {:<8} {:>8.1} s", "all steps", "", took.as_secs_f64()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use std::time::Duration;

    use super::{Outcome, Reader, row, skipped, sum, table};
    use crate::steps::Count;
    use crate::tally::Tally;

    fn read(count: Count, lines: &[&str], code: i32) -> anyhow::Result<(Tally, Vec<String>)> {
        let mut reader = Reader::new(count);
        for line in lines {
            reader.line(line);
        }
        reader.finish(ExitStatus::from_raw(code << 8))
    }

    #[test]
    fn test_results_are_summed_and_failures_named() {
        let lines = [
            "test result: ok. 3 passed; 0 failed; 1 ignored",
            "test store::keeps_order ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored",
        ];
        let (tally, notes) = read(Count::TestResults, &lines, 101).unwrap();
        assert_eq!(tally, Tally { passed: 5, failed: 1, skipped: 1 });
        assert_eq!(notes, ["store::keeps_order", "exit status: 101"]);
    }

    #[test]
    fn a_bad_exit_code_counts_though_all_cases_passed() {
        for (count, line) in [
            (Count::TestResults, "test result: ok. 3 passed; 0 failed; 0 ignored"),
            (Count::ClosingLine, "3 passed, 0 failed"),
        ] {
            let (tally, _) = read(count, &[line], 1).unwrap();
            assert_eq!(tally, Tally { passed: 3, failed: 1, skipped: 0 });
        }
        assert_eq!(read(Count::ExitCode, &[], 1).unwrap().0, Tally::one(false));
    }

    #[test]
    fn no_cases_is_no_success() {
        assert!(read(Count::ClosingLine, &["all is well"], 0).is_err());
        assert!(read(Count::ClosingLine, &["0 passed, 0 failed"], 0).is_err());
        assert!(read(Count::TestResults, &[], 0).is_err());
        let none = "test result: ok. 0 passed; 0 failed; 0 ignored";
        assert!(read(Count::TestResults, &[none], 0).is_err());
        assert!(read(Count::DocTestResults, &[none], 0).unwrap().0.is_ok());
        assert!(read(Count::DocTestResults, &[], 0).is_err());
        assert!(read(Count::ExitCode, &[], 0).unwrap().0.is_ok());
    }

    #[test]
    fn a_missing_component_is_skipped_by_hand_and_fails_in_ci() {
        assert!(skipped("no tool", false).0.is_ok());
        assert!(!skipped("no tool", true).0.is_ok());
    }

    #[test]
    fn the_table_has_a_row_a_step_and_its_notes() {
        let outcome = |name, tally, notes| Outcome { name, tally, notes, took: Duration::from_millis(1500) };
        let outcomes = [
            outcome("fmt", Tally::one(true), vec![]),
            outcome("tests", Tally { passed: 2, failed: 1, skipped: 0 }, vec!["it_broke".to_owned()]),
        ];
        assert_eq!(sum(&outcomes).to_string(), "3 passed, 1 failed");
        assert!(row(&outcomes[1]).contains("FAILED"));
        let table = table(&outcomes, Duration::from_secs(3));
        assert_eq!(table.lines().count(), 4);
        assert!(table.contains("    it_broke"));
    }
}
