//! The masters of a run: ours, alone or with a standby, and the stock one. Each is stopped when it is dropped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{Owned, free_port};
use crate::run::{Stopwatch, output_json, pause};
use crate::wheel;

const READY_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A primary and, unless it is alone, its standby.
pub(super) struct Cluster {
    pub(super) grpc: String,
    pub(super) mooncake: String,
    pub(super) http: String,
    nodes: Vec<Owned>,
}

impl Cluster {
    pub(super) fn alone(binary: &Path, flags: &[&str]) -> Result<Self> {
        let (a, ready) = node(binary, &[&["--node", "a", "--role", "primary"], flags].concat())?;
        Ok(Self::of(a, &ready))
    }

    /// With a standby in sync.
    pub(super) fn pair(binary: &Path, flags: &[&str]) -> Result<Self> {
        let mut this = Self::alone(binary, flags)?;
        this.join(binary, flags)?;
        Ok(this)
    }

    fn of(primary: Owned, ready: &Value) -> Self {
        let of = |name: &str| text(ready, name);
        Self { grpc: of("grpc"), mooncake: of("mooncake"), http: of("http"), nodes: vec![primary] }
    }

    /// Adds a standby and waits until it is in sync.
    pub(super) fn join(&mut self, binary: &Path, flags: &[&str]) -> Result<()> {
        self.join_seen(binary, flags, |_| {})
    }

    /// The same; every status until then is shown to `see`.
    pub(super) fn join_seen(
        &mut self,
        binary: &Path,
        flags: &[&str],
        mut see: impl FnMut(&Value),
    ) -> Result<()> {
        let grpc = self.grpc.clone();
        let (b, _) = node(binary, &[&["--node", "b", "--role", "standby", "--peer", &grpc], flags].concat())?;
        self.nodes.push(b);
        self.until(binary, "a standby in sync", |status| {
            see(status);
            let nodes = status["nodes"].as_array().into_iter().flatten();
            nodes.flat_map(|n| n["standbys"].as_array().into_iter().flatten()).any(|s| s["in_sync"] == true)
        })
    }

    /// Waits for a status that is as wanted.
    pub(super) fn until(
        &self,
        binary: &Path,
        what: &str,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<()> {
        let watch = Stopwatch::start();
        loop {
            if self.ask(binary, &["status"]).is_ok_and(|status| wanted(&status)) {
                return Ok(());
            }
            ensure!(watch.elapsed() < READY_WITHIN * 6, "never: {what}");
            pause(LOOK_EVERY);
        }
    }

    /// The line of JSON that a command prints, whatever its exit code.
    pub(super) fn ask(&self, binary: &Path, words: &[&str]) -> Result<Value> {
        let mut command = Command::new(binary);
        command.args(words).args(["--json", "--connect", &self.grpc]);
        output_json(command)
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn node(binary: &Path, words: &[&str]) -> Result<(Owned, Value)> {
    let mut command = Command::new(binary);
    command.args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--mooncake", "127.0.0.1:0"]);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot start a node")?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let process = Owned(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let ready = serde_json::from_str(&line).with_context(|| format!("a node said {line:?} when ready"))?;
    Ok((process, ready))
}

/// The wheel's own master.
pub(super) struct Stock {
    pub(super) addr: String,
    pub(super) pid: u32,
    _process: Owned,
}

impl Stock {
    pub(super) fn start() -> Result<Self> {
        let (rpc, metrics) = (free_port()?, free_port()?);
        // It becomes the program of that name, under the same process id.
        let mut master = wheel::command(&wheel::python()?);
        master.args(["-m", "mooncake.cli", "--minloglevel=2", "--rpc_thread_num=4"]);
        master.args([format!("--rpc_port={rpc}"), format!("--metrics_port={metrics}")]);
        let child = master.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.context("cannot start the stock master")?;
        let (pid, addr) = (child.id(), format!("127.0.0.1:{rpc}"));
        let this = Self { addr, pid, _process: Owned(child) };
        let watch = Stopwatch::start();
        while std::net::TcpStream::connect(&this.addr).is_err() {
            ensure!(watch.elapsed() < READY_WITHIN, "the stock master does not listen on {}", this.addr);
            pause(LOOK_EVERY);
        }
        Ok(this)
    }
}
