//! The processes of the demo: a witness and two nodes of this very binary, and none that survives.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::super::exit::{Exit, Failure};
use super::{Ack, Sabotage};

/// For a node to say that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(15);
/// Lines of a node's stderr that are kept, to explain a failure.
const LOG_LINES_MAX: usize = 12;
pub(super) const CLUSTER: &str = "demo";
/// Where the released client looks unless it is told otherwise.
const MOONCAKE_CLUSTER: &str = "mooncake_cluster";
/// Short, so that removed memory is used again within the run.
const READ_TTL_MS: &str = "1000";

/// A demo is short: more of it is traced than of a service.
const TRACED: &str = "ratio:0.01,slow:100ms,failed";

/// A process of this binary. Dropping it kills it, unless it was told to stay.
struct Process {
    pid: u32,
    child: Child,
    stays: bool,
    log: Arc<Mutex<VecDeque<String>>>,
}

/// A node.
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) addr: String,
    pub(super) pid: u32,
    process: Process,
}

/// The coordinator of the demo: a witness and its file.
pub(super) struct Witness {
    pub(super) addr: String,
    process: Process,
    folder: Option<TempDir>,
}

/// How a node is started.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    /// Where it listens; port 0 takes any.
    pub(super) grpc: String,
    /// Address of the witness that decides who leads.
    pub(super) witness: String,
    pub(super) ack: Ack,
    pub(super) sabotage: Option<Sabotage>,
    /// Its memory is to be damaged.
    pub(super) corrupt: bool,
    /// A person sits in front of it.
    pub(super) hands_on: bool,
    /// It is to outlive the demo, should that come to its end.
    pub(super) keep: bool,
    /// It serves Mooncake's own clients, in a cluster of their own.
    pub(super) mooncake: bool,
    /// Where its spans go.
    pub(super) otlp: Option<String>,
}

/// Any port of this machine.
pub(super) const ANY_PORT: &str = "127.0.0.1:0";

impl Process {
    /// Starts it and waits for its first line, which is JSON and says where it listens.
    async fn start(mut command: Command, keep: bool) -> Result<(Self, Value), String> {
        // A process that stays must not write into a pipe that nobody reads any more.
        let stderr = if keep { Stdio::null() } else { Stdio::piped() };
        let stdin = if keep {
            Stdio::null()
        } else {
            // Nothing is ever written to it: it ends when the demo does, even by SIGKILL.
            command.arg("--exit-with-stdin");
            Stdio::piped()
        };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(stderr);
        // Ctrl-C at the terminal reaches the demo only, which ends its nodes itself.
        command.process_group(0);
        let mut child = command.spawn().map_err(|e| e.to_string())?;
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
        let process = Self { pid: child.id(), child, stays: false, log };
        let line = match tokio::time::timeout(READY_LIMIT, line).await {
            Ok(line) => line.unwrap_or_default(),
            Err(_) => String::new(),
        };
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        if ready.is_null() {
            return Err(format!("it said `{}` and logged: {}", line.trim(), process.last_words()));
        }
        Ok((process, ready))
    }

    /// SIGKILL, and waits until it is gone.
    fn kill(&mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn last_words(&self) -> String {
        let log = self.log.lock();
        if log.is_empty() { "nothing".to_owned() } else { log.iter().cloned().collect::<Vec<_>>().join("\n") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.stays {
            self.kill();
        }
    }
}

impl Witness {
    /// Starts it over a file of its own.
    pub(super) async fn start(keep: bool) -> Result<Self, Failure> {
        let failed = |why: String| Failure::new(Exit::Bad, format!("the witness did not start: {why}"));
        let folder = tempfile::Builder::new().prefix("standfast-demo-").tempdir();
        let folder = folder.map_err(|e| failed(e.to_string()))?;
        let mut command = Command::new(std::env::current_exe().map_err(|e| failed(e.to_string()))?);
        command.args(["witness", "--listen", ANY_PORT, "--file"]).arg(folder.path().join("witness"));
        let (process, ready) = Process::start(command, keep).await.map_err(failed)?;
        let addr = ready["witness"].as_str().unwrap_or_default().to_owned();
        Ok(Self { addr, process, folder: Some(folder) })
    }

    /// It outlives the demo from now on, with its file. Returns its process.
    pub(super) fn stay(&mut self) -> u32 {
        self.process.stays = true;
        let _ = self.folder.take().map(TempDir::keep);
        self.process.pid
    }
}

impl Node {
    /// Starts a process and waits until it listens.
    pub(super) async fn start(plan: &Plan) -> Result<Self, Failure> {
        let failed =
            |why: String| Failure::new(Exit::Bad, format!("node {} did not start: {why}", plan.name));
        let command = command(plan).map_err(|e| failed(e.to_string()))?;
        let (process, ready) = Process::start(command, plan.keep).await.map_err(failed)?;
        let addr = ready["grpc"].as_str().unwrap_or_default().to_owned();
        Ok(Self { name: plan.name, addr, pid: process.pid, process })
    }

    /// SIGKILL, and waits until it is gone.
    pub(super) fn kill(&mut self) {
        self.process.kill();
    }

    /// Whether the process has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.process.child.try_wait(), Ok(None))
    }

    /// It outlives the demo from now on.
    pub(super) fn stay(&mut self) {
        self.process.stays = true;
    }

    pub(super) fn last_words(&self) -> String {
        self.process.last_words()
    }
}

fn command(plan: &Plan) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    let cluster = if plan.mooncake { MOONCAKE_CLUSTER } else { CLUSTER };
    command.args(["serve", "--node", plan.name, "--cluster", cluster]);
    if plan.mooncake {
        command.args(["--mooncake", ANY_PORT]);
    }
    command.arg("--coordinator").arg(format!("witness://{}", plan.witness));
    command.args(["--grpc", &plan.grpc, "--http", ANY_PORT]);
    command.args(["--ack", plan.ack.word(), "--read-ttl-ms", READ_TTL_MS]);
    if let Some(collector) = &plan.otlp {
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
    command.args(super::hands_on::flags(plan));
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
