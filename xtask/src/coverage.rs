//! `cargo xtask coverage`: lines of the kernel and of the wire protocol that its
//! tests run, by cargo-tarpaulin. Too few fail.

use std::fs;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::run::{self, root};
use crate::tally::Tally;

/// What is installed, exactly.
const TOOL: &str = "cargo-tarpaulin@0.37.5";
/// Less than this share of lines fails.
const LEAST_PERCENT: f64 = 90.0;
/// Packages, where their code is, and where their tests are.
const PACKAGES: &[(&str, &str)] =
    &[("standfast-kernel", "src/kernel/src"), ("standfast-wire", "src/wire/src")];

/// Installs the tool, unless it is there.
pub(crate) fn setup() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    let mut install = run::cargo();
    install.args(["install", "--locked", TOOL]);
    ensure!(run::status(install)?.success(), "cannot install {TOOL}; cure: give cargo access to a registry");
    Ok(())
}

pub(crate) fn is_there() -> bool {
    let mut ask = run::cargo();
    ask.args(["tarpaulin", "--version"]);
    ask.output().is_ok_and(|done| done.status.success())
}

/// What the tests of one package run of its lines.
pub(crate) struct Share {
    package: &'static str,
    covered: u64,
    lines: u64,
}

impl Share {
    fn percent(&self) -> f64 {
        self.covered as f64 * 100.0 / self.lines as f64
    }

    fn is_enough(&self) -> bool {
        self.percent() > LEAST_PERCENT
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:.1} % of {} lines", self.package, self.percent(), self.lines)
    }
}

/// Runs the tests of each package under the tool.
pub(crate) fn shares() -> Result<Vec<Share>> {
    if !is_there() {
        bail!("cargo-tarpaulin is not installed; cure: cargo xtask setup");
    }
    let out = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut shares = Vec::new();
    for (package, source) in PACKAGES {
        let (covered, lines) = count(&measure(package, out.path())?, source);
        ensure!(lines > 0, "no line of {source} was found in the report");
        shares.push(Share { package, covered, lines });
    }
    Ok(shares)
}

/// The counts, and a line for each package of which too little is run.
pub(crate) fn summary(shares: &[Share]) -> (Tally, Vec<String>) {
    let mut tally = Tally::default();
    let mut notes = Vec::new();
    for share in shares {
        tally += Tally::one(share.is_enough());
        if !share.is_enough() {
            notes.push(format!("{share}: more than {LEAST_PERCENT} % are wanted"));
        }
    }
    (tally, notes)
}

/// One line a package, or one line of JSON; fails when too little is run of one.
pub(crate) fn run(as_json: bool) -> Result<ExitCode> {
    let shares = shares()?;
    let (tally, notes) = summary(&shares);
    if as_json {
        let package = |s: &Share| json!({"package": s.package, "covered": s.covered, "lines": s.lines, "ok": s.is_enough()});
        let packages: Vec<Value> = shares.iter().map(package).collect();
        println!("{}", json!({"schema": 1, "packages": packages, "least_percent": LEAST_PERCENT}));
    } else {
        shares.iter().for_each(|share| println!("{share}"));
        notes.iter().for_each(|note| println!("{note}"));
        println!("{tally}");
    }
    Ok(if tally.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The tool's report on one package. It needs flags of its own: a folder of its
/// own keeps the other builds from starting anew each time.
fn measure(package: &str, out: &Path) -> Result<Value> {
    let mut tool = run::cargo();
    tool.args(["tarpaulin", "--locked", "--package", package, "--engine", "llvm", "--skip-clean"]);
    tool.args(["--target-dir", "target/coverage"]);
    tool.args(["--implicit-test-threads", "--timeout", "1800", "--out", "json", "--output-dir"]).arg(out);
    // Which lines run is soon decided; what random cases find is for the plain run of the tests.
    tool.env("PROPTEST_CASES", "8");
    tool.stdout(Stdio::null());
    ensure!(run::status(tool)?.success(), "the tests of {package} failed under coverage");
    let report = out.join("tarpaulin-report.json");
    let text = fs::read_to_string(&report).with_context(|| format!("reading {}", report.display()))?;
    serde_json::from_str(&text).context("the report is no JSON")
}

/// Lines of the files below `source` that tests ran, and all of them. Files of
/// tests do not count.
fn count(report: &Value, source: &str) -> (u64, u64) {
    let wanted = root().join(source);
    let files = report["files"].as_array().into_iter().flatten();
    let own = files.filter(|file| {
        let parts = file["path"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let path: std::path::PathBuf = parts.collect();
        path.starts_with(&wanted) && !path.to_string_lossy().ends_with("_tests.rs")
    });
    own.fold((0, 0), |(covered, lines), file| {
        let of = |name: &str| file[name].as_u64().unwrap_or(0);
        (covered + of("covered"), lines + of("coverable"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Share, count, summary};
    use crate::run::root;

    #[test]
    fn only_lines_of_the_package_itself_count() {
        let file = |name: &str, covered: u64, coverable: u64| {
            let whole = root().join(name);
            let parts: Vec<String> =
                whole.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
            json!({"path": parts, "covered": covered, "coverable": coverable})
        };
        let report = json!({"files": [
            file("src/kernel/src/master/put.rs", 9, 10),
            file("src/kernel/src/master/put_tests.rs", 0, 1_000),
            file("src/kernel/tests/threads.rs", 0, 1_000),
            file("src/wire/src/frame.rs", 0, 1_000),
        ]});
        assert_eq!(count(&report, "src/kernel/src"), (9, 10));
        assert_eq!(count(&json!({}), "src/kernel/src"), (0, 0));
    }

    #[test]
    fn ninety_percent_are_too_few() {
        let share = |covered| Share { package: "x", covered, lines: 1_000 };
        let (tally, notes) = summary(&[share(900), share(901)]);
        assert_eq!((tally.to_string().as_str(), notes.len()), ("1 passed, 1 failed", 1));
        assert!(notes[0].starts_with("x: 90.0 % of 1000 lines"), "{notes:?}");
    }
}
