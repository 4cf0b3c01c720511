//! How a cluster ends: what its processes found, and where its logs are kept if something is wrong.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::child::Process;
use super::cluster::{Cluster, NODES};
use super::judge;
use crate::run::{Stopwatch, pause};

/// For the load to go on after a fault.
const PROGRESS_LIMIT: Duration = Duration::from_secs(20);
/// Keys of the load.
const LOAD_KEYS: u64 = 8_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The load goes on over what it puts anew, after everything was lost.
const ANEW: Duration = Duration::from_secs(2);

/// For the last comparison of everything to be known.
const COMPARED_LIMIT: Duration = Duration::from_secs(30);

/// What came of a cluster.
pub(crate) struct Finished {
    pub(crate) reasons: Vec<String>,
    /// The load's last line; null if it had none.
    pub(crate) load: Value,
    pub(crate) canary: Value,
}

impl Cluster {
    /// What the load has counted until now.
    pub(crate) fn counts(&self) -> Result<Value> {
        let load = self.load.as_ref().context("the load runs")?;
        load.signal(Signal::SIGUSR1)?;
        loop {
            let line = load.line().context("the load does not say what it counts")?;
            ensure!(line["event"] != "end", "the load has ended by itself: {line}");
            if line["event"] == "counts" {
                return Ok(line);
            }
        }
    }

    /// Waits until more puts are acknowledged than at that look at the load.
    pub(crate) fn progress(&self, since: &Value) -> Result<Value> {
        let watch = Stopwatch::start();
        loop {
            let now = self.counts()?;
            if judge::has_grown(since, &now) {
                return Ok(now);
            }
            ensure!(watch.elapsed() < PROGRESS_LIMIT, "no put is acknowledged any more: {now}");
            pause(LOOK_EVERY);
        }
    }

    /// Waits until the load has put each of its keys once: it does so in batches so large that one without an answer
    /// leaves more unknown than all that follows.
    pub(crate) fn filled(&self) -> Result<()> {
        let watch = Stopwatch::start();
        loop {
            let now = self.counts()?;
            if now["puts_acked"].as_u64() >= Some(LOAD_KEYS) {
                return Ok(());
            }
            ensure!(watch.elapsed() < PROGRESS_LIMIT, "the load has not put all its keys once: {now}");
            pause(LOOK_EVERY);
        }
    }

    /// Whether the copies differ, or lack something.
    pub(crate) fn copies(&self) -> Result<Vec<String>> {
        let mut reasons = judge::differing(&self.told(&["verify", "status"])?);
        reasons.extend(judge::set_aside(&self.told(&["status"])?));
        Ok(reasons)
    }

    /// What the nodes tell; that they tell nothing is no good sign.
    fn told(&self, words: &[&str]) -> Result<Value> {
        let line = self.ask(words)?;
        ensure!(
            line["nodes"].as_array().is_some_and(|nodes| !nodes.is_empty()),
            "{words:?} is told nothing: {line}"
        );
        Ok(line)
    }

    /// Compares everything; that nobody knows is a reason once it stays so.
    fn compared(&self) -> Result<Vec<String>> {
        let watch = Stopwatch::start();
        loop {
            let line = self.told(&["verify", "run"])?;
            if line["verdict"] != "unknown" {
                return Ok(judge::differing(&line));
            }
            if watch.elapsed() >= COMPARED_LIMIT {
                return Ok(vec![format!("not all is compared: {}", line["reasons"])]);
            }
            pause(LOOK_EVERY);
        }
    }

    /// Compares everything once more, then ends the clients and says what they found; processes that ended by themselves
    /// are reasons, too. Logs are kept where there is a reason; `failed` says that there is one already.
    pub(crate) fn finish(mut self, failed: bool) -> Finished {
        let compared = if failed { self.copies() } else { self.compared() };
        let mut reasons =
            compared.unwrap_or_else(|error| vec![format!("the copies are not compared: {error:#}")]);
        let (found, load, canary) = self.stop_clients();
        reasons.extend(found);
        if load["good"] != true {
            reasons.push(format!("the load is not good: {load}; {}", self.words("load")));
        }
        if failed || !reasons.is_empty() {
            reasons.push(self.keep());
        }
        Finished { reasons, load, canary }
    }

    /// The primary stood alone when it died, and everything with it (PROTOCOL I7). What is left of the promises is judged:
    /// the pair comes back by itself, empty, and nobody is ever shown a wrong byte or an old value. How many acknowledged
    /// keys are missing is in the load's line.
    pub(crate) fn finish_after_loss(mut self) -> Finished {
        let back = self.come_back();
        let mut reasons: Vec<String> =
            back.err().map(|error| format!("after everything was lost: {error:#}")).into_iter().collect();
        reasons.extend(self.copies().unwrap_or_else(|error| vec![format!("{error:#}")]));
        let (found, load, canary) = self.stop_clients();
        reasons.extend(found);
        reasons.extend(judge::wrong_after_loss(&load));
        if !reasons.is_empty() {
            reasons.push(self.keep());
        }
        Finished { reasons, load, canary }
    }

    fn come_back(&mut self) -> Result<()> {
        for (nr, name) in NODES.iter().enumerate() {
            if let Some(net) = &self.net {
                net.heal(name)?;
            }
            let ended = self.nodes[nr].as_mut().is_none_or(Process::has_ended);
            match &self.nodes[nr] {
                Some(process) if !ended => process.signal(Signal::SIGCONT)?,
                _ => self.start_node(nr)?,
            }
        }
        self.members.iter().flatten().try_for_each(|member| member.signal(Signal::SIGCONT))?;
        self.start_members()?;
        if self.lender.as_mut().is_none_or(Process::has_ended) {
            self.start_lender()?;
        }
        self.settle()?;
        pause(ANEW);
        Ok(())
    }

    fn stop_clients(&mut self) -> (Vec<String>, Value, Value) {
        let mut reasons = Vec::new();
        for (process, name) in self.nodes.iter_mut().zip(NODES) {
            if process.as_mut().is_none_or(Process::has_ended) {
                reasons.push(format!("{name} has ended by itself"));
            }
        }
        for name in NODES {
            let text = std::fs::read_to_string(self.log(name)).unwrap_or_default();
            reasons
                .extend(text.contains("panicked").then(|| format!("{name} panicked: {}", self.words(name))));
        }
        let mut end = |client: Option<Process>, name: &str| {
            last_words(client).unwrap_or_else(|error| {
                reasons.push(format!("the {name} did not come to its end: {error:#}"));
                Value::Null
            })
        };
        let canary = end(self.canary.take(), "canary");
        let load = end(self.load.take(), "load");
        // One slow call at the end is no fault: the load has read every key back.
        if canary["write"]["good"].as_u64().unwrap_or(0) == 0 {
            reasons.push(format!("the canary has no good answer: {canary}"));
        }
        (reasons, load, canary)
    }
}

/// Ends a client; returns its last line.
fn last_words(client: Option<Process>) -> Result<Value> {
    let client = client.context("it runs")?;
    client.signal(Signal::SIGTERM)?;
    loop {
        let line = client.line()?;
        if line["event"] == "end" {
            return Ok(line);
        }
    }
}
