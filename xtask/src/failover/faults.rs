//! What is done to a cluster, and what must come of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::cluster::{CLIENTS, Cluster, MEMBERS, NODES, primary};
use super::net::Cut;
use super::witness;
use crate::run::{Stopwatch, pause};

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGTERM to the primary, which is started again.
    CleanStop,
    /// SIGKILL to the primary, which is started again.
    Kill,
    /// SIGKILL to the standby, which is started again.
    KillStandby,
    /// SIGSTOP to the standby, and SIGCONT after a while.
    FreezeStandby,
    /// SIGSTOP to the primary, and SIGCONT once it is replaced.
    Freeze,
    /// The primary is cut off from everybody, both ways.
    Partition,
    /// What the primary sends to the standby is lost; the other way is open.
    OneWay,
    /// A fifth of the packets between the nodes is lost.
    PacketLoss,
    /// The primary is cut off from etcd only.
    CutFromEtcd,
    /// etcd is stopped, and started again.
    EtcdStopped,
    /// The leader of etcd is frozen.
    EtcdLeaderFrozen,
    /// The lender dies and is started again over the same memory.
    LenderRestart,
    /// Both nodes are stopped and started again, one after the other.
    Rolling,
    /// The wall clocks of both nodes jump, an hour ahead and two back.
    WallClock,
    /// An operator makes the standby the primary.
    Switchover,
    /// `standfast drill partition` on the primary.
    Drill,
    /// The primary and the lender die at the same moment.
    KillWithLender,
    /// The standby dies, and, once it is off the record, the primary.
    KillAlone,
    /// What the primary sends is slow, and late.
    Slow,
    /// The only member of etcd is frozen.
    EtcdFrozen,
    /// The standby dies while etcd is away.
    EtcdStoppedStandbyKilled,
    /// The primary is frozen while a fifth of the packets is lost.
    FreezeUnderLoss,
    /// The primary dies while what it sends is slow.
    KillWhileSlow,
    /// The standby is cut off from everybody, both ways.
    PartitionStandby,
    /// What the standby sends to the primary is lost; the other way is open.
    OneWayFromStandby,
    /// The standby is cut off from etcd only.
    StandbyCutFromEtcd,
    /// The leader of etcd, or the witness, dies and is started again over its data.
    EtcdLeaderKilled,
    /// SIGKILL to the standby, which is started again; once it is in sync the same to the primary.
    KillInTurn,
    /// The standby is frozen until it is silent on record; then the primary dies, and the standby thaws.
    KillUnderFrozen,
    /// The witness dies and is started again over an earlier state of its file.
    WitnessRestored,
    /// One trouble goes on while something else strikes.
    Pair(Under, Strike),
}

/// What goes on meanwhile. None of it makes a node fall off the record for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// What the primary sends is slow, and late.
    SlowPrimary,
    /// What the standby sends is slow, and late.
    SlowStandby,
    /// A twentieth of the packets between the nodes is lost.
    SomeLoss,
    /// The leader of etcd is frozen.
    EtcdLeaderFrozen,
    /// The lender is dead.
    LenderAway,
}

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    Kill,
    CleanStop,
    Freeze,
    KillStandby,
}

/// How long faults last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    /// What goes on after the primary is replaced.
    pub(crate) after: Duration,
    /// A trouble that replaces nobody.
    pub(crate) trouble: Duration,
    /// etcd's absence.
    pub(crate) etcd: Duration,
}

/// In the quick selection.
pub(crate) const SHORT: Lengths =
    Lengths { after: Duration::from_secs(1), trouble: Duration::from_secs(2), etcd: Duration::from_secs(4) };
/// Otherwise: longer than every lease and timeout of the nodes.
pub(crate) const LONG: Lengths = Lengths {
    after: Duration::from_millis(1500),
    trouble: Duration::from_secs(4),
    etcd: Duration::from_secs(60),
};

impl Fault {
    /// As it is told.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Pair(under, strike) => format!("{strike:?} under {under:?}"),
            one => format!("{one:?}"),
        }
    }

    /// Makes it, ends it, and leaves the cluster to become whole again.
    pub(crate) fn play(self, cluster: &mut Cluster, leading: usize, lengths: Lengths) -> Result<()> {
        let other = 1 - leading;
        match self {
            Self::CleanStop => restart(cluster, leading, Signal::SIGTERM, lengths),
            Self::Kill => restart(cluster, leading, Signal::SIGKILL, lengths),
            Self::KillStandby => kill_standby(cluster, other, lengths),
            Self::KillInTurn => {
                kill_standby(cluster, other, lengths)?;
                cluster.settle()?;
                restart(cluster, leading, Signal::SIGKILL, lengths)
            }
            Self::KillUnderFrozen => {
                node(cluster, other)?.signal(Signal::SIGSTOP)?;
                cluster.until("the standby is silent on record", |line| has_silent(line, leading))?;
                node(cluster, leading)?.end(Signal::SIGKILL)?;
                node(cluster, other)?.signal(Signal::SIGCONT)?;
                taken_over(cluster, other)?;
                pause(lengths.after);
                cluster.start_node(leading)
            }
            Self::WitnessRestored => witness::restored(cluster, leading, lengths),
            Self::FreezeStandby => {
                node(cluster, other)?.signal(Signal::SIGSTOP)?;
                pause(lengths.trouble);
                node(cluster, other)?.signal(Signal::SIGCONT)
            }
            Self::Freeze => {
                node(cluster, leading)?.signal(Signal::SIGSTOP)?;
                let taken = taken_over(cluster, other);
                pause(lengths.after);
                node(cluster, leading)?.signal(Signal::SIGCONT)?;
                taken
            }
            Self::Partition => {
                cut(cluster, leading, Cut::All)?;
                let taken = taken_over(cluster, other);
                pause(lengths.after);
                heal(cluster, leading)?;
                taken
            }
            Self::OneWay => trouble(cluster, leading, Cut::Towards(NODES[other]), lengths),
            Self::PacketLoss => trouble(cluster, leading, Cut::Loss(20, NODES[other]), lengths),
            Self::CutFromEtcd => cut_from_etcd(cluster, leading, lengths),
            Self::PartitionStandby => trouble(cluster, other, Cut::All, lengths),
            Self::OneWayFromStandby => trouble(cluster, other, Cut::Towards(NODES[leading]), lengths),
            Self::StandbyCutFromEtcd => cut_from_etcd(cluster, other, lengths),
            Self::Pair(under, strike) => pair(cluster, leading, lengths, under, strike),
            Self::EtcdLeaderKilled => {
                let leader = cluster.leading_member()?;
                cluster.members[leader].as_mut().context("it runs")?.end(Signal::SIGKILL)?;
                cluster.members[leader] = None;
                pause(lengths.trouble);
                cluster.start_members()
            }
            Self::EtcdStopped => {
                stop_etcd(cluster)?;
                pause(lengths.etcd);
                cluster.start_members()
            }
            Self::EtcdLeaderFrozen => {
                let leader = cluster.leading_member()?;
                signal_member(cluster, leader, Signal::SIGSTOP)?;
                pause(lengths.trouble);
                signal_member(cluster, leader, Signal::SIGCONT)
            }
            Self::LenderRestart => {
                cluster.lender.as_mut().context("it runs")?.end(Signal::SIGKILL)?;
                cluster.start_lender()
            }
            Self::Rolling => {
                for nr in [other, leading] {
                    node(cluster, nr)?.end(Signal::SIGTERM)?;
                    if nr == leading {
                        taken_over(cluster, other)?;
                    }
                    cluster.start_node(nr)?;
                    cluster.settle()?;
                }
                Ok(())
            }
            Self::WallClock => {
                for seconds in [3600, -3600, 0] {
                    (0..NODES.len()).try_for_each(|nr| cluster.set_clock(nr, seconds))?;
                    pause(lengths.trouble);
                }
                Ok(())
            }
            Self::Switchover => {
                let line = hand_over(cluster)?;
                ensure!(line["to"] == NODES[other], "it was to lead: {line}");
                taken_over(cluster, other)
            }
            Self::Drill => {
                let period = format!("{}ms", lengths.trouble.as_millis());
                let line = cluster.operate(&["drill", "partition", "--yes", "--for", &period])?;
                ensure!(line["outage_ms"].is_number(), "a drill tells the outage: {line}");
                Ok(())
            }
            Self::KillWithLender => {
                node(cluster, leading)?.signal(Signal::SIGKILL)?;
                cluster.lender.as_mut().context("it runs")?.end(Signal::SIGKILL)?;
                node(cluster, leading)?.end(Signal::SIGKILL)?;
                cluster.start_lender()?;
                taken_over(cluster, other)?;
                pause(lengths.after);
                cluster.start_node(leading)
            }
            Self::KillAlone => {
                node(cluster, other)?.end(Signal::SIGKILL)?;
                cluster.until("the primary stands alone", |line| is_alone(line, leading))?;
                node(cluster, leading)?.end(Signal::SIGKILL)?;
                pause(lengths.after);
                cluster.start_node(leading)?;
                cluster.start_node(other)
            }
            Self::Slow => trouble(cluster, leading, SLOW, lengths),
            Self::KillWhileSlow => {
                cut(cluster, leading, SLOW)?;
                pause(lengths.after);
                let killed = restart(cluster, leading, Signal::SIGKILL, lengths);
                heal(cluster, leading)?;
                killed
            }
            Self::FreezeUnderLoss => {
                cut(cluster, leading, Cut::Loss(20, NODES[other]))?;
                node(cluster, leading)?.signal(Signal::SIGSTOP)?;
                pause(lengths.trouble);
                node(cluster, leading)?.signal(Signal::SIGCONT)?;
                heal(cluster, leading)
            }
            Self::EtcdFrozen => {
                let signal = |cluster: &Cluster, signal| {
                    cluster.members.iter().flatten().try_for_each(|member| member.signal(signal))
                };
                signal(cluster, Signal::SIGSTOP)?;
                pause(lengths.trouble);
                signal(cluster, Signal::SIGCONT)
            }
            Self::EtcdStoppedStandbyKilled => {
                stop_etcd(cluster)?;
                node(cluster, other)?.end(Signal::SIGKILL)?;
                pause(lengths.trouble);
                cluster.start_members()?;
                cluster.start_node(other)
            }
        }
    }
}

/// For a switchover to be accepted that was refused for what passes.
const REFUSED_LIMIT: Duration = Duration::from_secs(15);
/// For each part of a fault in which the lender is away.
const LENDER_AWAY_MAX: Duration = Duration::from_secs(1);
/// As refusals are worded: something else is under way, or the standby is not in sync at this moment.
const PASSING: [&str; 5] = ["under way", "busy", "in sync", "not ready", "lacks"];

/// An operator hands over; repeats what was refused only for the moment.
fn hand_over(cluster: &Cluster) -> Result<Value> {
    let watch = Stopwatch::start();
    loop {
        let handed = cluster.operate(&["switchover", "--yes", "--reason", "measured"]);
        match handed {
            Err(error) if watch.elapsed() < REFUSED_LIMIT && passes(&format!("{error:#}")) => {
                pause(Duration::from_millis(200));
            }
            handed => return handed,
        }
    }
}

fn passes(refusal: &str) -> bool {
    PASSING.iter().any(|word| refusal.contains(word))
}

fn signal_member(cluster: &Cluster, nr: usize, signal: Signal) -> Result<()> {
    cluster.members[nr].as_ref().context("it runs")?.signal(signal)
}

/// One trouble, and in it a strike, unless the primary has lost its standby by the trouble: then it says itself that it
/// would take everything with it.
fn pair(cluster: &mut Cluster, leading: usize, lengths: Lengths, under: Under, strike: Strike) -> Result<()> {
    let (slow, impaired) = match under {
        Under::SlowStandby => (SLOW, 1 - leading),
        Under::SomeLoss => (Cut::Loss(5, NODES[1 - leading]), leading),
        Under::SlowPrimary | Under::EtcdLeaderFrozen | Under::LenderAway => (SLOW, leading),
    };
    let mut frozen = None;
    match under {
        Under::SlowPrimary | Under::SlowStandby | Under::SomeLoss => cut(cluster, impaired, slow)?,
        Under::EtcdLeaderFrozen => {
            let leader = cluster.leading_member()?;
            signal_member(cluster, leader, Signal::SIGSTOP)?;
            frozen = Some(leader);
        }
        Under::LenderAway => cluster.lender.as_mut().context("it runs")?.end(Signal::SIGKILL)?,
    }
    // A lender that is silent for 10 s loses its segments.
    let after = if under == Under::LenderAway { lengths.after.min(LENDER_AWAY_MAX) } else { lengths.after };
    let lengths = Lengths { after, ..lengths };
    pause(lengths.after);
    let safe = cluster.is_whole()? == Some(leading);
    let struck = if safe { strike.fault().play(cluster, leading, lengths) } else { Ok(()) };
    match under {
        Under::SlowPrimary | Under::SlowStandby | Under::SomeLoss => heal(cluster, impaired)?,
        Under::EtcdLeaderFrozen => {
            frozen.into_iter().try_for_each(|nr| signal_member(cluster, nr, Signal::SIGCONT))?;
        }
        Under::LenderAway => cluster.start_lender()?,
    }
    struck
}

impl Strike {
    fn fault(self) -> Fault {
        match self {
            Self::Kill => Fault::Kill,
            Self::CleanStop => Fault::CleanStop,
            Self::Freeze => Fault::Freeze,
            Self::KillStandby => Fault::KillStandby,
        }
    }
}

/// Enough for heartbeats, not for the load.
const SLOW: Cut = Cut::Slow(2_000);

fn stop_etcd(cluster: &mut Cluster) -> Result<()> {
    for member in &mut cluster.members {
        member.as_mut().context("it runs")?.end(Signal::SIGTERM)?;
        *member = None;
    }
    Ok(())
}

/// It leads, and nobody else is on record.
fn is_alone(line: &Value, node: usize) -> bool {
    let name = NODES[node];
    let this = line["nodes"].as_array().into_iter().flatten().find(|seen| seen["node"] == name);
    let members = this.and_then(|seen| seen["in_sync"].as_array());
    primary(line) == Some(node) && members.is_some_and(|names| names.iter().all(|member| member == name))
}

/// It leads, and a standby is silent on record.
fn has_silent(line: &Value, node: usize) -> bool {
    let this = line["nodes"].as_array().into_iter().flatten().find(|seen| seen["node"] == NODES[node]);
    let mut standbys = this.iter().flat_map(|seen| seen["standbys"].as_array()).flatten();
    primary(line) == Some(node) && standbys.any(|standby| standby["silent"] == true)
}

#[test]
fn a_silent_standby_is_one_that_the_primary_says_so_of() {
    let line = |role: &str, silent: Value| serde_json::json!({"nodes": [{"node": "a", "role": role, "standbys": [{"silent": silent}]}]});
    assert!(has_silent(&line("primary", Value::Bool(true)), 0));
    assert!(
        !has_silent(&line("primary", Value::Bool(false)), 0) && !has_silent(&line("primary", Value::Null), 0)
    );
    assert!(!has_silent(&line("standby", Value::Bool(true)), 0));
}

pub(super) fn kill_standby(cluster: &mut Cluster, standby: usize, lengths: Lengths) -> Result<()> {
    node(cluster, standby)?.end(Signal::SIGKILL)?;
    pause(lengths.after);
    cluster.start_node(standby)
}

pub(super) fn node(cluster: &mut Cluster, nr: usize) -> Result<&mut super::child::Process> {
    cluster.nodes[nr].as_mut().with_context(|| format!("{} runs", NODES[nr]))
}

/// The primary had just lost its standby, on a machine that stalled: a second fault, at which everything is lost, as the
/// status says beforehand (PROTOCOL I7). No promise is judged by it.
#[derive(Debug)]
pub(crate) struct StruckAlone;

impl std::fmt::Display for StruckAlone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the primary stood alone when it was struck")
    }
}

impl std::error::Error for StruckAlone {}

fn taken_over(cluster: &Cluster, by: usize) -> Result<()> {
    let ended = |line: &Value| primary(line) == Some(by) || is_left_out(line, by);
    let line = cluster.until("the standby leads", ended)?;
    if is_left_out(&line, by) { Err(StruckAlone.into()) } else { Ok(()) }
}

/// Nobody leads, and the record names others than this node.
fn is_left_out(line: &Value, node: usize) -> bool {
    let name = NODES[node];
    let this = line["nodes"].as_array().into_iter().flatten().find(|seen| seen["node"] == name);
    let members = this.and_then(|seen| seen["in_sync"].as_array());
    primary(line).is_none() && members.is_some_and(|names| names.iter().all(|member| member != name))
}

#[test]
fn a_node_that_is_not_on_record_is_left_out() {
    let line = |in_sync: Value, role: &str| serde_json::json!({"nodes": [{"node": "b", "role": role, "in_sync": in_sync}]});
    assert!(is_left_out(&line(serde_json::json!(["a"]), "standby"), 1));
    assert!(!is_left_out(&line(serde_json::json!(["a", "b"]), "standby"), 1));
    assert!(!is_left_out(&line(Value::Null, "standby"), 1), "nobody knows");
    assert!(!is_left_out(&line(serde_json::json!(["b"]), "primary"), 1));
}

pub(super) fn restart(cluster: &mut Cluster, nr: usize, signal: Signal, lengths: Lengths) -> Result<()> {
    node(cluster, nr)?.end(signal)?;
    taken_over(cluster, 1 - nr)?;
    pause(lengths.after);
    cluster.start_node(nr)
}

fn cut(cluster: &Cluster, nr: usize, cut: Cut) -> Result<()> {
    cluster.net.as_ref().with_context(|| format!("links of {CLIENTS} and others"))?.cut(NODES[nr], cut)
}

fn heal(cluster: &Cluster, nr: usize) -> Result<()> {
    cluster.net.as_ref().map_or(Ok(()), |net| net.heal(NODES[nr]))
}

/// From every member.
fn cut_from_etcd(cluster: &Cluster, nr: usize, lengths: Lengths) -> Result<()> {
    MEMBERS[..cluster.members.len()].iter().try_for_each(|member| cut(cluster, nr, Cut::Between(member)))?;
    pause(lengths.trouble);
    heal(cluster, nr)
}

fn trouble(cluster: &Cluster, nr: usize, how: Cut, lengths: Lengths) -> Result<()> {
    cut(cluster, nr, how)?;
    pause(lengths.trouble);
    heal(cluster, nr)
}

#[test]
fn only_what_passes_is_tried_again() {
    assert!(passes("switchover is refused: a hand-over to b is under way"));
    assert!(passes("b is not in sync"));
    assert!(!passes("no node can be reached"));
}
