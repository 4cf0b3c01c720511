//! Witnesses and etcds as processes.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use standfast_proto::access::SharedAccess;
use tempfile::TempDir;

use crate::node::PATIENCE;

/// A process that ends with this value.
struct Process(Child);

impl Process {
    fn signal(&self, signal: Signal) {
        crate::node::signal(Pid::from_raw(self.0.id() as i32), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process, too. Gone already is fine.
        let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// What both can be asked to do.
pub(crate) trait Server {
    fn address(&self) -> &str;
    /// As `--coordinator` takes it.
    fn url(&self) -> String;
    fn signal(&self, signal: Signal);
    fn kill(&mut self);
    /// After a kill: the same address, the same data.
    async fn restart(&mut self);
}

pub(crate) struct Witness {
    process: Option<Process>,
    pub(crate) address: String,
    folder: TempDir,
    flags: String,
}

impl Witness {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    pub(crate) fn start_with(flags: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (process, address) = Self::spawn("127.0.0.1:0", folder.path().join("witness"), flags);
        Self { process: Some(process), address, folder, flags: flags.to_owned() }
    }

    fn spawn(listen: &str, file: PathBuf, flags: &str) -> (Process, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_standfast"))
            .args(["witness", "--listen", listen, "--file"])
            .arg(file)
            .args(flags.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line when ready");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("one JSON line");
        assert_eq!((&ready["schema"], &ready["pid"]), (&1.into(), &child.id().into()));
        (Process(child), ready["witness"].as_str().expect("its address").to_owned())
    }
}

impl Server for Witness {
    fn url(&self) -> String {
        format!("witness://{}", self.address)
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("it runs").signal(signal);
    }

    fn kill(&mut self) {
        self.process = None;
    }

    async fn restart(&mut self) {
        let (process, address) = Self::spawn(&self.address, self.folder.path().join("witness"), &self.flags);
        assert_eq!(address, self.address);
        self.process = Some(process);
    }
}

pub(crate) struct Etcd {
    process: Option<Process>,
    pub(crate) address: String,
    flags: Vec<String>,
    /// How it is dialled.
    access: SharedAccess,
    _folder: TempDir,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

impl Etcd {
    /// Without etcd, says so and lets the test pass; where nobody reads the
    /// output, that must not pass for a check.
    pub(crate) async fn start_or_skip() -> Option<Self> {
        Self::cluster_or_skip(1).await.and_then(|mut members| members.pop())
    }

    /// One that is reached over TLS, with these flags, by this access.
    pub(crate) async fn start_tls_or_skip(flags: &str, access: SharedAccess) -> Option<Self> {
        Self::members_or_skip(1, flags, access).await.and_then(|mut members| members.pop())
    }

    pub(crate) async fn cluster_or_skip(size: usize) -> Option<Vec<Self>> {
        Self::members_or_skip(size, "", SharedAccess::default()).await
    }

    async fn members_or_skip(size: usize, flags: &str, access: SharedAccess) -> Option<Vec<Self>> {
        let probe =
            Command::new("etcd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if probe.is_err() {
            let why = "skipped: etcd is not installed; cure: cargo xtask setup";
            assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "{why}");
            eprintln!("{why}");
            return None;
        }
        let ports: Vec<(u16, u16)> = (0..size).map(|_| (free_port(), free_port())).collect();
        let peers: Vec<String> = (0..size).map(|n| format!("m{n}=http://127.0.0.1:{}", ports[n].1)).collect();
        let mut members: Vec<Self> =
            (0..size).map(|n| Self::spawn(n, ports[n], &peers.join(","), flags, access.clone())).collect();
        for member in &mut members {
            member.ready().await;
        }
        Some(members)
    }

    fn spawn(n: usize, (client, peer): (u16, u16), peers: &str, more: &str, access: SharedAccess) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data").display().to_string();
        let scheme = if access.get().speaks_tls() { "https" } else { "http" };
        let (client_url, peer_url) =
            (format!("{scheme}://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let flags: Vec<String> = [
            ("--name", format!("m{n}")),
            ("--data-dir", data),
            ("--listen-client-urls", client_url.clone()),
            ("--advertise-client-urls", client_url),
            ("--listen-peer-urls", peer_url.clone()),
            ("--initial-advertise-peer-urls", peer_url),
            ("--initial-cluster", peers.to_owned()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .chain(more.split_whitespace().map(str::to_owned))
        .collect();
        let process = Some(Self::process(&flags));
        Self { process, address: format!("127.0.0.1:{client}"), flags, access, _folder: folder }
    }

    fn process(flags: &[String]) -> Process {
        let mut etcd = Command::new("etcd");
        etcd.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Process(etcd.spawn().expect("etcd starts"))
    }

    /// Waits until it answers: it has a leader then.
    async fn ready(&mut self) {
        use standfast::ports::{Coordinator as _, CoordinatorFault};
        let deadline = std::time::Duration::from_secs(1);
        let probe = super::connect_as(self.access.clone(), "probe", &[&self.address], deadline);
        let waiting = async {
            // A refusal is an answer, too.
            while let Err(why @ CoordinatorFault::NoAnswer { .. }) = probe.read().await {
                let gone = self.process.as_mut().is_none_or(|p| p.0.try_wait().is_ok_and(|s| s.is_some()));
                assert!(!gone, "etcd ended: {why}");
                // Nothing tells of the moment from outside: it is asked until it answers.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("etcd answers");
    }
}

impl Server for Etcd {
    fn url(&self) -> String {
        format!("etcd://{}", self.address)
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("it runs").signal(signal);
    }

    fn kill(&mut self) {
        self.process = None;
    }

    async fn restart(&mut self) {
        self.process = Some(Self::process(&self.flags));
        self.ready().await;
    }
}
