//! What `scale` and `avalanche` have in common: crowds of clients, a line for each step, and the comparison of both nodes.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::child::{Process, Usage};
use super::cluster::{Cluster, NODES, Shape};
use super::{facts, judge};
use crate::machine;
use crate::run::{Stopwatch, pause, release_binary};
use crate::tally::Tally;

/// A safety limit for each step, not a figure.
pub(super) const STEP_LIMIT: Duration = Duration::from_secs(1200);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// For a busy node to tell how many objects it has.
const LATE_MAX: Duration = Duration::from_secs(60);
/// Ample for the objects, in all segments together.
const BYTES_PER_OBJECT: u64 = 256;
const SEGMENT_BYTES_MIN: u64 = 16 << 20;
/// Recounts go on all the time: the first one that ends had begun before, the second one says how things are now.
const WALKS: u32 = 2;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) objects: u64,
    pub(crate) clients: u32,
}

/// A cluster whose first node leads, and what came of each step by now.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    steps: Vec<Value>,
}

impl Stage {
    /// Plays; prints a line for each step and a summary, which `about` says more of.
    pub(super) fn run(
        flags: String,
        mut about: Value,
        play: impl FnOnce(&mut Self) -> Result<()>,
        wrong: impl Fn(&Value) -> Vec<String>,
    ) -> Result<ExitCode> {
        let shape = Shape {
            members: 1,
            net: false,
            wall: false,
            load: false,
            canary_timeout: "100ms",
            seed: 1,
            may_lose: false,
            flags,
        };
        let cluster = Cluster::start(&release_binary()?, &shape)?;
        let (watch, mut stage) = (Stopwatch::start(), Self { cluster, steps: Vec::new() });
        let played = play(&mut stage);
        let mut reasons: Vec<String> = stage.steps.iter().flat_map(wrong).collect();
        reasons.extend(played.err().map(|error| format!("{error:#}")));
        if !reasons.is_empty() {
            reasons.push(stage.cluster.keep());
        }
        let good = reasons.is_empty();
        for (field, value) in [
            ("schema", json!(1)),
            ("event", json!("end")),
            ("good", json!(good)),
            ("failed", json!(u64::from(!good))),
            ("reasons", json!(reasons)),
            ("duration_s", json!(watch.elapsed().as_secs_f64())),
            ("machine", facts()),
            ("commit", json!(machine::commit())),
            ("steps", json!(stage.steps)),
        ] {
            about[field] = value;
        }
        println!("{about}");
        println!("{}", Tally::one(good));
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Tells what came of a step, and what the nodes hold.
    pub(super) fn note(&mut self, mut step: Value) {
        let usage = NODES.iter().zip(self.cluster.usage());
        step["nodes"] =
            usage.map(|(name, of)| json!({"node": name, "usage": of.map(Usage::to_json)})).collect();
        println!("{step}");
        self.steps.push(step);
    }

    /// A crowd that attaches and puts its objects into its own segments; with `more` flags.
    pub(super) fn crowd(&self, nr: u16, scale: Scale, more: &[&str]) -> Result<Process> {
        let share = scale.objects.saturating_mul(BYTES_PER_OBJECT) / u64::from(scale.clients);
        let (clients, objects) = (scale.clients.to_string(), scale.objects.to_string());
        let (bytes, nr) = (share.max(SEGMENT_BYTES_MIN).to_string(), nr.to_string());
        let words =
            [["--crowd", &nr], ["--clients", &clients], ["--objects", &objects], ["--segment-bytes", &bytes]];
        self.cluster.client(&[&["lab", "crowd"], words.as_flattened(), more].concat(), &format!("crowd-{nr}"))
    }

    /// How many objects each node has, of so many that are to answer: one that is late is asked again.
    pub(super) fn objects(&self, nodes: usize) -> Result<Value> {
        let watch = Stopwatch::start();
        loop {
            let told = self.told()?;
            if told.len() >= nodes || watch.elapsed() >= LATE_MAX {
                return Ok(told.into());
            }
            pause(LOOK_EVERY);
        }
    }

    fn told(&self) -> Result<Vec<Value>> {
        let status = self.cluster.ask(&["status"])?;
        let nodes = status["nodes"].as_array().into_iter().flatten();
        Ok(nodes.filter(|node| node["error"].is_null()).map(|node| node["objects"].clone()).collect())
    }

    /// Counts, and waits until both nodes have counted what is in their memory as it is now.
    pub(super) fn compared(&self) -> Result<Value> {
        let (watch, mut walks) = (Stopwatch::start(), Walks::default());
        loop {
            let from = ms(&watch);
            let verify = self.cluster.ask(&["verify", "status"])?;
            walks.see(&verify, from, ms(&watch));
            if walks.are_over() || watch.elapsed() >= STEP_LIMIT {
                return Ok(json!({
                    "event": "compared", "took_ms": ms(&watch), "objects": self.objects(NODES.len())?,
                    "counted": walks.are_over(), "differing": judge::differing(&verify),
                }));
            }
            pause(LOOK_EVERY);
        }
    }
}

pub(super) fn ms(watch: &Stopwatch) -> u64 {
    watch.elapsed().as_millis() as u64
}

/// Its next line of that kind.
pub(super) fn event(process: &Process, what: &str) -> Result<Value> {
    loop {
        let line = process.line_within(STEP_LIMIT).with_context(|| format!("never: {what}"))?;
        if line["event"] == what {
            return Ok(line);
        }
    }
}

/// What is wrong with a comparison: so many objects are to be on each node.
pub(super) fn wrong_copies(compared: &Value, objects: u64) -> Vec<String> {
    let told = compared["objects"].as_array().cloned().unwrap_or_default();
    let mut reasons = wrong_counts("compared", &told, NODES.len(), objects);
    if compared["counted"] != true {
        reasons.push("the nodes have not counted their memory".to_owned());
    }
    let differing = compared["differing"].as_array().into_iter().flatten();
    reasons.extend(differing.map(|why| format!("compared: {why}")));
    reasons
}

/// What is wrong with what so many nodes are to tell.
pub(super) fn wrong_counts(what: &str, told: &[Value], nodes: usize, objects: u64) -> Vec<String> {
    let mut reasons = Vec::new();
    if told.len() != nodes {
        reasons
            .push(format!("{what}: {} nodes tell how many objects they have, expected {nodes}", told.len()));
    }
    let wrong = told.iter().filter(|count| **count != objects);
    reasons.extend(wrong.map(|count| format!("{what}: {count} objects, expected {objects}")));
    reasons
}

/// For each node how many recounts of all its memory have ended since this was made, and when the last of them did, at
/// the latest, in milliseconds.
#[derive(Default)]
struct Walks(BTreeMap<String, (u32, f64)>);

impl Walks {
    /// `verify status`, asked for and answered at these times.
    fn see(&mut self, verify: &Value, from_ms: u64, to_ms: u64) {
        for node in verify["nodes"].as_array().into_iter().flatten() {
            let (Some(name), Some(age)) = (node["node"].as_str(), node["recount_age_ms"].as_f64()) else {
                continue;
            };
            let (ended, last) = self.0.entry(name.to_owned()).or_default();
            if from_ms as f64 - age > *last {
                (*ended, *last) = (*ended + 1, to_ms as f64 - age);
            }
        }
    }

    fn are_over(&self) -> bool {
        self.0.values().filter(|(ended, _)| *ended >= WALKS).count() == NODES.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_nodes_must_have_begun_and_ended_a_walk() {
        let mut walks = Walks::default();
        let mut at = |ms: u64, ages: [Value; 2]| {
            let [a, b] = ages.map(|age| json!(age));
            let nodes = json!([{"node": "a", "recount_age_ms": a}, {"node": "b", "recount_age_ms": b}]);
            walks.see(&json!({"nodes": nodes}), ms, ms + 10);
            walks.are_over()
        };
        assert!(!at(100, [json!(500), Value::Null]), "before this began");
        assert!(!at(1000, [json!(200), json!(10)]));
        assert!(!at(1500, [json!(700), json!(505)]), "the same ones");
        assert!(!at(3000, [json!(100), json!(2005)]), "only one node's");
        assert!(at(4000, [json!(1100), json!(300)]));
    }

    #[test]
    fn each_fault_of_a_comparison_is_told() {
        let count = |objects: Value, counted: bool, differing: Value| {
            let line = json!({"objects": objects, "counted": counted, "differing": differing});
            wrong_copies(&line, 10).len()
        };
        assert_eq!(count(json!([10, 10]), true, json!([])), 0);
        assert_eq!(count(json!([10]), true, json!([])), 1, "a node is silent");
        assert_eq!(count(json!([10, null]), true, json!([])), 1, "unknown is not equal");
        assert_eq!(count(json!([10, 9]), false, json!(["b differs"])), 3);
    }
}
