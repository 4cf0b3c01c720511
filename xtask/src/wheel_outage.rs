//! How long the released Mooncake client gets no good answer while a pair of unchanged stock lines loses its primary.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::failover::Distribution;
use crate::process::Owned;
use crate::run::{self, pause, root};
use crate::wheel;
use crate::wheel_cases::{Master, until};
use crate::wheel_pair::{Etcd, Line};

/// The client runs undisturbed before each fault, unmeasured and measured.
const CALM: Duration = Duration::from_millis(500);

/// Lines of the script that nobody has read yet.
const LINES_MAX: usize = 1024;
/// For the script to answer, which first waits until it is answered itself.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// What is done to the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    CleanStop,
    /// An operator makes the standby the primary; both nodes stay.
    Switchover,
    Kill,
    Freeze,
}

/// A fault, and the client that sees it.
struct Case {
    name: &'static str,
    fault: Fault,
    /// The client's own limit for a call, in place of its 30 s.
    rpc_timeout_ms: Option<u32>,
    /// A client that waits for 30 s is not asked so often, and what it only shows beside a crash neither.
    runs_max: u32,
}

const CASES: [Case; 5] = [
    Case { name: "switchover", fault: Fault::Switchover, rpc_timeout_ms: None, runs_max: 10 },
    Case { name: "clean stop", fault: Fault::CleanStop, rpc_timeout_ms: None, runs_max: 10 },
    Case { name: "kill -9", fault: Fault::Kill, rpc_timeout_ms: None, runs_max: 30 },
    Case { name: "freeze", fault: Fault::Freeze, rpc_timeout_ms: None, runs_max: 3 },
    Case { name: "freeze", fault: Fault::Freeze, rpc_timeout_ms: Some(1000), runs_max: 30 },
];

/// Each case so often; hands in a row of the report each as soon as it is measured.
pub(crate) fn measure(binary: &Path, runs: u32, mut over: impl FnMut(Value) -> Result<()>) -> Result<()> {
    let python = wheel::python()?;
    for case in &CASES {
        let runs = runs.min(case.runs_max);
        let mut seen = Vec::new();
        let ended = play(binary, &python, case, runs, &mut seen);
        let reasons: Vec<String> = ended.err().map(|error| format!("{error:#}")).into_iter().collect();
        over(row(case, &seen, &reasons))?;
    }
    Ok(())
}

fn row(case: &Case, seen: &[Value], reasons: &[String]) -> Value {
    let of = |name: &str| {
        let times: Vec<f64> = seen.iter().filter_map(|line| line[name].as_f64()).collect();
        json!(Distribution::of(&times).map(Distribution::to_json))
    };
    let failed = |name: &str| seen.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
    json!({
        "name": case.name, "rpc_timeout_ms": case.rpc_timeout_ms, "runs": seen.len(), "put_ms": of("put_ms"),
        "get_ms": of("get_ms"), "failed_calls": failed("put_failed") + failed("get_failed"),
        "ok": reasons.is_empty(), "reasons": reasons,
    })
}

fn play(binary: &Path, python: &Path, case: &Case, runs: u32, seen: &mut Vec<Value>) -> Result<()> {
    let etcd = Etcd::start()?;
    let lines = [Line::new()?, Line::new()?];
    let first = lines[0].start(binary, &etcd)?;
    // The first to come founds the cluster.
    until(binary, &first.grpc, |line| line["nodes"][0]["role"] == "primary")?;
    let mut nodes = [first, lines[1].start(binary, &etcd)?];
    until(binary, &nodes[0].grpc, |line| line["verdict"] == "ok")?;
    let mut client = Client::start(python, case, &etcd, &lines)?;
    let mut leads = 0;
    for run in 1..=runs {
        eprintln!("wheel {}: run {run} of {runs}", case.name);
        pause(CALM);
        client.ask("mark", "marked")?;
        pause(CALM);
        strike(binary, case.fault, &mut nodes[leads])?;
        seen.push(client.tell()?);
        match case.fault {
            Fault::Switchover => {}
            Fault::Freeze => signal(&nodes[leads], Signal::SIGCONT)?,
            Fault::Kill | Fault::CleanStop => nodes[leads] = lines[leads].start(binary, &etcd)?,
        }
        leads = 1 - leads;
        if matches!(case.fault, Fault::Kill | Fault::Freeze) {
            resume(binary, &nodes[leads])?;
        }
        until(binary, &nodes[leads].grpc, |line| line["verdict"] == "ok")?;
    }
    client.end()
}

/// An operator has seen it: after a few in a short time no node would take over by itself any more.
fn resume(binary: &Path, primary: &Master) -> Result<()> {
    let mut order = Command::new(binary);
    order.args(["resume", "--reason", "measured", "--json", "--connect", &primary.grpc]);
    let line = run::output_json(order)?;
    ensure!(
        line["accepted"] == true || line["reasons"][0]["code"] == "nothing_to_resume",
        "an operator's word was refused: {line}"
    );
    Ok(())
}

fn strike(binary: &Path, fault: Fault, primary: &mut Master) -> Result<()> {
    match fault {
        Fault::Switchover => {
            let mut order = Command::new(binary);
            order.args(["switchover", "--yes", "--json", "--reason", "measured", "--connect", &primary.grpc]);
            let line = run::output_json(order)?;
            ensure!(line["accepted"] == true, "the switchover was refused: {line}");
            return Ok(());
        }
        Fault::Freeze => return signal(primary, Signal::SIGSTOP),
        Fault::CleanStop => signal(primary, Signal::SIGTERM)?,
        Fault::Kill => signal(primary, Signal::SIGKILL)?,
    }
    primary.process.0.wait()?;
    Ok(())
}

fn signal(node: &Master, what: Signal) -> Result<()> {
    kill(Pid::from_raw(node.process.0.id() as i32), what).context("the node is gone")
}

/// `tests/wheel/outage.py`, which asks all the time.
struct Client {
    _process: Owned,
    stdin: ChildStdin,
    /// Its lines; read by a thread, so that a script that says nothing more cannot stop the suite.
    said: Receiver<String>,
}

impl Client {
    fn start(python: &Path, case: &Case, etcd: &Etcd, lines: &[Line; 2]) -> Result<Self> {
        let metadata = [lines[0].metadata_address(), lines[1].metadata_address()].join(",");
        let mut script = wheel::command(python);
        script.current_dir(root()).arg("tests/wheel/outage.py");
        script.arg(format!("etcd://{}", etcd.address)).arg(metadata).env("PYTHONDONTWRITEBYTECODE", "1");
        if let Some(limit) = case.rpc_timeout_ms {
            script.env("MC_RPC_TIMEOUT_MS", limit.to_string());
        }
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        eprintln!("$ {}", run::show(&script));
        let mut process = Owned(script.spawn().context("cannot start the script")?);
        let stdin = process.0.stdin.take().context("piped")?;
        let stdout = BufReader::new(process.0.stdout.take().context("piped")?);
        let (tx, said) = mpsc::sync_channel(LINES_MAX);
        thread::spawn(move || stdout.lines().map_while(Result::ok).all(|line| tx.send(line).is_ok()));
        let mut client = Self { _process: process, stdin, said };
        client.expect("ready")?;
        Ok(client)
    }

    /// The next line that is the script's own: the engine writes there, too.
    fn expect(&mut self, start: &str) -> Result<String> {
        loop {
            let line = self.said.recv_timeout(ANSWER_LIMIT);
            let line = line.with_context(|| format!("the script says nothing more, expected `{start}`"))?;
            if line.starts_with(start) {
                return Ok(line);
            }
        }
    }

    fn ask(&mut self, word: &str, answer: &str) -> Result<String> {
        writeln!(self.stdin, "{word}").context("the script is gone")?;
        self.expect(answer)
    }

    /// What it saw since its mark, once it is answered again.
    fn tell(&mut self) -> Result<Value> {
        let line = self.ask("tell", "{")?;
        serde_json::from_str(&line).with_context(|| format!("not a line of JSON: {line}"))
    }

    /// That all bytes were right.
    fn end(mut self) -> Result<()> {
        let line = self.ask("end", "{")?;
        let line: Value =
            serde_json::from_str(&line).with_context(|| format!("not a line of JSON: {line}"))?;
        ensure!(line["verdict"] == "ok" && line["wrong"] == 0, "the client says {line}");
        Ok(())
    }
}

#[test]
fn a_row_counts_what_was_seen_and_unknown_is_null() {
    let seen = |ms: f64| json!({"put_ms": ms, "get_ms": ms / 2.0, "put_failed": 2, "get_failed": 1});
    let of = row(&CASES[2], &[seen(600.0), seen(500.0)], &[]);
    assert_eq!((&of["runs"], &of["failed_calls"], &of["ok"]), (&json!(2), &json!(6), &json!(true)));
    assert_eq!((&of["put_ms"]["max"], &of["get_ms"]["p50"]), (&json!(600.0), &json!(250.0)));
    let none = row(&CASES[1], &[], &["no etcd".to_owned()]);
    assert!(none["put_ms"].is_null() && none["ok"] == false, "{none}");
}
