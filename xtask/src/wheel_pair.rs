//! Two unchanged stock command lines with --enable_ha: they form a pair through etcd, one is killed, the wheel goes on.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::{Owned, free_port};
use crate::run;
use crate::wheel_cases::{Master, compared, play, until};

/// What both lines say, besides their ports.
pub(crate) const LINE: &[&str] = &[
    "mooncake-master",
    "--enable_ha=true",
    "--enable_oplog=true",
    "--rpc_address=127.0.0.1",
    "--enable_http_metadata_server=true",
    "--http_metadata_server_host=127.0.0.1",
    "--default_kv_lease_ttl=1s",
];

/// Runs a script against such a pair; returns what is wrong.
pub(crate) fn run(binary: &Path, python: &Path, script: &str) -> Result<Vec<String>> {
    let etcd = Etcd::start()?;
    let (a, b) = (Line::new()?, Line::new()?);
    let mut primary = a.start(binary, &etcd)?;
    // The first to come founds the cluster.
    until(binary, &primary.grpc, |line| line["nodes"][0]["role"] == "primary")?;
    let mut standby = b.start(binary, &etcd)?;
    until(binary, &primary.grpc, |line| line["verdict"] == "ok")?;
    let metadata = format!("{},{}", a.metadata_address(), b.metadata_address());
    let kill = || {
        primary.process.0.kill()?;
        primary.process.0.wait()?;
        Ok(())
    };
    let mut reasons = play(script, python, &[&format!("etcd://{}", etcd.address), &metadata], kill)?;
    reasons.extend(standby.ended()?);
    if !reasons.is_empty() {
        return Ok(reasons);
    }
    // By the same line, the one that was killed is a standby.
    let mut again = a.start(binary, &etcd)?;
    until(binary, &standby.grpc, |line| line["verdict"] == "ok")?;
    reasons.extend(compared(binary, &standby.grpc)?);
    reasons.extend(again.ended()?);
    Ok(reasons)
}

/// One of the lines.
pub(crate) struct Line {
    rpc: u16,
    metrics: u16,
    metadata: u16,
}

impl Line {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { rpc: free_pair()?, metrics: free_port()?, metadata: free_port()? })
    }

    pub(crate) fn metadata_address(&self) -> String {
        format!("127.0.0.1:{}", self.metadata)
    }

    pub(crate) fn start(&self, binary: &Path, etcd: &Etcd) -> Result<Master> {
        let mut line = Command::new(binary);
        line.args(LINE).arg(format!("--etcd_endpoints=http://{}", etcd.address));
        line.arg(format!("--rpc_port={}", self.rpc)).arg(format!("--metrics_port={}", self.metrics));
        line.arg(format!("--http_metadata_server_port={}", self.metadata));
        Master::spawn(line)
    }
}

/// A port of which the next is free, too: it will be that for peers.
fn free_pair() -> Result<u16> {
    for _ in 0..100 {
        let port = free_port()?;
        if port.checked_add(1).is_some_and(|next| TcpListener::bind(("127.0.0.1", next)).is_ok()) {
            return Ok(port);
        }
    }
    anyhow::bail!("no two ports side by side are free")
}

/// An etcd of one member.
pub(crate) struct Etcd {
    pub(crate) address: String,
    _process: Owned,
    _folder: TempDir,
}

impl Etcd {
    /// Started; nodes wait for it to answer.
    pub(crate) fn start() -> Result<Self> {
        crate::etcd::present()?;
        let folder = tempfile::tempdir().context("cannot make a folder for etcd")?;
        let (address, peers) = (format!("127.0.0.1:{}", free_port()?), format!("127.0.0.1:{}", free_port()?));
        let (url, peer_url) = (format!("http://{address}"), format!("http://{peers}"));
        let mut etcd = Command::new("etcd");
        etcd.arg("--data-dir").arg(folder.path().join("data"));
        etcd.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        etcd.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
        etcd.args(["--initial-cluster", &format!("default={peer_url}")]);
        etcd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        eprintln!("$ {}", run::show(&etcd));
        let mut process = Owned(etcd.spawn().context("cannot start etcd")?);
        ensure!(process.0.try_wait()?.is_none(), "etcd ended at once");
        Ok(Self { address, _process: process, _folder: folder })
    }
}
