//! The released Mooncake client, from the Python wheel: where it lives, and how it gets there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::run::{self, root};

/// Its name where wheels are published.
const NAME: &str = "mooncake-transfer-engine-non-cuda";
/// What everything is tested against, exactly.
const VERSION: &str = "0.3.13.post1";
/// The releases that the support table shows, newest first, each with the first thing that goes wrong, if it does not
/// work. Release 0.3.12.post1 packs the settings of a put in another way: the master says `invalid rpc arg`, as that of
/// 0.3.13.post1 does, and the client makes -900 of it.
pub(crate) const RELEASES: [(&str, Option<&str>); 3] =
    [(VERSION, None), ("0.3.13", None), ("0.3.12.post1", Some("\"put basic-1: got -900, expected 0\""))];
/// Releases before the newest link against it, although they are called non-CUDA.
const CUDA_RUNTIME: &str = "nvidia-cuda-runtime-cu12";
/// Debian packages of the shared libraries that it loads.
const LIBRARIES: [&str; 3] = ["libibverbs1", "librdmacm1", "libnuma1"];

/// The interpreter that has the release that is tested against; makes the environment when it is not there.
pub(crate) fn python() -> Result<PathBuf> {
    python_with(VERSION)
}

/// The interpreter that has this release of the wheel.
pub(crate) fn python_with(version: &str) -> Result<PathBuf> {
    let folder = if version == VERSION { "venv".to_owned() } else { format!("venv-{version}") };
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
    install(&python, &wheel)?;
    if !has_wheel(&python, version) && version != VERSION {
        install(&python, CUDA_RUNTIME)?;
    }
    if !has_wheel(&python, version) {
        // The wheel links against these even where no such hardware is.
        run::apt_install(&LIBRARIES).with_context(|| format!("{wheel} needs shared libraries"))?;
    }
    ensure!(has_wheel(&python, version), "{wheel} is installed, but cannot be imported");
    Ok(python)
}

fn install(python: &Path, package: &str) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", package]);
    ensure!(run::status(pip)?.success(), "cannot install {package}; cure: give pip access to an index");
    Ok(())
}

/// The interpreter, ready to load the wheel beside it.
pub(crate) fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    let libraries = python.parent().and_then(Path::parent).map(|venv| venv.join("lib"));
    let versions = libraries.and_then(|lib| std::fs::read_dir(lib).ok()).into_iter().flatten().flatten();
    let runtimes = versions.map(|version| version.path().join("site-packages/nvidia/cuda_runtime/lib"));
    if let Some(runtime) = runtimes.into_iter().find(|runtime| runtime.is_dir()) {
        command.env("LD_LIBRARY_PATH", runtime);
    }
    command
}

fn has_wheel(python: &Path, version: &str) -> bool {
    let program = format!(
        "import mooncake.store, importlib.metadata as m; raise SystemExit(m.version('{NAME}') != '{version}')"
    );
    let mut probe = command(python);
    probe.args(["-c", &program]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
