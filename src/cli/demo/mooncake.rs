//! `--mooncake`: the released Mooncake client, unmodified, beside the demo's own load. It finds the primary of a pair of
//! its own, because its memory is real and that of the demo's clients is not, and lives through the same kill.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep_until, timeout};

use super::cluster::{ANY_PORT, Node, Plan, Witness};
use super::takeover;

/// What the client runs.
const PROGRAM: &str = include_str!("mooncake.py");
/// Where the wheel may be: beside the build, or in the system.
const INTERPRETERS: [&str; 2] = ["target/venv/bin/python", "python3"];
const CURE: &str = "cure: cargo xtask setup, or `python3 -m venv target/venv && target/venv/bin/pip install \
                    mooncake-transfer-engine-non-cuda==0.3.13.post1`";
/// Safety limits for a loaded machine.
const FIND_LIMIT: Duration = Duration::from_secs(30);
const READY_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(60);

/// What the client did and saw.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
pub(super) struct WheelFacts {
    /// Its release.
    wheel: String,
    puts: u64,
    gets: u64,
    /// Reads that gave other bytes than were written.
    wrong: u64,
    /// Acknowledged values that were not there at the end.
    missing: u64,
    /// Puts that were acknowledged after the kill.
    after: u64,
}

impl WheelFacts {
    /// Its part of the line. Unknown is null.
    pub(super) fn line(facts: Option<&Self>) -> Value {
        json!({
            "wheel": facts.map(|f| &f.wheel), "puts": facts.map(|f| f.puts), "gets": facts.map(|f| f.gets),
            "wrong": facts.map(|f| f.wrong),
        })
    }

    /// What is wrong with it. In async mode a failover may lose what was acknowledged.
    pub(super) fn faults(&self, is_async: bool, killed: bool) -> Vec<String> {
        let mut faults = Vec::new();
        if self.wrong > 0 {
            faults.push(format!("{} reads of the Mooncake client gave wrong bytes", self.wrong));
        }
        if self.missing > 0 && !is_async {
            faults.push(format!("{} values that the Mooncake client had put are missing", self.missing));
        }
        if killed && self.after == 0 {
            faults.push("no put of the Mooncake client was acknowledged after the failover".to_owned());
        }
        faults
    }

    /// For people.
    pub(super) fn sentence(&self) -> String {
        let Self { wheel, puts, gets, wrong, .. } = self;
        format!("Mooncake client {wheel}: {puts} puts, {gets} reads compared, {wrong} wrong")
    }
}

/// Plays its part: a pair, the client, and the kill of the pair's primary where there is to be one.
///
/// # Errors
/// Why it could not be played: a sentence.
pub(super) async fn play(
    plan: Plan,
    kill_at: Option<Instant>,
    end_at: Instant,
) -> Result<WheelFacts, String> {
    let python = python().await?;
    let witness = Witness::start(false).await.map_err(|failure| failure.text)?;
    let plan = Plan {
        name: "wheel-a",
        grpc: ANY_PORT.to_owned(),
        witness: witness.addr.clone(),
        mooncake: true,
        ..plan
    };
    let mut primary = takeover::found(&plan).await.map_err(|failure| failure.text)?;
    let standby = Node::start(&Plan { name: "wheel-b", ..plan }).await.map_err(|failure| failure.text)?;
    takeover::in_sync(&primary, &standby).await.map_err(|failure| failure.text)?;
    let mut client = Client::start(&python, &format!("etcd://{}", witness.addr))?;
    client
        .line(READY_LIMIT)
        .await
        .filter(|line| line == "ready")
        .ok_or("the Mooncake client was not ready")?;
    if let Some(kill_at) = kill_at {
        sleep_until(kill_at).await;
        primary.kill();
        client.tell("killed").await?;
    }
    sleep_until(end_at).await;
    client.tell("end").await?;
    let line = client.line(END_LIMIT).await.ok_or("the Mooncake client did not come to its end")?;
    serde_json::from_str(&line).map_err(|_| format!("the Mooncake client ended with `{line}`"))
}

/// An interpreter that has the wheel.
async fn python() -> Result<PathBuf, String> {
    let own =
        std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.join("venv/bin/python")));
    for candidate in own.into_iter().chain(INTERPRETERS.map(PathBuf::from)) {
        let mut probe = Command::new(&candidate);
        probe.args(["-c", "import mooncake.store"]).kill_on_drop(true);
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if matches!(timeout(FIND_LIMIT, probe.status()).await, Ok(Ok(status)) if status.success()) {
            return Ok(candidate);
        }
    }
    Err(format!("no Python with the Mooncake wheel was found; {CURE}"))
}

/// The client's process; it ends with this value.
struct Client {
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start(python: &PathBuf, master: &str) -> Result<Self, String> {
        let mut command = Command::new(python);
        command.args(["-c", PROGRAM, master]).kill_on_drop(true).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let failed = |why: &dyn std::fmt::Display| format!("the Mooncake client did not start: {why}");
        let mut child = command.spawn().map_err(|e| failed(&e))?;
        let (stdin, stdout) =
            child.stdin.take().zip(child.stdout.take()).ok_or_else(|| failed(&"no pipes"))?;
        Ok(Self { _child: child, stdin, lines: BufReader::new(stdout).lines() })
    }

    /// The next line that is for us; the engine may say lines of its own.
    async fn line(&mut self, limit: Duration) -> Option<String> {
        let next = async {
            while let Ok(Some(line)) = self.lines.next_line().await {
                if line == "ready" || line.starts_with('{') {
                    return Some(line);
                }
            }
            None
        };
        timeout(limit, next).await.ok().flatten()
    }

    async fn tell(&mut self, word: &str) -> Result<(), String> {
        let told = self.stdin.write_all(format!("{word}\n").as_bytes()).await;
        told.map_err(|e| format!("the Mooncake client is gone: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_saw_is_judged_by_the_mode() {
        let seen = WheelFacts { puts: 9, gets: 9, after: 1, ..WheelFacts::default() };
        let faults = |change: fn(&mut WheelFacts), is_async| {
            let mut seen = seen.clone();
            change(&mut seen);
            seen.faults(is_async, true).len()
        };
        assert_eq!(faults(|_| {}, false), 0);
        assert_eq!((faults(|f| f.wrong = 1, false), faults(|f| f.wrong = 1, true)), (1, 1));
        assert_eq!((faults(|f| f.missing = 1, false), faults(|f| f.missing = 1, true)), (1, 0));
        assert_eq!((faults(|f| f.after = 0, false), seen.faults(false, false).len()), (1, 0));
        assert_eq!(WheelFacts::line(Some(&seen))["puts"], 9);
        assert!(WheelFacts::line(None)["wheel"].is_null(), "unknown is null");
    }
}
