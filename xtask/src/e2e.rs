//! `cargo xtask e2e SUITE`. The demo suite runs the debug binary's demo and judges what it prints.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::failover::{Selection, suite};
use crate::run::{Stopwatch, build_binary, cargo, pause, show, stream};
use crate::tally::Tally;
use crate::{console, process, tmux, verdict, verify, wheel, wheel_cases};

/// The suites there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Suite {
    /// `standfast demo`, whole and sabotaged
    Demo,
    /// `standfast console` in a terminal: watch, and fail over by keyboard
    Console,
    /// Every fault under load: how long the outage is, and that nothing is lost
    Failover,
    /// Standbys that join, die and return while writes go on, at a million objects
    Replication,
    /// The released Mooncake client, all that it does, also with a standby
    Wheel,
    /// The last three releases of it, as the support table shows them
    Wheels,
}

/// One way to run the demo, and what it must come to.
struct Case {
    name: &'static str,
    args: &'static [&'static str],
    expect: verdict::Expect,
}

const CASES: &[Case] = &[
    Case { name: "sync", args: &[], expect: verdict::Expect::OkLosingNothing },
    Case { name: "async", args: &["--ack", "async"], expect: verdict::Expect::Ok },
    Case { name: "corrupt", args: &["--corrupt"], expect: verdict::Expect::OkRepaired },
    Case { name: "drop-entry", args: &["--sabotage", "drop-entry"], expect: verdict::Expect::Bad },
    Case { name: "flip-digest", args: &["--sabotage", "flip-digest"], expect: verdict::Expect::Bad },
    Case { name: "lose-ack", args: &["--sabotage", "lose-ack"], expect: verdict::Expect::Bad },
];

const DEMO: &[&str] = &["demo", "--headless", "--duration", "12s", "--json"];
/// A safety limit for a loaded machine, not a figure: the run itself plus a minute.
const DEMO_LIMIT: Duration = Duration::from_secs(72);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How much of a failed demo's stderr is repeated.
const STDERR_LINES_MAX: usize = 40;

/// What came of one run of one case; no reasons means that it passed.
pub(crate) struct CaseResult {
    name: &'static str,
    run: u32,
    seconds: f64,
    reasons: Vec<String>,
}

/// Runs `suite` and prints its closing line, or one line of JSON.
pub(crate) fn run(suite: Suite, runs: u32, case: &str, json: bool) -> Result<ExitCode> {
    let results = match suite {
        Suite::Demo => demo_cases(runs)?,
        Suite::Console => match tmux::present() {
            Ok(()) => console_cases(runs)?,
            Err(error) => {
                let (tally, notes) = verify::skipped(&format!("{error:#}"), verify::is_strict());
                println!("{}\n{tally}", notes.join("\n"));
                return Ok(if tally.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
        },
        Suite::Failover => return suite::run(Selection { runs, quick: false, only: None }, json),
        Suite::Replication => vec![replication(runs, MANY_OBJECTS)?],
        Suite::Wheel => wheel_cases(&wheel::python()?, runs, true, case)?,
        Suite::Wheels => releases(runs)?,
    };
    let (tally, notes) = summary(&results);
    if json {
        println!("{}", to_json(suite, &results, tally));
    } else {
        for note in notes {
            println!("{note}");
        }
        println!("{tally}");
    }
    Ok(if tally.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the binary and runs each demo case `runs` times.
pub(crate) fn demo_cases(runs: u32) -> Result<Vec<CaseResult>> {
    let binary = build_binary()?;
    let mut results = Vec::new();
    for run in 1..=runs {
        for case in CASES {
            eprintln!("demo {} ({run} of {runs})", case.name);
            let watch = Stopwatch::start();
            let reasons = run_case(&binary, case)?;
            let seconds = watch.elapsed().as_secs_f64();
            let word = if reasons.is_empty() { "ok" } else { "FAILED" };
            eprintln!("demo {} ({run} of {runs}) {word} in {seconds:.1} s", case.name);
            results.push(CaseResult { name: case.name, run, seconds, reasons });
        }
    }
    Ok(results)
}

/// Builds the binary and plays each case of the console `runs` times.
pub(crate) fn console_cases(runs: u32) -> Result<Vec<CaseResult>> {
    let binary = build_binary()?;
    let mut results = Vec::new();
    for run in 1..=runs {
        for case in console::CASES {
            let watch = Stopwatch::start();
            let reasons = console::play(&binary, case)?;
            let seconds = watch.elapsed().as_secs_f64();
            let word = if reasons.is_empty() { "ok" } else { "FAILED" };
            eprintln!("console {} ({run} of {runs}) {word} in {seconds:.1} s", case.name);
            results.push(CaseResult { name: case.name, run, seconds, reasons });
        }
    }
    Ok(results)
}

/// Objects of the replication suite.
const MANY_OBJECTS: u64 = 1_000_000;

/// The command that runs the replication cases with so many objects, so often.
pub(crate) fn replication_command(runs: u32, objects: u64) -> Command {
    let mut command = cargo();
    command.args([
        "test",
        "--locked",
        "--test",
        "it",
        "replication::",
        "--",
        "--test-threads=1",
        "--nocapture",
    ]);
    command.env("STANDFAST_E2E_RUNS", runs.to_string());
    command.env("STANDFAST_E2E_OBJECTS", objects.to_string());
    command
}

/// Alerts, panels and runbooks against running pairs that Prometheus scrapes.
pub(crate) fn monitoring_command() -> Command {
    let mut command = cargo();
    command.args(["test", "--locked", "--test", "it", "monitoring::", "--", "--ignored", "--nocapture"]);
    command
}

/// Runs the replication cases; each is named where it fails.
fn replication(runs: u32, objects: u64) -> Result<CaseResult> {
    let watch = Stopwatch::start();
    let mut reasons = Vec::new();
    let status = stream(replication_command(runs, objects), |line| {
        if line.ends_with("FAILED") {
            reasons.push(line.to_owned());
        }
    })?;
    if !status.success() && reasons.is_empty() {
        reasons.push(status.to_string());
    }
    Ok(CaseResult { name: "replication", run: 1, seconds: watch.elapsed().as_secs_f64(), reasons })
}

/// Runs the cases of the wheel with this in their name `runs` times: all of them, or the quick ones.
pub(crate) fn wheel_cases(python: &Path, runs: u32, full: bool, named: &str) -> Result<Vec<CaseResult>> {
    let mut results = Vec::new();
    for run in 1..=runs {
        for case in wheel_cases::cases(full).filter(|case| case.name.contains(named)) {
            let watch = Stopwatch::start();
            let reasons = wheel_cases::run(case, python)?;
            results.push(CaseResult {
                name: case.name,
                run,
                seconds: watch.elapsed().as_secs_f64(),
                reasons,
            });
        }
    }
    Ok(results)
}

/// A case for each release of the wheel: whether it works, or fails with the words that the table knows.
fn releases(runs: u32) -> Result<Vec<CaseResult>> {
    let mut results = Vec::new();
    for run in 1..=runs {
        for (version, known) in wheel::RELEASES {
            let watch = Stopwatch::start();
            let seen = wheel_cases::release(version)?;
            let first = seen.first().map(String::as_str);
            eprintln!("release {version}: {}", first.unwrap_or("works"));
            let reasons = if first == known { Vec::new() } else { seen };
            results.push(CaseResult { name: version, run, seconds: watch.elapsed().as_secs_f64(), reasons });
        }
    }
    Ok(results)
}

/// The counts, and a line for each reason of a failure.
pub(crate) fn summary(results: &[CaseResult]) -> (Tally, Vec<String>) {
    let mut tally = Tally::default();
    let mut notes = Vec::new();
    for result in results {
        tally += Tally::one(result.reasons.is_empty());
        notes.extend(result.reasons.iter().map(|why| format!("{} run {}: {why}", result.name, result.run)));
    }
    (tally, notes)
}

fn to_json(suite: Suite, results: &[CaseResult], tally: Tally) -> Value {
    let suite = match suite {
        Suite::Demo => "demo",
        Suite::Console => "console",
        Suite::Failover => "failover",
        Suite::Replication => "replication",
        Suite::Wheel => "wheel",
        Suite::Wheels => "wheels",
    };
    let cases: Vec<Value> = results
        .iter()
        .map(|result| {
            let CaseResult { name, run, seconds, reasons } = result;
            json!({"name": name, "run": run, "ok": reasons.is_empty(), "reasons": reasons, "seconds": seconds})
        })
        .collect();
    json!({"schema": 1, "suite": suite, "cases": cases, "passed": tally.passed, "failed": tally.failed})
}

/// Runs the demo once in a temporary folder of its own; returns what is wrong with it.
fn run_case(binary: &Path, case: &Case) -> Result<Vec<String>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let (out, err, scratch) =
        (folder.path().join("stdout"), folder.path().join("stderr"), folder.path().join("tmp"));
    fs::create_dir(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    let mark = folder.path().display().to_string();

    let mut demo = Command::new(binary);
    demo.args(DEMO).args(case.args).env(process::MARK, &mark).env("TMPDIR", &scratch);
    demo.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
    eprintln!("$ standfast {}", DEMO.iter().chain(case.args).copied().collect::<Vec<_>>().join(" "));

    let mut reasons = Vec::new();
    let ended = wait(&mut demo, &mut reasons)?;
    let line = fs::read_to_string(&out).context("cannot read the demo's stdout")?;
    let judged = verdict::judge(case.expect, ended.and_then(|status| status.code()), &line);
    reasons.extend(judged.reasons);

    for pid in process::survivors(&mark, &judged.pids) {
        reasons.push(format!("process {pid} outlived the demo"));
    }
    process::kill_marked(&mark);
    reasons.extend(left_behind(&scratch)?);
    if !reasons.is_empty() {
        show_tail(&err);
    }
    Ok(reasons)
}

/// Waits for the demo, but not for ever.
fn wait(demo: &mut Command, reasons: &mut Vec<String>) -> Result<Option<ExitStatus>> {
    let mut child = demo.spawn().with_context(|| format!("cannot start `{}`", show(demo)))?;
    let watch = Stopwatch::start();
    while watch.elapsed() < DEMO_LIMIT {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        pause(LOOK_EVERY);
    }
    reasons.push(format!("did not end within {} s and was killed", DEMO_LIMIT.as_secs()));
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Without `--keep` the demo removes what it wrote.
fn left_behind(scratch: &Path) -> Result<Option<String>> {
    let entries = fs::read_dir(scratch)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names = entries.collect::<Result<Vec<_>>>()?;
    Ok((!names.is_empty()).then(|| format!("left behind in its temporary folder: {}", names.join(", "))))
}

fn show_tail(stderr: &Path) {
    let text = fs::read(stderr).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    eprintln!("the demo's stderr ends with:");
    for line in &lines[lines.len().saturating_sub(STDERR_LINES_MAX)..] {
        eprintln!("  | {line}");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{Case, CaseResult, Suite, fs, run_case, summary, to_json};
    use crate::verdict::Expect;

    /// A stand-in for the binary that prints `line`, runs `extra` and exits with `code`.
    fn judged(line: &str, extra: &str, code: i32) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("demo");
        fs::write(&binary, format!("#!/bin/sh\n{extra}\necho '{line}'\nexit {code}\n")).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        run_case(&binary, &Case { name: "x", args: &[], expect: Expect::Bad }).unwrap()
    }

    const BAD: &str = r#"{"schema":1,"verdict":"bad","reasons":["digests differ"],"nodes":[]}"#;

    #[test]
    fn a_clean_run_has_no_reasons() {
        assert_eq!(judged(BAD, "", 1), Vec::<String>::new());
    }

    #[test]
    fn a_child_that_stays_and_a_file_that_stays_are_reasons() {
        let reasons = judged(BAD, "sleep 60 >/dev/null 2>&1 &\ntouch \"$TMPDIR/log\"", 1);
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        assert!(reasons[0].ends_with("outlived the demo"));
        assert!(reasons[1].ends_with("folder: log"));
    }

    #[test]
    fn results_are_counted_and_shown_as_one_line() {
        let result = |reasons| CaseResult { name: "sync", run: 1, seconds: 12.5, reasons };
        let results = [result(vec![]), result(vec!["no verdict".to_owned()])];
        let (tally, notes) = summary(&results);
        assert_eq!(tally.to_string(), "1 passed, 1 failed");
        assert_eq!(notes, ["sync run 1: no verdict"]);
        let line = to_json(Suite::Wheel, &results, tally);
        assert_eq!((line["schema"].as_u64(), line["failed"].as_u64()), (Some(1), Some(1)));
        assert_eq!((line["suite"].as_str(), &line["cases"][1]["ok"]), (Some("wheel"), &false.into()));
    }
}
