//! `cargo xtask scale`: very many objects through a full sync and a failover, and very many clients that come back at
//! once. What it took is printed; what must be right is judged.

use std::process::ExitCode;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

pub(crate) use super::stage::Scale;
use super::stage::{STEP_LIMIT, Stage, event, ms, wrong_copies, wrong_counts};
use crate::run::Stopwatch;

/// Nodes count their memory anew in this time, as far as the pace of their steps allows: nobody's puts are timed here,
/// and at the default rate the comparison of 10,000,000 objects would take minutes.
const RECOUNT_S: u64 = 10;
const RECOUNT_ITEMS_MIN: u64 = 100_000;

/// Runs it once; prints a line for each step, and a summary.
pub(crate) fn run(scale: Scale) -> Result<ExitCode> {
    let items = (scale.objects / RECOUNT_S).max(RECOUNT_ITEMS_MIN);
    let about = json!({"command": "scale", "objects": scale.objects, "clients": scale.clients});
    let flags = format!("--verify-recount-items {items}");
    Stage::run(flags, about, |stage| play(stage, scale), |step| wrong(step, scale))
}

fn play(stage: &mut Stage, scale: Scale) -> Result<()> {
    let crowd = stage.crowd(0, scale, &["--probe"])?;
    stage.note(event(&crowd, "attached")?);
    if scale.objects > 0 {
        stage.note(event(&crowd, "filled")?);
    }
    let watch = Stopwatch::start();
    stage.cluster.start_node(1)?;
    stage.cluster.settle_within(STEP_LIMIT)?;
    stage.note(json!({"event": "full sync", "took_ms": ms(&watch)}));
    stage.note(stage.compared()?);

    // Comparing takes long: a machine that stumbled may have changed who leads, and what the crowd said of it is old.
    let leading = stage.cluster.settle_within(STEP_LIMIT)?;
    drop(crowd.said());
    crowd.signal(Signal::SIGUSR2)?;
    let watch = Stopwatch::start();
    stage.cluster.nodes[leading].as_mut().context("it runs")?.end(Signal::SIGKILL)?;
    let back = event(&crowd, "attached")?;
    let took_ms = ms(&watch);
    stage.note(json!({"event": "failover", "took_ms": took_ms, "crowd": back, "objects": stage.objects(1)?}));

    let watch = Stopwatch::start();
    stage.cluster.start_node(leading)?;
    stage.cluster.settle_within(STEP_LIMIT)?;
    stage.note(json!({"event": "rejoined", "took_ms": ms(&watch)}));
    stage.note(stage.compared()?);
    Ok(())
}

/// What is wrong with a step.
fn wrong(step: &Value, scale: Scale) -> Vec<String> {
    let what = step["event"].as_str().unwrap_or("?");
    let mut reasons = match what {
        "filled" => wrong_counts(what, &[step["objects"].clone()], 1, scale.objects),
        "failover" => {
            let told = step["objects"].as_array().cloned().unwrap_or_default();
            wrong_counts(what, &told, 1, scale.objects)
        }
        "compared" => wrong_copies(step, scale.objects),
        _ => Vec::new(),
    };
    if what == "failover" && step["crowd"]["clients"] != scale.clients {
        reasons.push(format!("{what}: not all clients came back: {}", step["crowd"]));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_can_fail() {
        let scale = Scale { objects: 10, clients: 3 };
        let count = |step: Value| wrong(&step, scale).len();
        assert_eq!(count(json!({"event": "filled", "objects": 10})), 0);
        assert_eq!(count(json!({"event": "filled", "objects": 9})), 1);
        let compared = |objects: Value| {
            count(json!({"event": "compared", "objects": objects, "counted": true, "differing": []}))
        };
        assert_eq!((compared(json!([10, 10])), compared(json!([10, 9]))), (0, 1));
        let failover = |objects: Value, clients: u32| {
            count(json!({"event": "failover", "objects": objects, "crowd": {"clients": clients}}))
        };
        assert_eq!((failover(json!([10]), 3), failover(json!([10]), 2)), (0, 1));
        assert_eq!((failover(json!([9]), 3), failover(json!([10, 10]), 3)), (1, 1));
    }
}
