//! `cargo xtask scale`: very many objects through a full sync and a failover, and very many clients that come back at
//! once. What it took is printed; what must be right is judged.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::child::{Process, Usage};
use super::cluster::{Cluster, NODES, Shape};
use super::{facts, judge};
use crate::machine;
use crate::run::{Stopwatch, pause, release_binary};
use crate::tally::Tally;

/// A safety limit for each step, not a figure.
const STEP_LIMIT: Duration = Duration::from_secs(3600);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Ample for the objects, in all segments together.
const BYTES_PER_OBJECT: u64 = 256;
const SEGMENT_BYTES_MIN: u64 = 16 << 20;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) objects: u64,
    pub(crate) clients: u32,
}

/// Runs it once; prints a line for each step, and a summary.
pub(crate) fn run(scale: Scale) -> Result<ExitCode> {
    let shape = Shape {
        members: 1,
        net: false,
        wall: false,
        load: false,
        canary_timeout: "100ms",
        seed: 1,
        may_lose: false,
        flags: String::new(),
    };
    let mut cluster = Cluster::start(&release_binary()?, &shape)?;
    let mut steps = Vec::new();
    let played = play(&mut cluster, scale, &mut steps);
    let mut reasons: Vec<String> = steps.iter().flat_map(|step| wrong(step, scale)).collect();
    reasons.extend(played.err().map(|error| format!("{error:#}")));
    if !reasons.is_empty() {
        reasons.push(cluster.keep());
    }
    let good = reasons.is_empty();
    let end = json!({
        "schema": 1, "event": "end", "good": good, "reasons": reasons, "objects": scale.objects,
        "clients": scale.clients, "machine": facts(), "commit": machine::commit(), "steps": steps,
    });
    println!("{end}");
    println!("{}", Tally::one(good));
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn play(cluster: &mut Cluster, scale: Scale, steps: &mut Vec<Value>) -> Result<()> {
    let mut note = |cluster: &Cluster, mut step: Value| {
        step["nodes"] = held(cluster);
        println!("{step}");
        steps.push(step);
    };
    let crowd = crowd(cluster, scale)?;
    note(cluster, event(&crowd, "attached")?);
    if scale.objects > 0 {
        note(cluster, event(&crowd, "filled")?);
    }
    let watch = Stopwatch::start();
    cluster.start_node(1)?;
    let leading = cluster.settle_within(STEP_LIMIT)?;
    note(cluster, json!({"event": "full sync", "took_ms": ms(&watch)}));
    note(cluster, compared(cluster)?);

    let watch = Stopwatch::start();
    cluster.nodes[leading].as_mut().context("it runs")?.end(Signal::SIGKILL)?;
    let back = event(&crowd, "attached")?;
    note(
        cluster,
        json!({"event": "failover", "took_ms": ms(&watch), "crowd": back, "objects": objects(cluster)?}),
    );

    let watch = Stopwatch::start();
    cluster.start_node(leading)?;
    cluster.settle_within(STEP_LIMIT)?;
    note(cluster, json!({"event": "rejoined", "took_ms": ms(&watch)}));
    note(cluster, compared(cluster)?);
    Ok(())
}

fn ms(watch: &Stopwatch) -> u64 {
    watch.elapsed().as_millis() as u64
}

fn crowd(cluster: &Cluster, scale: Scale) -> Result<Process> {
    let share = scale.objects.saturating_mul(BYTES_PER_OBJECT) / u64::from(scale.clients);
    let (clients, objects) = (scale.clients.to_string(), scale.objects.to_string());
    let bytes = share.max(SEGMENT_BYTES_MIN).to_string();
    let words = ["lab", "crowd", "--clients", &clients, "--objects", &objects, "--segment-bytes", &bytes];
    cluster.client(&words, "crowd")
}

/// Its next line of that kind.
fn event(crowd: &Process, what: &str) -> Result<Value> {
    loop {
        let line = crowd.line_within(STEP_LIMIT).with_context(|| format!("never: {what}"))?;
        if line["event"] == what {
            return Ok(line);
        }
    }
}

/// How many objects each node that answers has.
fn objects(cluster: &Cluster) -> Result<Value> {
    let status = cluster.ask(&["status"])?;
    let nodes = status["nodes"].as_array().into_iter().flatten();
    Ok(nodes.filter(|node| node["error"].is_null()).map(|node| node["objects"].clone()).collect())
}

/// Counts, and waits until both nodes have counted what is in their memory.
fn compared(cluster: &Cluster) -> Result<Value> {
    let watch = Stopwatch::start();
    loop {
        let verify = cluster.ask(&["verify", "status"])?;
        if has_counted(&verify) || watch.elapsed() >= STEP_LIMIT {
            return Ok(json!({
                "event": "compared", "took_ms": ms(&watch), "objects": objects(cluster)?,
                "counted": has_counted(&verify), "differing": judge::differing(&verify),
            }));
        }
        pause(LOOK_EVERY);
    }
}

fn has_counted(verify: &Value) -> bool {
    let nodes = verify["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    nodes.len() == NODES.len() && nodes.iter().all(|node| node["recount_equal"].is_boolean())
}

fn held(cluster: &Cluster) -> Value {
    let usage = NODES.iter().zip(cluster.usage());
    usage.map(|(name, usage)| json!({"node": name, "usage": usage.map(Usage::to_json)})).collect()
}

/// What is wrong with a step.
fn wrong(step: &Value, scale: Scale) -> Vec<String> {
    let mut reasons = Vec::new();
    let what = step["event"].as_str().unwrap_or("?");
    let told = match what {
        "filled" => vec![step["objects"].clone()],
        "compared" | "failover" => step["objects"].as_array().cloned().unwrap_or_default(),
        _ => Vec::new(),
    };
    let nodes = match what {
        "compared" => 2,
        "filled" | "failover" => 1,
        _ => 0,
    };
    if told.len() != nodes {
        reasons
            .push(format!("{what}: {} nodes tell how many objects they have, expected {nodes}", told.len()));
    }
    for count in told.iter().filter(|count| **count != scale.objects) {
        reasons.push(format!("{what}: {count} objects, expected {}", scale.objects));
    }
    if what == "failover" && step["crowd"]["clients"] != scale.clients {
        reasons.push(format!("{what}: not all clients came back: {}", step["crowd"]));
    }
    if what == "compared" && step["counted"] != true {
        reasons.push("the nodes have not counted their memory".to_owned());
    }
    reasons.extend(step["differing"].as_array().into_iter().flatten().map(|why| format!("{what}: {why}")));
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_can_fail() {
        let scale = Scale { objects: 10, clients: 3 };
        let count = |step: Value| wrong(&step, scale).len();
        let compared = |objects: Value, counted: bool, differing: Value| {
            count(
                json!({"event": "compared", "objects": objects, "counted": counted, "differing": differing}),
            )
        };
        assert_eq!(count(json!({"event": "filled", "objects": 10})), 0);
        assert_eq!(count(json!({"event": "filled", "objects": 9})), 1);
        assert_eq!(compared(json!([10, 10]), true, json!([])), 0);
        assert_eq!(compared(json!([10]), true, json!([])), 1, "a node is silent");
        assert_eq!(compared(json!([10, 9]), false, json!(["b differs"])), 3);
        let failover = |clients: u32| {
            count(json!({"event": "failover", "objects": [10], "crowd": {"clients": clients}}))
        };
        assert_eq!((failover(3), failover(2)), (0, 1));
    }

    #[test]
    fn both_must_have_counted() {
        let line = |nodes: Value| has_counted(&json!({"nodes": nodes}));
        assert!(line(json!([{"recount_equal": true}, {"recount_equal": false}])));
        assert!(!line(json!([{"recount_equal": true}, {"recount_equal": null}])));
        assert!(!line(json!([{"recount_equal": true}])));
    }
}
