//! `cargo xtask chaos`: one fault after the other, at random and for any time, against one cluster under load. The seed
//! gives the schedule: which fault, after how long, for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::child::{Process, Usage};
use super::cluster::{Cluster, NODES, Shape};
use super::faults::{Fault, Lengths, Strike, StruckAlone, Under};
use super::judge::{self, Sum};
use super::limits::Limits;
use super::mode::Mode;
use super::{CALM, Distribution, facts, kept_binary, net, wall};
use crate::machine;
use crate::run::{Stopwatch, pause};
use crate::tally::Tally;

/// What may be drawn.
const FAULTS: [Fault; 20] = [
    Fault::Kill,
    Fault::KillStandby,
    Fault::CleanStop,
    Fault::Freeze,
    Fault::FreezeStandby,
    Fault::EtcdStopped,
    Fault::EtcdFrozen,
    Fault::EtcdLeaderFrozen,
    Fault::EtcdLeaderKilled,
    Fault::LenderRestart,
    Fault::Rolling,
    Fault::Switchover,
    Fault::KillWithLender,
    Fault::EtcdStoppedStandbyKilled,
    Fault::Pair(Under::EtcdLeaderFrozen, Strike::Kill),
    Fault::Pair(Under::EtcdLeaderFrozen, Strike::Freeze),
    Fault::Pair(Under::EtcdLeaderFrozen, Strike::CleanStop),
    Fault::Pair(Under::EtcdLeaderFrozen, Strike::KillStandby),
    Fault::Pair(Under::LenderAway, Strike::Kill),
    Fault::Pair(Under::LenderAway, Strike::Freeze),
];
/// Where links can be cut: of either node, either way.
const NET_FAULTS: [Fault; 15] = [
    Fault::Partition,
    Fault::PartitionStandby,
    Fault::OneWay,
    Fault::OneWayFromStandby,
    Fault::PacketLoss,
    Fault::CutFromEtcd,
    Fault::StandbyCutFromEtcd,
    Fault::Slow,
    Fault::KillWhileSlow,
    Fault::FreezeUnderLoss,
    Fault::Pair(Under::SlowPrimary, Strike::CleanStop),
    Fault::Pair(Under::SlowStandby, Strike::Kill),
    Fault::Pair(Under::SlowStandby, Strike::Freeze),
    Fault::Pair(Under::SomeLoss, Strike::Kill),
    Fault::Pair(Under::SomeLoss, Strike::KillStandby),
];
/// Where wall clocks can jump.
const CLOCK_FAULTS: [Fault; 1] = [Fault::WallClock];

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ack {
    /// Once each standby in sync has it.
    Sync,
    /// At once; a failover may lose what a standby lacks, within a bound.
    Async,
}

impl Ack {
    fn mode(self) -> Mode {
        match self {
            Self::Sync => Mode::Sync,
            Self::Async => Mode::Async,
        }
    }
}

/// splitmix64: the same numbers for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

/// One step of the schedule.
#[derive(Debug, PartialEq)]
struct Step {
    calm: Duration,
    fault: Fault,
    after: Duration,
    trouble: Duration,
    etcd: Duration,
}

fn draw(chance: &mut Chance, faults: &[Fault]) -> Step {
    Step {
        calm: chance.ms(200, 3_000),
        fault: faults[chance.below(faults.len() as u64) as usize],
        after: chance.ms(100, 4_000),
        trouble: chance.ms(500, 6_000),
        etcd: chance.ms(500, 10_000),
    }
}

/// What came of a run.
#[derive(Default)]
struct Seen {
    faults: u64,
    outages: Vec<f64>,
    recoveries: Vec<f64>,
    kinds: BTreeMap<String, Kind>,
    /// Clusters that were lost because their primary stood alone, and the keys that were lost with them.
    struck_alone: u64,
    lost_alone: u64,
    load: Sum,
    canary: Sum,
    /// The most that a node held.
    rss_kib_max: u64,
    descriptors_max: u64,
    reasons: Vec<String>,
}

/// What came of the faults of one kind.
#[derive(Default)]
struct Kind {
    outages: Vec<f64>,
    recoveries: Vec<f64>,
    limits: Option<Limits>,
}

impl Kind {
    fn to_json(&self) -> Value {
        json!({
            "times": self.outages.len(),
            "outage_ms": Distribution::of(&self.outages).map(Distribution::to_json),
            "recovery_ms": Distribution::of(&self.recoveries).map(Distribution::to_json),
            "outage_limit_ms": self.limits.map(|limits| limits.outage),
            "recovery_limit_ms": self.limits.map(|limits| limits.recovery),
        })
    }
}

/// Plays faults for `duration`; prints a line for each thing that happens, and a summary.
pub(crate) fn run(duration: Duration, seed: u64, ack: Ack) -> Result<ExitCode> {
    let end = measure(duration, seed, ack)?;
    println!("{end}");
    let good = end["good"] == true;
    println!("{}", Tally::one(good));
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same; returns the summary.
pub(crate) fn measure(duration: Duration, seed: u64, ack: Ack) -> Result<Value> {
    let (_folder, binary) = kept_binary()?;
    let (no_net, no_clock) = (net::missing(), wall::missing());
    let mut faults = FAULTS.to_vec();
    faults.extend(NET_FAULTS.iter().filter(|_| no_net.is_none()));
    faults.extend(CLOCK_FAULTS.iter().filter(|_| no_clock.is_none()));
    println!(
        "{}",
        json!({
            "schema": 1, "event": "begin", "seed": seed, "ack": ack.mode().word(), "duration_s": duration.as_secs_f64(),
            "machine": facts(), "commit": machine::commit(), "without_network": no_net, "without_clock": no_clock,
        })
    );
    let shape = Shape {
        members: 3,
        net: no_net.is_none(),
        wall: no_clock.is_none(),
        load: true,
        canary_timeout: "100ms",
        seed,
        flags: ack.mode().flags(),
        may_lose: ack.mode().may_lose(1).is_some(),
    };
    let mut run = Run {
        watch: Stopwatch::start(),
        duration,
        chance: Chance(seed),
        faults,
        mode: ack.mode(),
        seen: Seen::default(),
    };
    while run.one_cluster(&binary, &shape) {}
    let mut seen = run.seen;
    seen.reasons.extend(judge::too_often_alone(seen.struck_alone, seen.faults));
    if seen.outages.is_empty() {
        seen.reasons.push("no fault was played to its end".to_owned());
    }
    // The last comparison may tell again what failed the run.
    let mut told = BTreeSet::new();
    seen.reasons.retain(|why| told.insert(why.clone()));
    let distribution = |all: &[f64]| Distribution::of(all).map(Distribution::to_json);
    let kinds: serde_json::Map<String, Value> =
        seen.kinds.iter().map(|(name, of)| (name.clone(), of.to_json())).collect();
    Ok(json!({
        "schema": 1, "event": "end", "good": seen.reasons.is_empty(), "failed": u64::from(!seen.reasons.is_empty()),
        "reasons": seen.reasons, "seed": seed, "ack": ack.mode().word(), "duration_s": run.watch.elapsed().as_secs_f64(),
        "machine": facts(), "commit": machine::commit(), "without_network": no_net, "without_clock": no_clock,
        "struck_alone": seen.struck_alone, "lost_alone": seen.lost_alone,
        "faults": seen.faults, "by_kind": kinds,
        "outage_ms": distribution(&seen.outages), "recovery_ms": distribution(&seen.recoveries),
        "rss_kib_max": seen.rss_kib_max, "descriptors_max": seen.descriptors_max,
        "load": seen.load.to_json(), "canary": seen.canary.to_json(),
    }))
}

/// One run: clusters one after the other, and what came of them.
struct Run {
    watch: Stopwatch,
    duration: Duration,
    chance: Chance,
    faults: Vec<Fault>,
    mode: Mode,
    seen: Seen,
}

impl Run {
    /// Plays faults against one cluster until the time is over or something is wrong. True if another cluster is to go
    /// on, because this one was lost as its status had said beforehand.
    fn one_cluster(&mut self, binary: &Path, shape: &Shape) -> bool {
        let mut cluster = match Cluster::start(binary, shape) {
            Ok(cluster) => cluster,
            Err(error) => {
                self.seen.reasons.push(format!("{error:#}"));
                return false;
            }
        };
        // What the load counted when the last fault began: nothing excuses what was wrong by then.
        let mut counted = Value::Null;
        let played = self.play(&mut cluster, &mut counted);
        let is_lost = played.as_ref().is_err_and(anyhow::Error::is::<StruckAlone>);
        if let Err(error) = played
            && !is_lost
        {
            self.seen.reasons.push(format!("{error:#}"));
            self.seen.reasons.extend(NODES.map(|name| format!("{name} logged: {}", cluster.words(name))));
        }
        let failed = !self.seen.reasons.is_empty();
        // What an async failover may lose, each of them; read before the cluster ends.
        let failovers = cluster.history().map_or(0, |rows| judge::failovers(&rows));
        let mut finished = if is_lost { cluster.finish_after_loss() } else { cluster.finish(failed) };
        if let Some(bound) = self.mode.may_lose(failovers).filter(|_| !is_lost) {
            self.seen.reasons.extend(judge::lost_too_much(&finished.load, bound));
        }
        if is_lost {
            let lost = finished.load["acked_missing"].as_u64();
            (self.seen.struck_alone, self.seen.lost_alone) =
                (self.seen.struck_alone + 1, self.seen.lost_alone + lost.unwrap_or(0));
            let at_ms = self.watch.elapsed().as_millis() as u64;
            println!(
                "{}",
                json!({"event": "struck_alone", "nr": self.seen.faults, "at_ms": at_ms, "keys_lost": lost})
            );
            // Told apart from what may not be lost.
            for field in ["acked_missing", "missing_beyond", "unexpected"] {
                finished.load[field] = counted[field].clone();
            }
        }
        self.seen.load.add(&finished.load);
        self.seen.canary.add(&canary_counts(&finished.canary));
        self.seen.reasons.extend(finished.reasons);
        is_lost && self.seen.reasons.is_empty() && self.watch.elapsed() < self.duration
    }

    fn at_ms(&self) -> u64 {
        self.watch.elapsed().as_millis() as u64
    }

    fn play(&mut self, cluster: &mut Cluster, counted: &mut Value) -> Result<()> {
        let mut first = [None; 2];
        loop {
            let step = draw(&mut self.chance, &self.faults);
            pause(step.calm);
            let leading = cluster.settle()?;
            self.look(cluster, counted)?;
            if self.watch.elapsed() >= self.duration || !self.seen.reasons.is_empty() {
                return Ok(());
            }
            self.strike(cluster, &step, leading)?;
            self.weigh(cluster, &mut first);
        }
    }

    /// Before each fault and at the end: nothing is wrong by now, and writes go on.
    fn look(&mut self, cluster: &Cluster, counted: &mut Value) -> Result<()> {
        let now = cluster.progress(counted)?;
        self.seen.reasons.extend(judge::wrong_by_now(&now));
        *counted = now;
        self.seen.reasons.extend(cluster.copies()?);
        Ok(())
    }

    /// One fault, from a pair in sync to a pair in sync.
    fn strike(&mut self, cluster: &mut Cluster, step: &Step, leading: usize) -> Result<()> {
        let said = |cluster: &Cluster| cluster.canary.as_ref().map(Process::said).unwrap_or_default();
        // What it saw before is not of this fault.
        drop(said(cluster));
        self.seen.faults += 1;
        let (nr, name) = (self.seen.faults, step.fault.name());
        println!(
            "{}",
            json!({
                "event": "fault", "nr": nr, "at_ms": self.at_ms(), "fault": name, "leading": NODES[leading],
                "calm_ms": step.calm.as_millis() as u64, "after_ms": step.after.as_millis() as u64,
                "trouble_ms": step.trouble.as_millis() as u64, "etcd_ms": step.etcd.as_millis() as u64,
            })
        );
        let lengths = Lengths { after: step.after, trouble: step.trouble, etcd: step.etcd };
        let of = || format!("fault {nr}, {name}");
        step.fault.play(cluster, leading, lengths).with_context(of)?;
        let (healed, healed_at_ms) = (Stopwatch::start(), self.at_ms());
        let leads = cluster.settle().with_context(of)?;
        let recovery = healed.elapsed().as_secs_f64() * 1e3;
        // An outage is told when it is over, and a call takes its time.
        pause(CALM);
        let (outage, failed) = outage(&said(cluster));
        let usage = NODES.iter().zip(cluster.usage());
        let nodes: Vec<Value> =
            usage.map(|(name, usage)| json!({"node": name, "usage": usage.map(Usage::to_json)})).collect();
        println!(
            "{}",
            json!({
                "event": "whole", "nr": nr, "at_ms": self.at_ms(), "healed_at_ms": healed_at_ms,
                "recovery_ms": recovery, "outage_ms": outage, "failed_calls": failed, "leading": NODES[leads],
                "nodes": nodes,
            })
        );
        let limits = step.fault.limits();
        let long = [
            judge::too_long("an outage", outage, limits.outage),
            judge::too_long("a recovery", recovery, limits.recovery),
        ];
        self.seen.reasons.extend(long.into_iter().flatten().map(|why| format!("{}: {why}", of())));
        self.seen.recoveries.push(recovery);
        self.seen.outages.push(outage);
        let kind = self.seen.kinds.entry(name.clone()).or_default();
        kind.outages.push(outage);
        kind.recoveries.push(recovery);
        kind.limits = Some(limits);
        Ok(())
    }

    /// What the nodes hold, against their first look.
    fn weigh(&mut self, cluster: &Cluster, first: &mut [Option<Usage>; 2]) {
        for (nr, now) in cluster.usage().into_iter().enumerate() {
            let Some(now) = now else { continue };
            self.seen.rss_kib_max = self.seen.rss_kib_max.max(now.rss_kib);
            self.seen.descriptors_max = self.seen.descriptors_max.max(now.descriptors);
            let first = *first[nr].get_or_insert(now);
            self.seen.reasons.extend(judge::grown(NODES[nr], first, now));
        }
    }
}

/// Its last line as counts that can be summed.
fn canary_counts(end: &Value) -> Value {
    json!({
        "event": end["event"], "writes": end["write"]["good"], "writes_failed": end["write"]["failed"],
        "reads": end["read"]["good"], "reads_failed": end["read"]["failed"],
        "outages": end["write"]["outages"], "unremoved": end["unremoved"],
    })
}

/// The longest outage of writes, and how many calls failed.
pub(super) fn outage(lines: &[Value]) -> (f64, u64) {
    let writes = lines.iter().filter(|line| line["event"] == "outage" && line["kind"] == "write");
    let longest = writes.filter_map(|line| line["ms"].as_f64()).fold(0.0, f64::max);
    (longest, lines.iter().filter_map(|line| line["failed_calls"].as_u64()).sum())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Chance, FAULTS, draw, outage};

    #[test]
    fn the_seed_gives_the_schedule() {
        let schedule = |seed| {
            let mut chance = Chance(seed);
            (0..200).map(|_| draw(&mut chance, &FAULTS)).collect::<Vec<_>>()
        };
        assert_eq!(schedule(7), schedule(7));
        assert_ne!(schedule(7), schedule(8));
        assert!(
            FAULTS.iter().all(|fault| schedule(7).iter().any(|step| step.fault == *fault)),
            "all are drawn"
        );
    }

    #[test]
    fn the_longest_outage_of_writes_counts() {
        let line =
            |kind: &str, ms: f64| json!({"event": "outage", "kind": kind, "ms": ms, "failed_calls": 2});
        assert_eq!(outage(&[line("write", 5.0), line("write", 9.0), line("read", 70.0)]), (9.0, 6));
        assert_eq!(outage(&[json!({"event": "end"})]), (0.0, 0));
    }
}
