//! The pipeline itself: how long an entry takes to the standby, how fast one that was away catches up, and what
//! a full sync costs those who write meanwhile.

use std::path::Path;
use std::process::Child;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Scale;
use super::cluster::Cluster;
use super::measure::{PACE, bench, words};
use crate::run::Stopwatch;

/// Writes whose way is looked up.
const SAMPLES: u64 = 400;
/// The newest writes that both nodes remember for sure.
const REMEMBERED: u64 = 40_000;
/// A log that keeps everything that is caught up with.
const LARGE_LOG: &[&str] = &["--log-mib", "2048"];

/// From the append on the primary to the apply on the standby, at an even pace, with requests of so many keys. The
/// load has ended when its writes are looked up.
pub(super) fn delay(binary: &Path, scale: Scale, batch: u32) -> Result<Value> {
    let pair = Cluster::pair(binary, &[])?;
    let flags = format!("--rate {PACE} --batch {batch} --duration {}s", scale.seconds.min(5));
    let run = bench(binary, scale, &[("pair", pair.grpc.clone())], &words(&flags))?;
    let tail = positions(&pair.ask(binary, &["status"])?).context("no primary")?.0;
    let (mut delays, mut error_ms) = (Vec::new(), 0.0f64);
    // An odd step: every place in a batch is looked at.
    for i in 1..=SAMPLES {
        let seq = tail.saturating_sub(i * (REMEMBERED / SAMPLES + 1)).to_string();
        let path = pair.ask(binary, &["trace", &seq])?;
        if let Some((delay, error)) = applied_after(&path) {
            delays.push(delay);
            error_ms = error_ms.max(error);
        }
    }
    ensure!(delays.len() as u64 > SAMPLES / 2, "{} of {SAMPLES} writes are remembered", delays.len());
    delays.sort_by(f64::total_cmp);
    let at = |percent: usize| delays[(delays.len() - 1) * percent / 100];
    Ok(json!({
        "batch": batch, "samples": delays.len(), "p50_ms": at(50), "p99_ms": at(99), "clock_error_ms": error_ms,
        "keys_per_s": run["targets"][0]["keys_per_s"]["median"], "others_cores": run["machine"]["others_cores"],
    }))
}

/// Milliseconds from appended to applied in the path of a write, and by how much they may be wrong because the
/// clocks are two.
fn applied_after(path: &Value) -> Option<(f64, f64)> {
    let step = |stage: &str| path["path"].as_array()?.iter().find(|step| step["stage"] == stage);
    let (appended, applied) = (step("appended")?, step("standby_applied")?);
    Some((applied["at_ms"].as_f64()? - appended["at_ms"].as_f64()?, applied["error_ms"].as_f64()?))
}

/// Tail of the primary, and what its standby has applied.
fn positions(status: &Value) -> Option<(u64, Option<u64>)> {
    let mut nodes = status["nodes"].as_array()?.iter();
    let primary = nodes.find(|n| n["role"] == "primary")?;
    Some((primary["tail"].as_u64()?, primary["standbys"][0]["applied"].as_u64()))
}

/// A standby that lacks everything the log holds: entries that it applies a second, from a twentieth to nineteen
/// twentieths of them.
pub(super) fn catch_up(binary: &Path, scale: Scale) -> Result<Value> {
    let mut cluster = Cluster::alone(binary, LARGE_LOG)?;
    let flags = words(&format!("--count {} --connections 2", scale.objects));
    bench(binary, Scale { rounds: 1, ..scale }, &[("alone", cluster.grpc.clone())], &flags)?;
    let tail = positions(&cluster.ask(binary, &["status"])?).context("no primary")?.0;
    let watch = Stopwatch::start();
    let mut seen = Vec::new();
    cluster.join_seen(binary, LARGE_LOG, |status| {
        let applied = positions(status).and_then(|(_, applied)| applied);
        seen.extend(applied.map(|applied| (watch.elapsed().as_secs_f64(), applied)));
    })?;
    let within = |part: u64| seen.iter().find(|(_, applied)| *applied >= tail / 20 * part);
    let (from, to) = within(1).zip(within(19)).context("the standby was not seen catching up")?;
    let rate = (to.1 - from.1) as f64 / (to.0 - from.0);
    // Between two looks it may have come from anywhere to the end.
    let rate = Some(rate).filter(|rate| rate.is_finite());
    Ok(json!({"entries": tail, "entries_per_s": rate, "in_sync_s": watch.elapsed().as_secs_f64()}))
}

/// What a caller with one key waits before and while a standby is given all objects, beside the same writes.
pub(super) fn full_sync(binary: &Path, scale: Scale, cluster: &mut Cluster, flags: &[&str]) -> Result<Value> {
    let probe = |duration: &str| {
        words(&format!("--batch 1 --connections 1 --rate 1000 --shared --duration {duration}"))
    };
    let one = Scale { rounds: 1, ..scale };
    let side = [("probe", cluster.grpc.clone())];
    let before = bench(binary, one, &side, &probe("4s"))?;
    let meanwhile = super::measure::start_bench(binary, one, &side, &probe("2s"))?;
    let watch = Stopwatch::start();
    let (mut held, mut in_sync_s) = (None, None);
    cluster.join_seen(binary, flags, |status| {
        held = held.max(lock_hold(status));
        in_sync_s = Some(watch.elapsed().as_secs_f64());
    })?;
    let during = line(meanwhile)?;
    let p99 = |run: &Value| run["targets"][0]["batch_p99_ms"]["median"].as_f64();
    Ok(json!({
        "in_sync_s": in_sync_s, "lock_hold_max_us": held,
        "put_p99_before_ms": p99(&before), "put_p99_during_ms": p99(&during),
    }))
}

/// The longest hold of a home that the primary has told of.
fn lock_hold(status: &Value) -> Option<u64> {
    let nodes = status["nodes"].as_array().into_iter().flatten();
    let standbys = nodes.flat_map(|n| n["standbys"].as_array().into_iter().flatten());
    standbys.filter_map(|s| s["progress"]["lock_hold_max_us"].as_u64()).max()
}

fn line(child: Child) -> Result<Value> {
    let done = child.wait_with_output().context("the probe")?;
    let line = String::from_utf8_lossy(&done.stdout);
    serde_json::from_str(line.trim()).with_context(|| format!("the probe said {line:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{applied_after, lock_hold, positions};

    #[test]
    fn figures_are_read_from_what_commands_print() {
        let step = |stage: &str, at: f64| json!({"stage": stage, "at_ms": at, "error_ms": 0.125});
        let path =
            json!({"path": [step("received", 0.0), step("appended", 0.25), step("standby_applied", 0.75)]});
        assert_eq!(applied_after(&path), Some((0.5, 0.125)));
        assert_eq!(applied_after(&json!({"path": [step("appended", 0.25)]})), None);
        let status = json!({"nodes": [
            {"role": "primary", "tail": 9, "standbys": [{"applied": 4, "progress": {"lock_hold_max_us": 7}}]},
        ]});
        assert_eq!(positions(&status), Some((9, Some(4))));
        assert_eq!((lock_hold(&status), lock_hold(&json!({}))), (Some(7), None));
    }
}
