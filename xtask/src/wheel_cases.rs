//! `cargo xtask e2e wheel` and `wheels`: the released Mooncake client against the debug binary, every byte read back.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::Owned;
use crate::run::{self, Stopwatch, build_binary, pause, root};
use crate::{wheel, wheel_pair};

/// A safety limit for a loaded machine, not a figure.
const LIMIT: Duration = Duration::from_secs(300);
/// For both copies to stand at one position once the clients are gone.
const QUIET_LIMIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Lines that a script may say before they are read.
const LINES_MAX: usize = 1024;

/// One script against one way to run a master.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    script: &'static str,
    /// Of the master.
    words: &'static [&'static str],
    masters: Masters,
    /// Only where everything is run.
    full: bool,
}

/// Which masters a case runs against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Masters {
    One,
    /// A standby is attached; afterwards the two are compared.
    WithStandby,
    /// Two unchanged lines with --enable_ha, of which one is killed.
    Pair,
    /// Those of `standfast demo --mooncake`, which runs a script of its own.
    Demo,
}

/// As `serve` takes it.
const SERVE: &[&str] =
    &["serve", "--grpc", "127.0.0.1:0", "--mooncake", "127.0.0.1:0", "--http", "127.0.0.1:0"];
/// As a stock master takes it: what has to run out does so soon. Port 0 is any, here and there.
const STOCK: &[&str] = &[
    "mooncake-master",
    "--port=0",
    "-rpc_address",
    "127.0.0.1",
    "--metrics_port=0",
    "--default_kv_lease_ttl=1s",
    "--client_ttl=5",
    "--put_start_discard_timeout_sec=1",
    "--put_start_release_timeout_sec=3",
    "--logtostderr",
];

const DEMO: &[&str] = &["demo", "--mooncake", "--headless", "--duration", "20s", "--json"];

const CASES: &[Case] = &[
    Case { name: "smoke", script: "smoke.py", words: SERVE, masters: Masters::One, full: false },
    Case { name: "stock command line", script: "basic.py", words: STOCK, masters: Masters::One, full: false },
    Case {
        name: "stock pair, failover",
        script: "failover.py",
        words: wheel_pair::LINE,
        masters: Masters::Pair,
        full: false,
    },
    Case { name: "demo", script: "", words: DEMO, masters: Masters::Demo, full: true },
    Case { name: "suite", script: "suite.py", words: STOCK, masters: Masters::One, full: true },
    Case {
        name: "suite with a standby",
        script: "suite.py",
        words: STOCK,
        masters: Masters::WithStandby,
        full: true,
    },
];

/// The cases of a suite.
pub(crate) fn cases(full: bool) -> impl Iterator<Item = &'static Case> {
    CASES.iter().filter(move |case| full || !case.full)
}

/// Runs a case once against a master of its own; returns what is wrong.
pub(crate) fn run(case: &Case, python: &Path) -> Result<Vec<String>> {
    let binary = build_binary()?;
    match case.masters {
        Masters::Pair => return wheel_pair::run(&binary, python, case.script),
        Masters::Demo => return demo(&binary),
        Masters::One | Masters::WithStandby => {}
    }
    let mut primary = Master::start(&binary, case.words, None)?;
    let mut standby = match case.masters {
        Masters::WithStandby => Some(Master::start(&binary, case.words, Some(&primary.grpc))?),
        Masters::One | Masters::Pair | Masters::Demo => None,
    };
    if standby.is_some() {
        until(&binary, &primary.grpc, |line| line["verdict"] == "ok")?;
    }
    let mut reasons = script(case.script, python, &primary.address)?;
    if let Some(standby) = &mut standby {
        reasons.extend(compared(&binary, &primary.grpc)?);
        reasons.extend(standby.ended()?);
    }
    reasons.extend(primary.ended()?);
    Ok(reasons)
}

/// What is wrong with a demo beside which the client ran.
fn demo(binary: &Path) -> Result<Vec<String>> {
    let mut command = Command::new(binary);
    command.args(DEMO).stdin(Stdio::null()).stderr(Stdio::null());
    eprintln!("$ {}", run::show(&command));
    let line = run::output_json(command)?;
    let seen = &line["mooncake"];
    eprintln!("{seen}");
    let sound = line["verdict"] == "ok" && seen["wrong"] == 0;
    let busy = ["puts", "gets"].iter().all(|name| seen[name].as_u64() > Some(0));
    Ok(if sound && busy { Vec::new() } else { vec![line.to_string()] })
}

/// A row of the support table: what is wrong with a release.
pub(crate) fn release(version: &str) -> Result<Vec<String>> {
    let python = wheel::python_with(version)?;
    let mut master = Master::start(&build_binary()?, STOCK, None)?;
    let mut reasons = script("basic.py", &python, &master.address)?;
    reasons.extend(master.ended()?);
    Ok(reasons)
}

/// Runs a script; returns what is wrong with how it ended.
fn script(name: &str, python: &Path, master: &str) -> Result<Vec<String>> {
    play(name, python, &[master], || bail!("nobody is to be killed in {name}"))
}

/// The same with these words; when it asks for that, `kill` does something to the masters.
pub(crate) fn play(
    name: &str,
    python: &Path,
    words: &[&str],
    mut kill: impl FnMut() -> Result<()>,
) -> Result<Vec<String>> {
    let mut command = wheel::command(python);
    command.current_dir(root()).arg(Path::new("tests/wheel").join(name)).args(words);
    // Its own folder is not written to.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    eprintln!("$ {}", run::show(&command));
    let mut child = Owned(command.spawn().context("cannot start the script")?);
    let (mut stdin, stdout) =
        (child.0.stdin.take().context("piped")?, child.0.stdout.take().context("piped")?);
    let (said, lines) = mpsc::sync_channel(LINES_MAX);
    // Read while it runs: a full pipe would stop it. It ends with the script.
    std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.into_iter().take_while(|line| said.send(line.clone()).is_ok()).for_each(drop);
    });
    let (watch, mut last) = (Stopwatch::start(), None);
    while watch.elapsed() < LIMIT {
        match lines.recv_timeout(LOOK_EVERY) {
            Ok(line) => {
                eprintln!("{line}");
                if line == "kill" {
                    kill()?;
                    writeln!(stdin, "killed").context("the script is gone")?;
                }
                last = Some(line);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = child.0.wait()?;
                return Ok(judge(status.success(), last.as_deref()));
            }
        }
    }
    Ok(vec![format!("did not end within {} s and was killed", LIMIT.as_secs())])
}

/// What is wrong with how a script ended, and with its last line.
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

/// Both nodes at one position, and what a recount of each gives.
pub(crate) fn compared(binary: &Path, grpc: &str) -> Result<Vec<String>> {
    let same = |line: &Value, what: &str| {
        let nodes = line["nodes"].as_array().map_or(&[][..], Vec::as_slice);
        nodes.len() == 2 && !nodes[0][what].is_null() && nodes[0][what] == nodes[1][what]
    };
    let quiet = |line: &Value| same(line, "tail") && same(line, "applied") && same(line, "recount");
    let line = until(binary, grpc, quiet);
    Ok(match line {
        Ok(line) if same(&line, "digest") => Vec::new(),
        Ok(line) => vec![format!("the digests differ: {line}")],
        Err(why) => vec![format!("the two nodes are not equal: {why}")],
    })
}

/// The status of both nodes, once it is as wanted.
pub(crate) fn until(binary: &Path, grpc: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let watch = Stopwatch::start();
    loop {
        let mut status = Command::new(binary);
        status.args(["status", "--json", "--recount", "--connect", grpc]).stdin(Stdio::null());
        let output = status.stderr(Stdio::null()).output().context("cannot ask for the status")?;
        let line: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if wanted(&line) {
            return Ok(line);
        }
        if watch.elapsed() >= QUIET_LIMIT {
            bail!("after {} s the status is {line}", QUIET_LIMIT.as_secs());
        }
        pause(LOOK_EVERY);
    }
}

/// A master with a Mooncake port; it ends with this value.
pub(crate) struct Master {
    pub(crate) process: Owned,
    address: String,
    pub(crate) grpc: String,
}

impl Master {
    /// Runs `words`; it follows `peer` where there is one.
    fn start(binary: &Path, words: &[&str], peer: Option<&str>) -> Result<Self> {
        let mut serve = Command::new(binary);
        serve.args(words);
        let own = match (words.first(), peer) {
            (Some(&"serve"), None) => "--node a --role primary".to_owned(),
            (Some(&"serve"), Some(peer)) => format!("--node b --role standby --peer {peer}"),
            (_, None) => String::new(),
            (_, Some(peer)) => {
                format!("--standfast_node=b --standfast_role=standby --standfast_peer={peer}")
            }
        };
        serve.args(own.split_whitespace());
        Self::spawn(serve)
    }

    /// Waits until it is ready.
    pub(crate) fn spawn(mut serve: Command) -> Result<Self> {
        serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        eprintln!("$ {}", run::show(&serve));
        let process = serve.spawn().context("cannot start the master")?;
        let mut master = Self { process: Owned(process), address: String::new(), grpc: String::new() };
        let mut line = String::new();
        let stdout = master.process.0.stdout.take().context("piped")?;
        BufReader::new(stdout).read_line(&mut line).context("cannot read the master's ready line")?;
        let ready: Value = serde_json::from_str(&line).context("the ready line is no JSON")?;
        match (ready["mooncake"].as_str(), ready["grpc"].as_str()) {
            (Some(address), Some(grpc)) => {
                address.clone_into(&mut master.address);
                grpc.clone_into(&mut master.grpc);
            }
            _ => bail!("the ready line names no Mooncake port: {line}"),
        }
        Ok(master)
    }

    /// That it is gone, if it is.
    pub(crate) fn ended(&mut self) -> Result<Option<String>> {
        Ok(self.process.0.try_wait()?.map(|status| format!("a master ended: {status}")))
    }
}

#[cfg(test)]
mod tests {
    use super::{cases, judge};

    #[test]
    fn a_script_passes_only_when_everything_says_so() {
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

    #[test]
    fn the_quick_cases_are_the_first_of_all() {
        assert_eq!((cases(false).count(), cases(true).count()), (3, 6));
        assert!(cases(true).take(3).zip(cases(false)).all(|(a, b)| a.name == b.name));
    }
}
