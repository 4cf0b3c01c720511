//! The runs: each drives all its sides in turns with the same keys, so that only ratios of one run are told.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::Scale;
use super::cluster::{Cluster, Stock};
use crate::run::{Stopwatch, output_json, pause};

/// Writes a second beside which verification is weighed.
const PACE: u64 = 50_000;
const LAB: &[&str] = &["--enable-lab"];
const WITHOUT_VERIFICATION: &[&str] = &["--verify", "false"];
const ASYNC: &[&str] = &["--ack", "async"];
const REPAIRED_WITHIN_S: f64 = 120.0;
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) fn all(binary: &Path, scale: Scale) -> Result<Map<String, Value>> {
    let mut figures = Map::new();
    let mut add = |name: &str, run: Result<Value>| -> Result<()> {
        eprintln!("measured: {name}");
        figures.insert(name.to_owned(), run.with_context(|| name.to_owned())?);
        Ok(())
    };
    for connections in [1, 2, 4] {
        add(&format!("replicated_puts_{connections}"), throughput(binary, scale, connections))?;
    }
    add("one_writer", writers(binary, scale, 1))?;
    add("writers_64", writers(binary, scale, 64))?;
    add("verification", verification(binary, scale))?;
    add("repair_of_one_key", repair(binary, scale, 1))?;
    add("repair_of_one_percent", repair(binary, scale, scale.objects / 100))?;
    for op in ["put", "exist"] {
        for connections in [1, 2, 4] {
            add(&format!("stock_{op}_{connections}"), beside_stock(binary, scale, op, connections))?;
        }
    }
    Ok(figures)
}

/// `standfast bench` on some sides, each a target and its name.
fn bench(binary: &Path, scale: Scale, sides: &[(&str, String)], words: &[String]) -> Result<Value> {
    let mut command = Command::new(binary);
    command.args(["bench", "--json", "--allow-busy", "--rounds", &scale.rounds.to_string()]).args(words);
    for (i, (name, target)) in sides.iter().enumerate() {
        command.args([if i == 0 { "--target" } else { "--against" }, &format!("{target},name={name}")]);
    }
    let line = output_json(command)?;
    ensure!(line["verdict"] == "ok", "the run is {}: {}", line["verdict"], line["reasons"]);
    Ok(line)
}

fn words(flags: &str) -> Vec<String> {
    flags.split_whitespace().map(str::to_owned).collect()
}

/// Batches as engines send them, counted where the standby has applied them.
fn throughput(binary: &Path, scale: Scale, connections: u32) -> Result<Value> {
    let (sync, quick) = (Cluster::pair(binary, &[])?, Cluster::pair(binary, ASYNC)?);
    let alone = Cluster::alone(binary)?;
    let sides = [("sync", sync.grpc.clone()), ("async", quick.grpc.clone()), ("alone", alone.grpc.clone())];
    bench(binary, scale, &sides, &words(&format!("--count {} --connections {connections}", scale.count)))
}

/// What a caller with one key waits for its put: with a standby, and without.
fn writers(binary: &Path, scale: Scale, connections: u32) -> Result<Value> {
    let (sync, quick) = (Cluster::pair(binary, &[])?, Cluster::pair(binary, ASYNC)?);
    let alone = Cluster::alone(binary)?;
    let sides = [("sync", sync.grpc.clone()), ("async", quick.grpc.clone()), ("alone", alone.grpc.clone())];
    let count = scale.count / 40 * u64::from(connections).min(8);
    bench(binary, scale, &sides, &words(&format!("--batch 1 --count {count} --connections {connections}")))
}

/// The same pace beside the same objects, with verification and without.
fn verification(binary: &Path, scale: Scale) -> Result<Value> {
    let (on, off) = (Cluster::pair(binary, &[])?, Cluster::pair(binary, WITHOUT_VERIFICATION)?);
    let sides = [("on", on.grpc.clone()), ("off", off.grpc.clone())];
    let flags = format!("--keys {} --rate {PACE} --duration {}s", scale.objects, scale.seconds);
    let mut line = bench(binary, scale, &sides, &words(&flags))?;
    line["core_share"] = core_share(&line).into();
    Ok(line)
}

/// CPU of primary and standby that verification takes, of one core; `None` when it could not be measured.
fn core_share(line: &Value) -> Option<f64> {
    let cpu = |side: usize| {
        let target = &line["targets"][side];
        let of =
            |name: &str| Some(target[name]["median"].as_f64()? * target["keys_per_s"]["median"].as_f64()?);
        Some((of("server_cpu_us_per_key")? + of("standby_cpu_us_per_key")?) / 1e6)
    };
    Some(cpu(0)? - cpu(1)?)
}

/// A load that is killed when it is dropped.
struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Damages objects of the standby while writes go on; the time until all is proved equal again.
fn repair(binary: &Path, scale: Scale, damaged: u64) -> Result<Value> {
    let pair = Cluster::pair(binary, LAB)?;
    let mut command = Command::new(binary);
    command.args(["bench", "--json", "--allow-busy", "--duration", "300s", "--target", &pair.grpc]);
    command.args(["--keys", &scale.objects.to_string(), "--rate", &PACE.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _load = Load(command.spawn().context("cannot start the load")?);
    let objects = |status: &Value| {
        status["nodes"].as_array().and_then(|n| n.iter().filter_map(|n| n["objects"].as_u64()).max())
    };
    pair.until(binary, "the objects", |status| objects(status).is_some_and(|n| n >= scale.objects))?;
    let count = damaged.to_string();
    let watch = Stopwatch::start();
    let done = pair.ask(binary, &["lab", "corrupt", "--node", "b", "--kind", "field", "--count", &count])?;
    let planted = done["damaged"].as_array().map_or(0, Vec::len) as u64;
    ensure!(planted == damaged, "{planted} of {damaged} objects were damaged");
    let planted_s = watch.elapsed().as_secs_f64();
    let mut found_s = None;
    let mut seen = Value::Null;
    while watch.elapsed().as_secs_f64() < REPAIRED_WITHIN_S {
        seen = pair.ask(binary, &["verify", "status"])?;
        let standby = &seen["nodes"].as_array().into_iter().flatten().find(|n| n["role"] == "standby");
        let standby = standby.unwrap_or(&Value::Null);
        let now = watch.elapsed().as_secs_f64();
        if found_s.is_none() && is_unequal(standby) {
            found_s = Some(now);
        }
        if let Some(found_s) = found_s.filter(|found| is_equal_since(standby, now - found)) {
            return Ok(json!({
                "damaged": damaged, "planted_s": planted_s, "found_s": found_s, "proved_equal_s": now,
            }));
        }
        pause(LOOK_EVERY);
    }
    anyhow::bail!("not repaired after {REPAIRED_WITHIN_S} s: {seen}")
}

/// Whether the standby has met a difference, now or since it started.
fn is_unequal(standby: &Value) -> bool {
    let counted = standby["mismatches"].as_object().into_iter().flatten().any(|(_, n)| n.as_u64() > Some(0));
    counted || standby["homes_unequal"].as_u64() > Some(0)
}

/// Whether every home has been equal at some moment of the last so many seconds, and none is unequal.
fn is_equal_since(standby: &Value, seconds: f64) -> bool {
    let age_ms = standby["last_success_age_ms"].as_f64();
    standby["mismatched_keys"] == 0
        && standby["homes_unequal"] == 0
        && age_ms.is_some_and(|age| age / 1e3 < seconds)
}

/// Through Mooncake's protocol: ours with an async standby, beside the wheel's own master without any.
fn beside_stock(binary: &Path, scale: Scale, op: &str, connections: u32) -> Result<Value> {
    let (ours, stock) = (Cluster::pair(binary, ASYNC)?, Stock::start()?);
    let sides = [
        ("ours", format!("{},status={}", ours.mooncake, ours.grpc)),
        ("stock", format!("{},pid={}", stock.addr, stock.pid)),
    ];
    let flags = format!("--protocol mooncake --op {op} --count {} --connections {connections}", scale.count);
    bench(binary, scale, &sides, &words(&flags))
}
