//! A witness whose file was put back to an earlier state. Nobody decides anything by what it says until an operator has
//! looked after it (PROTOCOL C4); whoever leads goes on meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::cluster::{Cluster, NODES};
use super::faults::{Lengths, kill_standby, restart};
use crate::run::{Stopwatch, pause};

/// As nodes warn of records that went back.
const ALARM: &str = "coordinator_moved_back";
/// For the alarm: the lost revisions have to be reached again first, one with each renewal.
const ALARM_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The backup is older than the standby's present copy. Once both nodes have said so, the operator says `resume`: the
/// primary puts its in-sync set on record again, with the copy that the backup lacks. Then it dies.
pub(super) fn restored(cluster: &mut Cluster, leading: usize, lengths: Lengths) -> Result<()> {
    let other = 1 - leading;
    let file = cluster.witness_file();
    let backup = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    kill_standby(cluster, other, lengths)?;
    cluster.settle()?;

    let said = [0, 1].map(|nr| cluster.times_logged(nr, ALARM));
    cluster.members[0].as_mut().context("the witness runs")?.end(Signal::SIGKILL)?;
    cluster.members[0] = None;
    std::fs::write(&file, backup).with_context(|| format!("cannot write {}", file.display()))?;
    cluster.start_members()?;
    let watch = Stopwatch::start();
    while [0, 1].iter().any(|nr| cluster.times_logged(*nr, ALARM) == said[*nr]) {
        ensure!(watch.elapsed() < ALARM_LIMIT, "a node does not say that the records went back");
        pause(LOOK_EVERY);
    }
    cluster.until("the standby is not promotable", |line| !is_promotable(line, other))?;
    let serves = cluster.progress(&cluster.counts()?);
    serves.context("the primary goes on while its records are not believed")?;

    cluster.operate(&["resume", "--reason", "the right file is back"])?;
    cluster.settle()?;
    cluster.until("the standby is promotable again", |line| is_promotable(line, other))?;
    restart(cluster, leading, Signal::SIGKILL, lengths)
}

fn is_promotable(line: &Value, nr: usize) -> bool {
    let mut nodes = line["nodes"].as_array().into_iter().flatten();
    nodes.any(|node| node["node"] == NODES[nr] && node["promotable"] == true)
}

#[test]
fn a_verdict_that_is_unknown_is_no_yes() {
    let line = |promotable: Value| serde_json::json!({"nodes": [{"node": "b", "promotable": promotable}]});
    assert!(is_promotable(&line(Value::Bool(true)), 1) && !is_promotable(&line(Value::Bool(true)), 0));
    assert!(!is_promotable(&line(Value::Bool(false)), 1) && !is_promotable(&line(Value::Null), 1));
}
