//! `cargo xtask e2e wheel`: the released Mooncake client, from the Python wheel,
//! against the debug binary. The wheel lives in `target/venv`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::run::{self, Stopwatch, build_binary, pause, root};

/// What is tested against, exactly.
const WHEEL: &str = "mooncake-transfer-engine-non-cuda==0.3.13.post1";
/// Debian packages of the shared libraries that it loads.
const LIBRARIES: [&str; 3] = ["libibverbs1", "librdmacm1", "libnuma1"];
const SMOKE: &str = "tests/wheel/smoke.py";
/// A safety limit for a loaded machine, not a figure.
const SMOKE_LIMIT: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The interpreter that has the wheel; makes the environment when it is not there.
pub(crate) fn python() -> Result<PathBuf> {
    let venv = root().join("target/venv");
    let python = venv.join("bin/python");
    if has_wheel(&python) {
        return Ok(python);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&venv);
    let made = run::status(make).context("python3 is needed; cure: apt-get install python3-venv")?;
    ensure!(made.success(), "cannot make {}; cure: apt-get install python3-venv", venv.display());
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", WHEEL]);
    ensure!(run::status(install)?.success(), "cannot install {WHEEL}; cure: give pip access to an index");
    if !has_wheel(&python) {
        // The wheel links against these even where no such hardware is.
        run::apt_install(&LIBRARIES).with_context(|| format!("{WHEEL} needs shared libraries"))?;
    }
    ensure!(has_wheel(&python), "{WHEEL} is installed, but cannot be imported");
    Ok(python)
}

fn has_wheel(python: &Path) -> bool {
    let (name, version) = WHEEL.split_once("==").unwrap_or((WHEEL, ""));
    let program = format!(
        "import mooncake.store, importlib.metadata as m; raise SystemExit(m.version('{name}') != '{version}')"
    );
    let mut probe = Command::new(python);
    probe.args(["-c", &program]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Runs the smoke test once against a master of its own; returns what is wrong.
pub(crate) fn smoke(python: &Path) -> Result<Vec<String>> {
    let mut master = Master::start(&build_binary()?)?;
    let mut smoke = Command::new(python);
    smoke.current_dir(root()).arg(SMOKE).arg(&master.address);
    smoke.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    eprintln!("$ {}", run::show(&smoke));
    let mut child = smoke.spawn().context("cannot start the smoke test")?;
    let watch = Stopwatch::start();
    let ended = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if watch.elapsed() >= SMOKE_LIMIT {
            child.kill()?;
            child.wait()?;
            break None;
        }
        pause(LOOK_EVERY);
    };
    let mut reasons = match ended {
        None => vec![format!("did not end within {} s and was killed", SMOKE_LIMIT.as_secs())],
        Some(status) => {
            let lines = BufReader::new(child.stdout.take().context("piped")?).lines();
            judge(status.success(), lines.map_while(Result::ok).last().as_deref())
        }
    };
    if let Some(status) = master.process.try_wait()? {
        reasons.push(format!("the master ended: {status}"));
    }
    Ok(reasons)
}

/// What is wrong with how the smoke test ended, and with its last line.
fn judge(exit_ok: bool, line: Option<&str>) -> Vec<String> {
    let Some(line) = line.and_then(|line| serde_json::from_str::<Value>(line).ok()) else {
        return vec!["its last line is no JSON: it did not come to its end".to_owned()];
    };
    let reasons = line["reasons"].as_array().into_iter().flatten();
    let mut reasons: Vec<String> = reasons.map(ToString::to_string).collect();
    let sound = exit_ok && line["verdict"] == "ok" && line["wrong"] == 0;
    if reasons.is_empty() && !sound {
        reasons.push(format!("no reasons, but not ok: {line}"));
    }
    if line["gets"].as_u64().unwrap_or(0) == 0 {
        reasons.push("nothing was read".to_owned());
    }
    reasons
}

/// A master with a Mooncake port; it ends with this value.
struct Master {
    process: Child,
    address: String,
}

impl Master {
    fn start(binary: &Path) -> Result<Self> {
        let mut serve = Command::new(binary);
        serve.args(["serve", "--node", "a", "--role", "primary"]);
        serve.args(["--grpc", "127.0.0.1:0", "--mooncake", "127.0.0.1:0"]);
        serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let process = serve.spawn().context("cannot start the master")?;
        let mut master = Self { process, address: String::new() };
        let mut line = String::new();
        let stdout = master.process.stdout.take().context("piped")?;
        BufReader::new(stdout).read_line(&mut line).context("cannot read the master's ready line")?;
        let ready: Value = serde_json::from_str(&line).context("the ready line is no JSON")?;
        match ready["mooncake"].as_str() {
            Some(address) => master.address = address.to_owned(),
            None => bail!("the ready line names no Mooncake port: {line}"),
        }
        Ok(master)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn a_smoke_test_passes_only_when_everything_says_so() {
        let good = r#"{"schema":1,"verdict":"ok","reasons":[],"puts":1,"gets":1,"wrong":0}"#;
        assert_eq!(judge(true, Some(good)), Vec::<String>::new());
        assert_eq!(judge(false, Some(good)).len(), 1, "the exit code counts, too");
        assert_eq!(judge(true, None).len(), 1);
        assert_eq!(judge(true, Some("Segmentation fault")).len(), 1);
        let bad = r#"{"verdict":"bad","reasons":["put x: got -200"],"gets":0,"wrong":0}"#;
        assert_eq!(judge(false, Some(bad)), ["\"put x: got -200\"", "nothing was read"]);
        let wrong = r#"{"verdict":"ok","reasons":[],"gets":3,"wrong":1}"#;
        assert_eq!(judge(true, Some(wrong)).len(), 1);
    }
}
