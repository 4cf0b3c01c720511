//! `cargo xtask chaos`: one fault after the other, at random and for any time, against one cluster under load. The seed
//! gives the schedule: which fault, after how long, for how long.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::cluster::{Cluster, NODES, Process, Shape};
use super::faults::{Fault, Lengths, StruckAlone};
use super::{Distribution, facts, kept_binary, net, wall};
use crate::machine;
use crate::run::{Stopwatch, pause};
use crate::tally::Tally;

/// What may be drawn.
const FAULTS: [Fault; 12] = [
    Fault::Kill,
    Fault::KillStandby,
    Fault::CleanStop,
    Fault::Freeze,
    Fault::FreezeStandby,
    Fault::EtcdStopped,
    Fault::EtcdFrozen,
    Fault::LenderRestart,
    Fault::Rolling,
    Fault::Switchover,
    Fault::KillWithLender,
    Fault::EtcdStoppedStandbyKilled,
];
/// Where links can be cut.
const NET_FAULTS: [Fault; 7] = [
    Fault::Partition,
    Fault::OneWay,
    Fault::PacketLoss,
    Fault::CutFromEtcd,
    Fault::Slow,
    Fault::KillWhileSlow,
    Fault::FreezeUnderLoss,
];
/// Where wall clocks can jump.
const CLOCK_FAULTS: [Fault; 1] = [Fault::WallClock];
/// After a fault is over, the pair is whole again within this time; [`Cluster::settle`] waits no longer either.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

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
    outages: Vec<f64>,
    recoveries: Vec<f64>,
    /// By kind: outages and recoveries.
    kinds: BTreeMap<String, [Vec<f64>; 2]>,
    /// Clusters that were lost because their primary stood alone, and the keys that were lost with them.
    struck_alone: u64,
    lost_alone: u64,
}

/// Plays faults for `duration`; prints a line for each thing that happens, and a summary.
pub(crate) fn run(duration: Duration, seed: u64) -> Result<ExitCode> {
    let end = measure(duration, seed)?;
    println!("{end}");
    let good = end["good"] == true;
    println!("{}", Tally::one(good));
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same; returns the summary.
pub(crate) fn measure(duration: Duration, seed: u64) -> Result<Value> {
    let (_folder, binary) = kept_binary()?;
    let (no_net, no_clock) = (net::missing(), wall::missing());
    let mut faults = FAULTS.to_vec();
    faults.extend(NET_FAULTS.iter().filter(|_| no_net.is_none()));
    faults.extend(CLOCK_FAULTS.iter().filter(|_| no_clock.is_none()));
    println!(
        "{}",
        json!({
            "schema": 1, "event": "begin", "seed": seed, "duration_s": duration.as_secs_f64(),
            "machine": facts(), "commit": machine::commit(), "without_network": no_net, "without_clock": no_clock,
        })
    );
    let shape = Shape {
        members: 1,
        net: no_net.is_none(),
        wall: no_clock.is_none(),
        canary_timeout: "100ms",
        seed,
        flags: String::new(),
    };
    let watch = Stopwatch::start();
    let (mut chance, mut seen, mut reasons) = (Chance(seed), Seen::default(), Vec::new());
    let (load, canary) = loop {
        let mut cluster = Cluster::start(&binary, &shape)?;
        let played = play(&mut cluster, &watch, duration, &mut chance, &faults, &mut seen);
        match played {
            Err(error) if error.is::<StruckAlone>() => {
                let (found, lost) = cluster.finish_after_loss()?;
                (seen.struck_alone, seen.lost_alone) = (seen.struck_alone + 1, seen.lost_alone + lost);
                reasons.extend(found);
                let at_ms = watch.elapsed().as_millis() as u64;
                println!("{}", json!({"event": "struck_alone", "at_ms": at_ms, "keys_lost": lost}));
                if watch.elapsed() < duration {
                    continue;
                }
                break (Value::Null, Value::Null);
            }
            Err(error) => {
                reasons.push(format!("{error:#}"));
                reasons.extend(NODES.map(|name| format!("{name} logged: {}", cluster.words(name))));
            }
            Ok(()) => {}
        }
        let (found, load, canary) = cluster.finish()?;
        reasons.extend(found);
        break (load, canary);
    };
    let kinds: serde_json::Map<String, Value> =
        seen.kinds.iter().map(|(name, of)| (name.clone(), kind(of))).collect();
    let distribution = |all: &[f64]| Distribution::of(all).map(Distribution::to_json);
    Ok(json!({
        "schema": 1, "event": "end", "good": reasons.is_empty(), "failed": u64::from(!reasons.is_empty()),
        "reasons": reasons, "seed": seed, "duration_s": watch.elapsed().as_secs_f64(),
        "machine": facts(), "commit": machine::commit(), "without_network": no_net, "without_clock": no_clock,
        "struck_alone": seen.struck_alone, "lost_alone": seen.lost_alone,
        "faults": seen.outages.len(), "by_kind": kinds, "recovery_bound_ms": RECOVERY_MAX.as_millis() as u64,
        "outage_ms": distribution(&seen.outages), "recovery_ms": distribution(&seen.recoveries),
        "load": load, "canary": canary,
    }))
}

/// How often, and how long.
fn kind([outages, recoveries]: &[Vec<f64>; 2]) -> Value {
    json!({
        "times": outages.len(),
        "outage_ms": Distribution::of(outages).map(Distribution::to_json),
        "recovery_ms": Distribution::of(recoveries).map(Distribution::to_json),
    })
}

fn play(
    cluster: &mut Cluster,
    watch: &Stopwatch,
    duration: Duration,
    chance: &mut Chance,
    faults: &[Fault],
    seen: &mut Seen,
) -> Result<()> {
    for nr in 1.. {
        let step = draw(chance, faults);
        pause(step.calm);
        if watch.elapsed() >= duration {
            return Ok(());
        }
        let leading = cluster.settle()?;
        let said = |cluster: &Cluster| cluster.canary.as_ref().map(Process::said).unwrap_or_default();
        drop(said(cluster));
        let at_ms = watch.elapsed().as_millis() as u64;
        let name = format!("{:?}", step.fault);
        println!(
            "{}",
            json!({"event": "fault", "nr": nr, "at_ms": at_ms, "fault": name, "leading": NODES[leading]})
        );
        let lengths = Lengths { after: step.after, trouble: step.trouble, etcd: step.etcd };
        step.fault.play(cluster, leading, lengths).with_context(|| format!("fault {nr}, {name}"))?;
        let healed = Stopwatch::start();
        let leads = cluster
            .settle()
            .with_context(|| format!("fault {nr}, {name}: not whole within {} s", RECOVERY_MAX.as_secs()))?;
        let recovery = healed.elapsed().as_secs_f64() * 1e3;
        let (outage, failed) = outage(&said(cluster));
        println!(
            "{}",
            json!({
                "event": "whole", "nr": nr, "at_ms": watch.elapsed().as_millis() as u64, "recovery_ms": recovery,
                "outage_ms": outage, "failed_calls": failed, "leading": NODES[leads],
            })
        );
        seen.recoveries.push(recovery);
        seen.outages.push(outage);
        let [outages, recoveries] = seen.kinds.entry(name).or_default();
        outages.push(outage);
        recoveries.push(recovery);
    }
    Ok(())
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
            (0..50).map(|_| draw(&mut chance, &FAULTS)).collect::<Vec<_>>()
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
