//! A process of a cluster under test, and what it says.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::process::Owned;
use crate::run::{Stopwatch, pause};

/// For a line that a process is to say.
const LINE_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) rss_kib: u64,
    pub(crate) descriptors: u64,
}

impl Usage {
    pub(crate) fn to_json(self) -> Value {
        json!({"rss_kib": self.rss_kib, "descriptors": self.descriptors})
    }
}

/// A process; it ends with this value.
pub(crate) struct Process {
    child: Owned,
    lines: Option<Receiver<Value>>,
}

impl Process {
    pub(crate) fn spawn(mut command: Command, log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().context("piped")?;
        let (said, lines) = mpsc::sync_channel(10_000);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_default();
                if said.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child: Owned(child), lines: Some(lines) })
    }

    /// What it holds of this machine: resident memory and open descriptors. `None` once it is gone.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let of = format!("/proc/{}", self.child.0.id());
        let status = std::fs::read_to_string(format!("{of}/status")).ok()?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let rss_kib = rss.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(Usage { rss_kib, descriptors: std::fs::read_dir(format!("{of}/fd")).ok()?.count() as u64 })
    }

    /// Its next line.
    pub(crate) fn line(&self) -> Result<Value> {
        self.line_within(LINE_LIMIT)
    }

    /// The same, if it may take longer or must not.
    pub(crate) fn line_within(&self, limit: Duration) -> Result<Value> {
        let lines = self.lines.as_ref().context("its lines are read")?;
        lines.recv_timeout(limit).context("it said nothing")
    }

    /// The lines that it has said since the last look.
    pub(crate) fn said(&self) -> Vec<Value> {
        self.lines.iter().flat_map(|lines| lines.try_iter()).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.0.id() as i32), signal).context("the process is gone")
    }

    /// Asks it to end and waits until it has; SIGKILL ends a frozen one, too.
    pub(crate) fn end(&mut self, signal: Signal) -> Result<()> {
        self.signal(signal)?;
        let watch = Stopwatch::start();
        while self.child.0.try_wait()?.is_none() {
            ensure!(watch.elapsed() < LINE_LIMIT, "it did not end after {signal}");
            pause(LOOK_EVERY);
        }
        Ok(())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.0.try_wait(), Ok(None))
    }
}

#[test]
fn a_process_has_memory_and_descriptors_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sleep");
    command.arg("60");
    let mut process = Process::spawn(command, &folder.path().join("log")).unwrap();
    let usage = process.usage().unwrap();
    assert!(usage.rss_kib > 0 && usage.descriptors >= 3, "{usage:?}");
    process.end(Signal::SIGKILL).unwrap();
    assert!(process.has_ended() && process.usage().is_none());
}
