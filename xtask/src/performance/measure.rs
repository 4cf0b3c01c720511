//! The runs: each drives all its sides in turns with the same keys, so that only ratios of one run are told.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::cluster::{Cluster, Stock};
use super::sink::Sink;
use super::{Scale, pipeline, wheel};
use crate::process::Owned;
use crate::run::{Stopwatch, output_json, pause};

/// Writes a second beside which verification is weighed.
pub(super) const PACE: u64 = 50_000;
const LAB: &[&str] = &["--enable-lab"];
const WITHOUT_VERIFICATION: &[&str] = &["--verify", "false"];
const ASYNC: &[&str] = &["--ack", "async"];
const REPAIRED_WITHIN_S: f64 = 120.0;
const SCRAPES: usize = 20;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs by name.
type Runs = Map<String, Value>;

/// Keeps a run. One that failed is told of in its place: hours of others are not thrown away with it.
fn add(runs: &mut Runs, name: &str, run: Result<Value>) {
    let run = run.unwrap_or_else(|error| json!({"error": format!("{error:#}")}));
    match &run["error"] {
        Value::Null => eprintln!("measured: {name}"),
        why => eprintln!("not measured: {name}: {why}"),
    }
    runs.insert(name.to_owned(), run);
}

pub(super) fn all(binary: &Path, scale: Scale) -> Runs {
    let mut runs = writes(binary, scale);
    add(&mut runs, "verification", verification(binary, scale));
    add(&mut runs, "tracing_by_default", tracing(binary, scale, &[]));
    add(&mut runs, "tracing_of_everything", tracing(binary, scale, &["--trace-sample", "always"]));
    match Loaded::start(binary, scale) {
        Ok(mut loaded) => {
            add(&mut runs, "scrape", scrape(&loaded.cluster));
            add(&mut runs, "full_sync", loaded.full_sync(scale));
            add(&mut runs, "repair_of_one_key", loaded.repair(1));
            add(&mut runs, "repair_of_one_percent", loaded.repair(scale.objects / 100));
        }
        Err(error) => add(&mut runs, "a million objects", Err(error)),
    }
    for op in ["put", "exist"] {
        for connections in [1, 2, 4] {
            let name = format!("stock_{op}_{connections}");
            add(&mut runs, &name, beside_stock(binary, scale, op, connections));
        }
    }
    add(&mut runs, "wheel_single", wheel::single(binary, scale.rounds));
    runs
}

/// What replication alone costs.
pub(super) fn replication(binary: &Path, scale: Scale) -> Runs {
    let mut runs = writes(binary, scale);
    let full_sync = Loaded::start(binary, scale).and_then(|mut loaded| loaded.full_sync(scale));
    add(&mut runs, "full_sync", full_sync);
    runs
}

/// Puts with and without a standby.
fn writes(binary: &Path, scale: Scale) -> Runs {
    let mut runs = Runs::new();
    for connections in [1, 2, 4] {
        let name = format!("replicated_puts_{connections}");
        add(&mut runs, &name, throughput(binary, scale, connections));
    }
    add(&mut runs, "one_writer", writers(binary, scale, 1));
    add(&mut runs, "writers_64", writers(binary, scale, 64));
    for batch in [32, 128] {
        add(&mut runs, &format!("delay_{batch}"), pipeline::delay(binary, scale, batch));
    }
    add(&mut runs, "catch_up", pipeline::catch_up(binary, scale));
    runs
}

/// `standfast bench` on some sides, each a target and its name.
pub(super) fn bench(
    binary: &Path,
    scale: Scale,
    sides: &[(&str, String)],
    words: &[String],
) -> Result<Value> {
    let line = output_json(bench_command(binary, scale, sides, words))?;
    ensure!(line["verdict"] == "ok", "the run is {}: {}", line["verdict"], line["reasons"]);
    Ok(line)
}

fn bench_command(binary: &Path, scale: Scale, sides: &[(&str, String)], words: &[String]) -> Command {
    let mut command = Command::new(binary);
    command.args(["bench", "--json", "--allow-busy", "--rounds", &scale.rounds.to_string()]).args(words);
    for (i, (name, target)) in sides.iter().enumerate() {
        command.args([if i == 0 { "--target" } else { "--against" }, &format!("{target},name={name}")]);
    }
    command
}

/// The same beside something else; its line is read when it has ended.
pub(super) fn start_bench(
    binary: &Path,
    scale: Scale,
    sides: &[(&str, String)],
    words: &[String],
) -> Result<Child> {
    let mut command = bench_command(binary, scale, sides, words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().context("cannot start a load")
}

pub(super) fn words(flags: &str) -> Vec<String> {
    flags.split_whitespace().map(str::to_owned).collect()
}

/// Batches as engines send them, counted where the standby has applied them.
fn throughput(binary: &Path, scale: Scale, connections: u32) -> Result<Value> {
    let (sync, quick) = (Cluster::pair(binary, &[])?, Cluster::pair(binary, ASYNC)?);
    let alone = Cluster::alone(binary, &[])?;
    let sides = [("sync", sync.grpc.clone()), ("async", quick.grpc.clone()), ("alone", alone.grpc.clone())];
    bench(binary, scale, &sides, &words(&format!("--count {} --connections {connections}", scale.count)))
}

/// What a caller with one key waits for its put: with a standby, and without.
fn writers(binary: &Path, scale: Scale, connections: u32) -> Result<Value> {
    let (sync, quick) = (Cluster::pair(binary, &[])?, Cluster::pair(binary, ASYNC)?);
    let alone = Cluster::alone(binary, &[])?;
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

/// The same load with spans exported by both nodes, sampled by these flags, and without.
fn tracing(binary: &Path, scale: Scale, sampling: &[&str]) -> Result<Value> {
    let sink = Sink::start()?;
    let flags = [&["--otlp", &sink.url], sampling].concat();
    let (on, off) = (Cluster::pair(binary, &flags)?, Cluster::pair(binary, &[])?);
    let sides = [("traced", on.grpc.clone()), ("untraced", off.grpc.clone())];
    let line = bench(binary, scale, &sides, &words(&format!("--count {} --connections 2", scale.count)))?;
    ensure!(sink.bytes() > 0, "no span was exported: both sides are the same");
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

/// A cluster with its objects, and writes that go on.
struct Loaded<'a> {
    binary: &'a Path,
    cluster: Cluster,
    _load: Owned,
}

impl<'a> Loaded<'a> {
    /// A primary alone; writes begin when its objects are there.
    fn start(binary: &'a Path, scale: Scale) -> Result<Self> {
        let cluster = Cluster::alone(binary, LAB)?;
        let mut command = Command::new(binary);
        command.args(["bench", "--json", "--allow-busy", "--duration", "600s", "--target", &cluster.grpc]);
        command.args(["--keys", &scale.objects.to_string(), "--rate", &PACE.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let load = Owned(command.spawn().context("cannot start the load")?);
        let all = |status: &Value| {
            let nodes = status["nodes"].as_array().into_iter().flatten();
            nodes.filter_map(|n| n["objects"].as_u64()).max() > Some(scale.objects)
        };
        cluster.until(binary, "the objects", all)?;
        Ok(Self { binary, cluster, _load: load })
    }

    /// A standby with nothing joins; the time from its start until it is in sync, and what others feel of it.
    fn full_sync(&mut self, scale: Scale) -> Result<Value> {
        pipeline::full_sync(self.binary, scale, &mut self.cluster, LAB)
    }

    /// Damages objects of the standby; the time until all is proved equal again.
    fn repair(&self, damaged: u64) -> Result<Value> {
        let (pair, binary) = (&self.cluster, self.binary);
        let met = self.differences()?;
        let count = damaged.to_string();
        let watch = Stopwatch::start();
        let done =
            pair.ask(binary, &["lab", "corrupt", "--node", "b", "--kind", "field", "--count", &count])?;
        let planted = done["damaged"].as_array().map_or(0, Vec::len) as u64;
        ensure!(planted == damaged, "{planted} of {damaged} objects were damaged: {done}");
        let planted_s = watch.elapsed().as_secs_f64();
        let mut found_s = None;
        while watch.elapsed().as_secs_f64() < REPAIRED_WITHIN_S {
            let (standby, now) = (self.verified()?, watch.elapsed().as_secs_f64());
            if found_s.is_none() && (met_by(&standby) > met || standby["homes_unequal"].as_u64() > Some(0)) {
                found_s = Some(now);
            }
            if let Some(found_s) = found_s.filter(|found| is_equal_since(&standby, now - found)) {
                return Ok(json!({
                    "damaged": damaged, "planted_s": planted_s, "found_s": found_s, "proved_equal_s": now,
                }));
            }
            pause(LOOK_EVERY);
        }
        bail!("not repaired after {REPAIRED_WITHIN_S} s: {}", self.verified()?)
    }

    /// What the standby says of verification.
    fn verified(&self) -> Result<Value> {
        let seen = self.cluster.ask(self.binary, &["verify", "status"])?;
        let mut nodes = seen["nodes"].as_array().into_iter().flatten();
        Ok(nodes.find(|n| n["role"] == "standby").cloned().unwrap_or_default())
    }

    fn differences(&self) -> Result<u64> {
        self.verified().map(|standby| met_by(&standby))
    }
}

/// Differences that the standby has met since it started.
fn met_by(standby: &Value) -> u64 {
    standby["mismatches"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum()
}

/// Whether every home has been equal at some moment of the last so many seconds, and none is unequal.
fn is_equal_since(standby: &Value, seconds: f64) -> bool {
    let age_ms = standby["last_success_age_ms"].as_f64();
    standby["mismatched_keys"] == 0
        && standby["homes_unequal"] == 0
        && age_ms.is_some_and(|age| age / 1e3 < seconds)
}

/// What a scrape costs, and how much it brings.
fn scrape(cluster: &Cluster) -> Result<Value> {
    let mut times = Vec::new();
    let mut page = String::new();
    for _ in 0..SCRAPES {
        let watch = Stopwatch::start();
        let mut stream = TcpStream::connect(&cluster.http)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", cluster.http)?;
        page.clear();
        stream.read_to_string(&mut page)?;
        times.push(watch.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let series = page.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase())).count();
    ensure!(page.starts_with("HTTP/1.1 200") && series > 0, "a scrape brought {page:?}");
    Ok(json!({"median_ms": times[SCRAPES / 2], "max_ms": times[SCRAPES - 1], "series": series}))
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
