//! The released Mooncake client, from the Python wheel: where it lives, and how it gets there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::run::{self, root};

/// Its name where wheels are published.
const NAME: &str = "mooncake-transfer-engine-non-cuda";
/// The releases that the support table shows, newest first. The first is what everything else is tested against.
pub(crate) const VERSIONS: [&str; 3] = ["0.3.13.post1", "0.3.13", "0.3.12.post1"];
/// Debian packages of the shared libraries that it loads.
const LIBRARIES: [&str; 3] = ["libibverbs1", "librdmacm1", "libnuma1"];

/// The interpreter that has the release that is tested against; makes the environment when it is not there.
pub(crate) fn python() -> Result<PathBuf> {
    python_with(VERSIONS[0])
}

/// The interpreter that has this release of the wheel.
pub(crate) fn python_with(version: &str) -> Result<PathBuf> {
    let folder = if version == VERSIONS[0] { "venv".to_owned() } else { format!("venv-{version}") };
    let venv = root().join("target").join(folder);
    let python = venv.join("bin/python");
    if has_wheel(&python, version) {
        return Ok(python);
    }
    let wheel = format!("{NAME}=={version}");
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&venv);
    let made = run::status(make).context("python3 is needed; cure: apt-get install python3-venv")?;
    ensure!(made.success(), "cannot make {}; cure: apt-get install python3-venv", venv.display());
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", &wheel]);
    ensure!(run::status(install)?.success(), "cannot install {wheel}; cure: give pip access to an index");
    if !has_wheel(&python, version) {
        // The wheel links against these even where no such hardware is.
        run::apt_install(&LIBRARIES).with_context(|| format!("{wheel} needs shared libraries"))?;
    }
    ensure!(has_wheel(&python, version), "{wheel} is installed, but cannot be imported");
    Ok(python)
}

fn has_wheel(python: &Path, version: &str) -> bool {
    let program = format!(
        "import mooncake.store, importlib.metadata as m; raise SystemExit(m.version('{NAME}') != '{version}')"
    );
    let mut probe = Command::new(python);
    probe.args(["-c", &program]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
