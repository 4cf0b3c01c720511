//! `cargo xtask bench`: the figures of the kernel, the flight recorder and replication, into docs/figures.json.

use std::collections::BTreeMap;
use std::fs;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::run::{self, root};
use crate::{machine, performance};

const FIGURES: &str = "docs/figures.json";
const SCHEMA: u32 = 1;
/// With more load than this before the run, its times prove nothing.
const QUIET_LOAD: f64 = 0.5;
/// Rounds of each run of replication.
const ROUNDS: u32 = 5;

/// Where criterion leaves a figure, how many elements one round has, and the
/// goal in nanoseconds an element.
const TIMES: &[(&str, &str, f64, f64)] = &[
    ("put_pair", "master/put_pair_1", 128.0, 1_500.0),
    ("put_pair_in_batches_of_128", "master/put_pair_128", 128.0, 1_500.0),
    ("exist", "master/exist_1", 128.0, 300.0),
    ("exist_in_batches_of_128", "master/exist_128", 128.0, 200.0),
    ("encode_crc_append", "log_append", 1.0, 120.0),
    ("digest", "digest_object", 1.0, 20.0),
    ("allocate_and_free", "allocator_allocate_and_free", 1.0, 400.0),
    // 100,000 writes of two entries, four mounts and the beginning of the term.
    ("apply", "standby/apply", 200_005.0, 600.0),
    ("recorder_a_write", "recorder_write", 1.0, 150.0),
    ("recorder_a_write_in_batches_of_1000", "recorder_batch_1000", 1_000.0, 150.0),
];

/// What the other program prints, with its unit and its goal, if it has one.
const CAPACITY: &[(&str, &str, Option<f64>)] = &[
    ("bytes_an_object", "bytes", Some(180.0)),
    ("bytes_an_object_beside_its_key", "bytes", Some(120.0)),
    ("bytes_an_object_at_10_million", "bytes", Some(180.0)),
    ("exist_in_batches_at_10_million_ns", "ns", Some(400.0)),
    ("bytes_an_allocation", "bytes", Some(8.0)),
    ("eviction_census_ns_an_object", "ns", Some(30.0)),
    ("recount_ns_an_object", "ns", None),
    ("recount_audit_ns_an_object", "ns", None),
    ("eviction_pass_ns_an_object", "ns", None),
    ("eviction_step_us", "us", None),
    ("unmount_call_us", "us", None),
    ("unmount_sweep_ms", "ms", None),
    ("put_p99_us_before_unmount", "us", None),
    ("put_p99_us_during_unmount", "us", None),
];

/// What a third one prints, built to time its locks.
const HOLDS: &[(&str, &str, Option<f64>)] = &[
    ("eviction_longest_hold_us", "us", Some(100.0)),
    ("unmount_longest_hold_us", "us", Some(100.0)),
    ("remove_all_longest_hold_us", "us", Some(100.0)),
    ("full_sync_longest_hold_us", "us", Some(2_000.0)),
    ("full_sync_longest_hold_at_10_million_us", "us", None),
];

/// Runs the benches and writes the figures; prints a table, or one line of JSON.
pub(crate) fn run(as_json: bool) -> Result<ExitCode> {
    let busy_before = machine::load();
    for (package, name) in [("standfast-kernel", "kernel"), ("standfast", "recorder")] {
        let mut bench = run::cargo();
        bench.args(["bench", "--locked", "-p", package, "--bench", name]).stdout(Stdio::null());
        ensure!(run::status(bench)?.success(), "the benches of {name} failed");
    }
    let mut figures = BTreeMap::new();
    for (name, path, elements, goal) in TIMES {
        figures.insert(*name, time(path, *elements, *goal)?);
    }
    figures.extend(printed("capacity", &[], CAPACITY)?);
    figures.extend(printed("holds", &["--features", "holds"], HOLDS)?);
    let ratio = unmount_ratio(&figures);
    figures.insert("put_p99_unmount_ratio", json!({"unit": "times", "value": ratio, "goal": 2.0}));
    figures.extend(performance::figures(&performance::replication(ROUNDS)?));
    let document = json!({
        "schema": SCHEMA,
        "commit": machine::head(),
        "machine": facts(),
        "load_before": busy_before,
        // Times are processor time of one thread, latencies excepted. Beside a busy neighbour they
        // are longer, because it takes the caches; bytes are not.
        "quiet": busy_before.is_some_and(|load| load < QUIET_LOAD),
        "objects": 1_000_000,
        "key_bytes": 60,
        "figures": figures,
    });
    let path = root().join(FIGURES);
    fs::write(&path, format!("{document:#}\n")).with_context(|| format!("writing {}", path.display()))?;
    if as_json {
        println!("{document}");
    } else {
        table(&document);
    }
    Ok(ExitCode::SUCCESS)
}

/// How much longer a put takes while a segment of all objects dies.
fn unmount_ratio(figures: &BTreeMap<&str, Value>) -> Option<f64> {
    let value = |name: &str| figures.get(name)?["value"].as_f64();
    Some(tenth(value("put_p99_us_during_unmount")? / value("put_p99_us_before_unmount")?))
}

/// Median and spread of one figure, an element, as criterion has estimated them.
fn time(path: &str, elements: f64, goal: f64) -> Result<Value> {
    let file = root().join("target/criterion").join(path).join("new/estimates.json");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    figure(&serde_json::from_str(&text)?, elements, goal)
        .with_context(|| format!("{} has no estimates", file.display()))
}

fn figure(estimates: &Value, elements: f64, goal: f64) -> Option<Value> {
    let of = |name: &str| Some(estimates[name]["point_estimate"].as_f64()? / elements);
    let (median, spread) = (of("median")?, of("median_abs_dev")?);
    Some(json!({"unit": "ns", "median": tenth(median), "spread": tenth(spread), "goal": goal}))
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The figures that a bench prints line by line.
fn printed(
    name: &str,
    flags: &[&str],
    figures: &'static [(&str, &str, Option<f64>)],
) -> Result<BTreeMap<&'static str, Value>> {
    let mut bench = run::cargo();
    bench.args(["bench", "--locked", "-p", "standfast-kernel", "--bench", name]).args(flags);
    let done = bench.stderr(Stdio::inherit()).output().context("cannot run cargo bench")?;
    ensure!(done.status.success(), "the bench `{name}` failed");
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    figures
        .iter()
        .map(|(name, unit, goal)| {
            let value = value(&printed, name).with_context(|| format!("no figure `{name}` was printed"))?;
            Ok((*name, json!({"unit": unit, "value": value, "goal": goal})))
        })
        .collect()
}

/// The number behind a name, on a line of its own.
fn value(printed: &str, name: &str) -> Option<f64> {
    let line = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// Figures are worth what the machine is: its processor, cores, memory and system.
pub(crate) fn facts() -> Value {
    json!({
        "processor": machine::processor(),
        "cores": machine::cores(),
        "memory_kib": machine::memory_kib(),
        "kernel": machine::kernel(),
        "rustc": machine::output("rustc", &["--version"]),
    })
}

fn table(document: &Value) {
    if document["quiet"] != true {
        println!("the machine was busy (load {}): these times prove nothing", document["load_before"]);
    }
    let figures = document["figures"].as_object().into_iter().flatten();
    for (name, figure) in figures {
        let value = if figure["median"].is_null() { &figure["value"] } else { &figure["median"] };
        let spread = match &figure["spread"] {
            Value::Null => String::new(),
            Value::Array(ends) => format!(" ({} to {})", ends[0], ends[1]),
            half => format!(" +- {half}"),
        };
        let goal =
            figure["goal"].as_f64().map_or(String::new(), |g| format!("  (goal {g}{})", least(figure)));
        println!("{name:<34} {value}{spread} {}{goal}", figure["unit"].as_str().unwrap_or_default());
    }
}

/// Most goals are the most that a figure should be; some are the least.
fn least(figure: &Value) -> &'static str {
    if figure["goal_is"] == "least" { " or more" } else { "" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{figure, value};

    #[test]
    fn a_figure_is_the_median_an_element() {
        let estimates = json!({
            "median": {"point_estimate": 128_000.0}, "median_abs_dev": {"point_estimate": 640.0},
        });
        let found = figure(&estimates, 128.0, 1_500.0).expect("estimates");
        assert_eq!((found["median"].as_f64(), found["spread"].as_f64()), (Some(1_000.0), Some(5.0)));
        assert!(figure(&json!({}), 1.0, 1.0).is_none());
    }

    #[test]
    fn a_printed_figure_is_found_by_its_whole_name() {
        let printed = "bytes_an_object_beside_its_key 440\nbytes_an_object 500\n";
        assert_eq!(value(printed, "bytes_an_object"), Some(500.0));
        assert_eq!(value(printed, "bytes"), None);
    }
}
