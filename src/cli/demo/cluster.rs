//! The processes of the demo: two nodes of this very binary, and none that survives.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::oneshot;

use super::super::exit::{Exit, Failure};
use super::{Ack, Sabotage};

/// For a node to say that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(15);
/// Lines of a node's stderr that are kept, to explain a failure.
const LOG_LINES_MAX: usize = 12;
pub(super) const CLUSTER: &str = "demo";
/// Short, so that removed memory is used again within the run.
const READ_TTL_MS: &str = "1000";

/// A demo is short: more of it is traced than of a service.
const TRACED: &str = "ratio:0.01,slow:100ms,failed";

/// One process. Dropping it kills it, unless it was told to stay.
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) addr: String,
    pub(super) pid: u32,
    child: Child,
    stays: bool,
    log: Arc<Mutex<VecDeque<String>>>,
}

/// How a node is started.
pub(super) struct Plan<'a> {
    pub(super) name: &'static str,
    /// Whom to follow. `None` makes it the primary.
    pub(super) peer: Option<&'a str>,
    pub(super) ack: Ack,
    pub(super) sabotage: Option<Sabotage>,
    /// Its memory is to be damaged.
    pub(super) corrupt: bool,
    /// It is to outlive the demo, should that come to its end.
    pub(super) keep: bool,
    /// Where its spans go.
    pub(super) otlp: Option<&'a str>,
}

impl Node {
    /// Starts a process and waits until it listens.
    pub(super) async fn start(plan: Plan<'_>) -> Result<Self, Failure> {
        let failed =
            |why: String| Failure::new(Exit::Bad, format!("node {} did not start: {why}", plan.name));
        let mut child =
            command(&plan).and_then(|mut command| command.spawn()).map_err(|e| failed(e.to_string()))?;
        let (said, line) = oneshot::channel();
        let stdout = child.stdout.take();
        let log = Arc::new(Mutex::new(VecDeque::new()));
        // Each reader ends with the child, which closes its end.
        std::thread::spawn(move || {
            let mut first = String::new();
            let _ = stdout.map(|out| BufReader::new(out).read_line(&mut first));
            let _ = said.send(first);
        });
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || keep_last(BufReader::new(stderr), &log));
        }
        // From here on every way out kills it.
        let pid = child.id();
        let mut node = Self { name: plan.name, addr: String::new(), pid, child, stays: false, log };
        let line = match tokio::time::timeout(READY_LIMIT, line).await {
            Ok(line) => line.unwrap_or_default(),
            Err(_) => String::new(),
        };
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(addr) = ready["grpc"].as_str() else {
            return Err(failed(format!("it said `{}` and logged: {}", line.trim(), node.last_words())));
        };
        addr.clone_into(&mut node.addr);
        Ok(node)
    }

    /// SIGKILL, and waits until it is gone.
    pub(super) fn kill(&mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether the process has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// It outlives the demo from now on.
    pub(super) fn stay(&mut self) {
        self.stays = true;
    }

    pub(super) fn last_words(&self) -> String {
        let log = self.log.lock();
        if log.is_empty() { "nothing".to_owned() } else { log.iter().cloned().collect::<Vec<_>>().join("\n") }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !self.stays {
            self.kill();
        }
    }
}

fn command(plan: &Plan<'_>) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    let role = if plan.peer.is_some() { "standby" } else { "primary" };
    command.args(["serve", "--node", plan.name, "--cluster", CLUSTER, "--role", role]);
    command.args([
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--ack",
        plan.ack.word(),
        "--read-ttl-ms",
        READ_TTL_MS,
    ]);
    if let Some(peer) = plan.peer {
        command.args(["--peer", peer]);
    }
    if let Some(collector) = plan.otlp {
        command.args(["--otlp", collector, "--trace-sample", TRACED]);
    }
    if let Some(sabotage) = plan.sabotage {
        command.args(["--enable-lab", "--sabotage", sabotage.word()]);
        // The demo itself is to notice it.
        command.args(["--verify-repair", "false"]);
    }
    if plan.corrupt {
        command.args(["--enable-lab", "--verify-recount-ms", "1000"]);
    }
    // A node that stays must not write into a pipe that nobody reads any more.
    let stderr = if plan.keep { Stdio::null() } else { Stdio::piped() };
    let stdin = if plan.keep {
        Stdio::null()
    } else {
        // Nothing is ever written to it: it ends when the demo does, even by SIGKILL.
        command.arg("--exit-with-stdin");
        Stdio::piped()
    };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(stderr);
    // Ctrl-C at the terminal reaches the demo only, which ends its nodes itself.
    command.process_group(0);
    Ok(command)
}

fn keep_last(stderr: impl BufRead, log: &Mutex<VecDeque<String>>) {
    for line in stderr.lines().map_while(Result::ok) {
        let mut log = log.lock();
        if log.len() == LOG_LINES_MAX {
            log.pop_front();
        }
        log.push_back(line);
    }
}
