//! `cargo xtask dashboards`: writes `dashboards/` from the generator in the binary. And the programs and types that
//! judge what it writes.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};

use crate::run::{self, root};

const FOLDER: &str = "dashboards";

/// Prometheus and promtool, and Alertmanager's amtool.
const PROGRAMS: [&str; 3] = ["prometheus", "promtool", "amtool"];
/// The Debian packages that have them.
const PACKAGES: [&str; 2] = ["prometheus", "prometheus-alertmanager"];

/// Grafana's published types of its dashboards, from PyPI. The epoch stands for Grafana's own version.
const TYPES: &str = "grafana-foundation-sdk==1769699998!10.1.0";
/// Reads dashboards with them.
const CHECK: &str = "tests/grafana/schema.py";

/// Writes the folder, with these settings.
pub(crate) fn run(set: &[String]) -> Result<ExitCode> {
    let mut write = Command::new(run::build_binary()?);
    write.args(["dashboards", "write", FOLDER]).current_dir(root());
    write.args(set.iter().flat_map(|given| ["--set", given]));
    Ok(if run::status(write)?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether rules could be checked and tried; else how to cure that.
fn present() -> Result<()> {
    for program in PROGRAMS {
        let mut probe = Command::new(program);
        probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let cure = format!("cure: cargo xtask setup, or apt-get install {}", PACKAGES.join(" "));
        ensure!(probe.status().is_ok(), "{program} is not installed; {cure}");
    }
    Ok(())
}

/// Installs the packages unless the programs are there already.
pub(crate) fn install() -> Result<()> {
    if present().is_ok() {
        return Ok(());
    }
    run::apt_install(&PACKAGES).context("rules are checked with promtool and tried with Prometheus")?;
    present()
}

/// The command that compares the dashboards with Grafana's types; installs them where they are missing.
pub(crate) fn schema_command() -> Result<Command> {
    let mut check = Command::new(python()?);
    check.args([CHECK, FOLDER]).current_dir(root());
    Ok(check)
}

/// An interpreter that has Grafana's types.
fn python() -> Result<PathBuf> {
    let venv = root().join("target/venv-grafana");
    let python = venv.join("bin/python");
    let has_types = || {
        let mut probe = Command::new(&python);
        probe.args(["-c", "import grafana_foundation_sdk.models.dashboard"]).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    if !has_types() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&venv);
        let made = run::status(make).context("python3 is needed; cure: apt-get install python3-venv")?;
        ensure!(made.success(), "cannot make {}; cure: apt-get install python3-venv", venv.display());
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", TYPES]);
        ensure!(run::status(pip)?.success(), "cannot install {TYPES}; cure: give pip access to an index");
    }
    ensure!(has_types(), "{TYPES} is installed, but cannot be imported");
    Ok(python)
}
