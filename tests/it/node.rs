//! A node as a process, and the few calls that tests make of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use standfast_proto::v1;
use standfast_proto::v1::admin_client::AdminClient;
use standfast_proto::v1::master_client::MasterClient;
use standfast_proto::v1::status_client::StatusClient;
use tonic::transport::Channel;

/// Generous: a safety limit, not a measurement.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const CLIENT: v1::Uuid = v1::Uuid { first: 7, second: 9 };

pub(crate) struct Node {
    child: Child,
    pub(crate) addr: String,
    /// Address of the Mooncake port; empty when it has none.
    pub(crate) mooncake: String,
    /// Address of the HTTP port.
    pub(crate) http: String,
    /// Address of the transfer metadata server; empty when it has none.
    pub(crate) transfer_metadata: String,
}

impl Node {
    pub(crate) fn start(flags: &str) -> Self {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_standfast")), flags)
    }

    /// A node whose system allows it so many file descriptors.
    pub(crate) fn start_with_files(files: u32, flags: &str) -> Self {
        let mut shell = Command::new("sh");
        let limited = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        shell.args(["-c", &limited, env!("CARGO_BIN_EXE_standfast")]);
        Self::start_as(shell, flags)
    }

    /// A node that writes its log into this file.
    pub(crate) fn start_logged(log: &std::path::Path, flags: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
        command.arg("serve").args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command.args(flags.split_whitespace());
        Self::start_logged_as(log, command)
    }

    /// The same, with its whole command line.
    pub(crate) fn start_logged_as(log: &std::path::Path, mut command: Command) -> Self {
        command.stderr(std::fs::File::create(log).expect("a file"));
        Self::spawn(command)
    }

    fn start_as(mut command: Command, flags: &str) -> Self {
        command.arg("serve").args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command.args(flags.split_whitespace());
        Self::start_words(command)
    }

    /// A node whose whole command line is given.
    pub(crate) fn start_words(mut command: Command) -> Self {
        command.stderr(Stdio::null());
        Self::spawn(command)
    }

    /// Where a former process of it listened: the address that a record names.
    pub(crate) fn start_at(addr: &str, flags: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
        command.arg("serve").args(["--grpc", addr, "--http", "127.0.0.1:0"]);
        command.args(flags.split_whitespace());
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line when ready");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("one JSON line");
        assert_eq!((&ready["schema"], &ready["pid"]), (&1.into(), &child.id().into()));
        let addr = ready["grpc"].as_str().expect("its address").to_owned();
        let mooncake = ready["mooncake"].as_str().unwrap_or_default().to_owned();
        let http = ready["http"].as_str().unwrap_or_default().to_owned();
        let transfer_metadata = ready["transfer_metadata"].as_str().unwrap_or_default().to_owned();
        Self { child, addr, mooncake, http, transfer_metadata }
    }

    /// A primary and an in-sync standby.
    pub(crate) async fn pair(flags: &str) -> (Self, Self) {
        let a = Self::start(&format!("--node a --role primary {flags}"));
        let b = Self::start(&format!("--node b --role standby --peer {} {flags}", a.addr));
        b.until("in sync", |s| s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes)).await;
        (a, b)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self::signal(Pid::from_raw(self.child.id() as i32), signal);
    }

    /// How the process ended, once it has.
    pub(crate) async fn ended(&mut self) -> std::process::ExitStatus {
        let waiting = async {
            let mut again = tokio::time::interval(Duration::from_millis(10));
            loop {
                if let Some(status) = self.child.try_wait().expect("a child of this process") {
                    return status;
                }
                again.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it ends")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id());
        let statm = std::fs::read_to_string(path).expect("the process is there");
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("pages") * 4096
    }

    /// The most memory that it ever had.
    pub(crate) fn peak_resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the process is there");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
        peak.trim().trim_end_matches(" kB").parse::<u64>().expect("kibibytes") << 10
    }

    async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.addr)).expect("an address");
        endpoint.timeout(PATIENCE).connect().await.expect("the node listens")
    }

    pub(crate) async fn master(&self) -> MasterClient<Channel> {
        MasterClient::new(self.channel().await)
    }

    pub(crate) async fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel().await)
    }

    pub(crate) async fn status(&self, recount: bool) -> v1::NodeStatus {
        let mut client = StatusClient::new(self.channel().await);
        let request = v1::GetStatusRequest { recount, events_after: None };
        client.get_status(request).await.expect("status is always answered").into_inner()
    }

    /// Watches the status until it is as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&v1::NodeStatus) -> bool) -> v1::NodeStatus {
        let mut client = StatusClient::new(self.channel().await);
        let request = v1::WatchStatusRequest { interval_ms: 20, events_after: None };
        let mut updates = client.watch_status(request).await.expect("a stream").into_inner();
        let watch = async {
            loop {
                let update = updates.message().await.expect("the node lives").expect("the stream goes on");
                let status = update.status.expect("an update carries a status");
                if wanted(&status) {
                    return status;
                }
            }
        };
        let watched = tokio::time::timeout(PATIENCE, watch).await;
        watched.map_err(|_| format!("never: {what}")).expect("in time")
    }

    /// What both nodes hold at one position. The primary goes on freeing what has waited, so
    /// they are asked until their answers meet.
    pub(crate) async fn compared_with(&self, other: &Self) -> (v1::Store, v1::Store) {
        // On the heap: it holds four whole answers.
        let meet = Box::pin(async {
            loop {
                let before = (self.status(false).await, other.status(false).await);
                let (ours, theirs) = (self.status(true).await, other.status(true).await);
                // Homes are counted one by one: what is applied meanwhile may be in one and not in another.
                let still = applied(&before.0) == applied(&ours) && applied(&before.1) == applied(&theirs);
                if still && applied(&ours) == applied(&theirs) {
                    return (ours.store.expect("store"), theirs.store.expect("store"));
                }
            }
        });
        tokio::time::timeout(PATIENCE, meet).await.expect("the copies meet in time")
    }

    pub(crate) async fn promote(&self) -> v1::PromoteReply {
        let request = v1::PromoteRequest {
            actor: "test".into(),
            reason: "a test".into(),
            dry_run: false,
            start_empty: false,
            accept_loss_entries: None,
        };
        self.admin().await.promote(request).await.expect("answered").into_inner()
    }
}

/// Sends a child of this process a signal; a stop has taken effect when this returns.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    kill(pid, signal).expect("the process is there");
    if signal == Signal::SIGSTOP {
        // A signal is sent at once and takes effect some time later.
        let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).expect("it is a child of this process");
        assert_eq!(stopped, WaitStatus::Stopped(pid, Signal::SIGSTOP));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process, too. Gone already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn segment(id: u64, size: u64) -> v1::MountSegmentRequest {
    v1::MountSegmentRequest {
        client: Some(CLIENT),
        segment: Some(v1::Segment {
            id: Some(v1::Uuid { first: id, second: 0 }),
            name: format!("host-{id}:1"),
            base: id << 40,
            size,
            te_endpoint: format!("host-{id}:1"),
            protocol: String::new(),
            host_id: String::new(),
        }),
    }
}

pub(crate) fn start(keys: &[&'static str]) -> v1::PutStartRequest {
    let items = keys.iter().map(|k| v1::PutStartItem { key: (*k).into(), size: 100 });
    v1::PutStartRequest { client: Some(CLIENT), config: None, items: items.collect(), tenant: String::new() }
}

pub(crate) fn end(keys: &[&'static str]) -> v1::PutEndRequest {
    let items = keys.iter().map(|k| v1::PutEndItem { key: (*k).into(), checksum: Some(5) });
    v1::PutEndRequest { client: Some(CLIENT), items: items.collect(), tenant: String::new() }
}

pub(crate) fn get(keys: &[&'static str]) -> v1::GetReplicaListRequest {
    let keys = keys.iter().map(|k| (*k).into()).collect();
    v1::GetReplicaListRequest { keys, tenant: String::new() }
}

/// The refusal that a failed call carries.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> (tonic::Code, v1::Refusal) {
    let status = answer.expect_err("a refusal");
    let refusal = v1::Refusal::from_status(&status)
        .ok_or_else(|| format!("no detail in {status:?}"))
        .expect("a detail");
    (status.code(), refusal)
}

fn applied(status: &v1::NodeStatus) -> u64 {
    status.positions.as_ref().expect("positions").applied
}
