//! `cargo xtask avalanche`: a segment of very many objects is unmounted, and another one expires because its client
//! died, while puts go on. How long those took before and meanwhile is printed; what must be there, and what must not,
//! is judged.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::child::Process;
use super::cluster::{Cluster, NODES, primary, whole};
use super::stage::{STEP_LIMIT, Scale, Stage, event, ms, wrong_copies};
use crate::run::{Stopwatch, pause};

/// What lives through it all, the puts' memory included.
const KEPT: Scale = Scale { objects: 100_000, clients: 100 };
const KEPT_CROWD: u16 = 0;
/// Calls of one key, from four connections.
const PUTS_PER_S: &str = "1000";
/// Puts before what they are compared with, and then: for connections to open, for as many timings as may come later.
const WARM: Duration = Duration::from_secs(2);
const CALM: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The p99 of a put meanwhile, in times of that before: a goal, not judged.
const RATIO_GOAL: f64 = 2.0;

/// How a segment's end comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Its client takes it back.
    Unmounted,
    /// Its client is killed; it expires.
    Expired,
}

impl How {
    fn word(self) -> &'static str {
        match self {
            Self::Unmounted => "unmounted",
            Self::Expired => "expired",
        }
    }
}

/// Runs it once for each end; prints a line for each step, and a summary.
pub(crate) fn run(objects: u64) -> Result<ExitCode> {
    let about = json!({
        "command": "avalanche", "objects": objects, "kept": KEPT.objects, "put_p99_ratio_goal": RATIO_GOAL,
    });
    // Counted anew at the default rate: that is what else goes on in a node.
    Stage::run("--ack sync".to_owned(), about, |stage| play(stage, objects), wrong)
}

fn play(stage: &mut Stage, objects: u64) -> Result<()> {
    stage.cluster.start_node(1)?;
    stage.cluster.settle()?;
    let keepers = stage.crowd(KEPT_CROWD, KEPT, &[])?;
    let filled = event(&keepers, "filled")?;
    ensure!(filled["objects"] == KEPT.objects, "what is to be kept was not put: {filled}");
    let mut kept = KEPT.objects;
    for (nr, how) in (1..).zip([How::Unmounted, How::Expired]) {
        let step = round(stage, how, nr, objects, kept)?;
        let (acked, lost) = (count(&step["puts"], "acked"), step["puts"]["not_acked"] != 0);
        stage.note(step);
        if lost {
            // That has failed; and nobody knows how many objects there are, from which another round would begin.
            break;
        }
        kept += acked;
    }
    Ok(())
}

/// Fills a segment, ends it, and looks until all is gone. `nr` names its crowd; `kept` objects are there besides.
fn round(stage: &Stage, how: How, nr: u16, objects: u64, kept: u64) -> Result<Value> {
    let cluster = &stage.cluster;
    let mut doomed = stage.crowd(nr, Scale { objects, clients: 1 }, &[])?;
    let filled = event(&doomed, "filled")?;
    cluster.settle_within(STEP_LIMIT)?;
    // Crowds of one digit lend, the others put.
    let putter = nr + 10;
    let puts = Puts::start(cluster, putter)?;
    let before = calm(cluster, &puts)?;

    let watch = Stopwatch::start();
    match how {
        How::Unmounted => doomed.signal(Signal::SIGUSR1)?,
        How::Expired => doomed.end(Signal::SIGKILL)?,
    }
    let mut seen = Seen { kept, objects, ..Seen::default() };
    while !seen.all_gone() {
        ensure!(watch.elapsed() < STEP_LIMIT, "it is not gone after {} s: {seen:?}", STEP_LIMIT.as_secs());
        // Until it begins, what was timed is of no removal.
        let from = if seen.began_ms.is_none() && how == How::Expired { puts.turn()? } else { puts.ask()? };
        let status = cluster.ask(&["status"])?;
        let at = ms(&watch);
        let to = puts.ask()?;
        seen.look(at, &status, count(&from, "acked"), count(&to, "begun"));
        pause(LOOK_EVERY);
    }
    let during = puts.turn()?["window"].take();
    let left = if how == How::Unmounted { event(&doomed, "unmounted")? } else { Value::Null };

    let puts = puts.end()?;
    let expected = kept + count(&puts, "acked");
    Ok(json!({
        "event": "avalanche", "how": how.word(), "objects": objects, "filled": filled, "unmounted": left,
        "put_before": before, "put_during": during, "put_p99_ratio": ratio(&before, &during),
        "began_ms": seen.began_ms, "gone_ms": {"primary": seen.gone_ms[0], "standby": seen.gone_ms[1]},
        "look_every_ms": LOOK_EVERY.as_millis() as u64, "looks": seen.looks, "looks_not_in_sync": seen.not_in_sync,
        "looks_unanswered": seen.unanswered,
        "puts": puts, "removed": counted(cluster, nr, objects)?,
        "kept": counted(cluster, KEPT_CROWD, KEPT.objects)?,
        "expected_objects": expected, "compared": stage.compared()?,
    }))
}

/// What puts take while nothing else happens but the same looks.
fn calm(cluster: &Cluster, puts: &Puts) -> Result<Value> {
    pause(WARM);
    puts.turn()?;
    let watch = Stopwatch::start();
    while watch.elapsed() < CALM {
        puts.ask()?;
        cluster.ask(&["status"])?;
        puts.ask()?;
        pause(LOOK_EVERY);
    }
    Ok(puts.turn()?["window"].take())
}

/// `standfast lab steady`.
struct Puts(Process);

impl Puts {
    fn start(cluster: &Cluster, nr: u16) -> Result<Self> {
        let (nr, into) = (nr.to_string(), KEPT_CROWD.to_string());
        let words = ["lab", "steady", "--crowd", &nr, "--into", &into, "--rate", PUTS_PER_S];
        let puts = Self(cluster.client(&words, "steady")?);
        event(&puts.0, "putting")?;
        Ok(puts)
    }

    /// How many there were.
    fn ask(&self) -> Result<Value> {
        self.0.signal(Signal::SIGUSR1)?;
        event(&self.0, "puts")
    }

    /// The same, and how long they took since the last time.
    fn turn(&self) -> Result<Value> {
        self.0.signal(Signal::SIGUSR2)?;
        event(&self.0, "window")
    }

    /// No more of them; whether they are all there.
    fn end(self) -> Result<Value> {
        self.0.signal(Signal::SIGTERM)?;
        event(&self.0, "end")
    }
}

fn count(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap_or(0)
}

/// How many of a crowd's objects a client can read.
fn counted(cluster: &Cluster, crowd: u16, objects: u64) -> Result<Value> {
    let (crowd, objects) = (crowd.to_string(), objects.to_string());
    let process = cluster.client(&["lab", "count", "--crowd", &crowd, "--objects", &objects], "count")?;
    event(&process, "counted").context("the count of what is there")
}

/// Unknown where nothing was put.
fn ratio(before: &Value, during: &Value) -> Option<f64> {
    let p99 = |window: &Value| window["put_ms"]["p99"].as_f64();
    Some(p99(during)? / p99(before).filter(|ms| *ms > 0.0)?)
}

/// What looks at the nodes showed, in milliseconds since the end of the segment was brought about.
#[derive(Debug, Default)]
struct Seen {
    /// Objects besides those that go, without the puts.
    kept: u64,
    objects: u64,
    began_ms: Option<u64>,
    /// Of the primary and of the standby.
    gone_ms: [Option<u64>; 2],
    looks: u64,
    unanswered: u64,
    not_in_sync: u64,
}

impl Seen {
    /// A look at the status, before which so many puts were acknowledged, and until after which so many were begun.
    fn look(&mut self, at_ms: u64, status: &Value, acked: u64, begun: u64) {
        self.looks += 1;
        // What a node that is late with its answer would have said is not known.
        let all = status["nodes"].as_array().filter(|nodes| nodes.len() == NODES.len());
        if all.is_none_or(|nodes| nodes.iter().any(|node| !node["error"].is_null())) {
            self.unanswered += 1;
        } else {
            self.not_in_sync += u64::from(whole(status).is_none());
        }
        let Some(leading) = primary(status) else { return };
        for (gone, name) in self.gone_ms.iter_mut().zip([NODES[leading], NODES[1 - leading]]) {
            let nodes = status["nodes"].as_array().into_iter().flatten();
            let Some(held) = nodes.filter(|n| n["node"] == name).find_map(|n| n["objects"].as_u64()) else {
                continue;
            };
            if held < self.kept + self.objects + acked {
                self.began_ms.get_or_insert(at_ms);
            }
            if held <= self.kept + begun {
                gone.get_or_insert(at_ms);
            }
        }
    }

    fn all_gone(&self) -> bool {
        self.gone_ms.iter().all(Option::is_some)
    }
}

/// What is wrong with an avalanche.
fn wrong(step: &Value) -> Vec<String> {
    let how = step["how"].as_str().unwrap_or("?");
    let mut reasons = Vec::new();
    let mut need = |ok: bool, text: String| reasons.extend((!ok).then(|| format!("{how}: {text}")));
    let (objects, puts) = (&step["objects"], &step["puts"]);
    need(step["filled"]["objects"] == *objects, format!("the segment was not filled: {}", step["filled"]));
    need(
        how == How::Expired.word() || step["unmounted"]["segments"] == 1,
        format!("the segment was not unmounted: {}", step["unmounted"]),
    );
    for window in ["put_before", "put_during"] {
        need(count(&step[window], "puts") > 0, format!("{window}: nothing was put"));
    }
    need(
        puts["not_acked"] == 0,
        format!("{} puts were not acknowledged: {}", puts["not_acked"], puts["why"]),
    );
    let are_there = puts["acked"].is_u64() && puts["present"] == puts["acked"] && puts["unanswered"] == 0;
    need(are_there, format!("not all acknowledged puts are there: {puts}"));
    let (removed, kept) = (&step["removed"], &step["kept"]);
    let are_gone = removed["asked"] == *objects && removed["present"] == 0 && removed["unanswered"] == 0;
    need(are_gone, format!("what was removed is not all gone: {removed}"));
    need(kept["present"] == KEPT.objects, format!("not all is there that was kept: {kept}"));
    need(
        step["looks_not_in_sync"] == 0,
        format!("the standby was out of sync in {} of {} looks", step["looks_not_in_sync"], step["looks"]),
    );
    need(step["looks_unanswered"].as_u64() < step["looks"].as_u64(), "no look was answered".to_owned());
    match step["expected_objects"].as_u64() {
        Some(expected) => reasons.extend(wrong_copies(&step["compared"], expected)),
        None => reasons.push(format!("{how}: nobody knows how many objects there should be")),
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Value {
        let window = json!({"puts": 5, "put_ms": {"p50": 0.5, "p99": 1.0, "max": 2.0}});
        json!({
            "event": "avalanche", "how": "unmounted", "objects": 10, "filled": {"objects": 10},
            "unmounted": {"segments": 1}, "put_before": window, "put_during": window,
            "puts": {"acked": 7, "not_acked": 0, "why": null, "present": 7, "unanswered": 0},
            "removed": {"asked": 10, "present": 0, "unanswered": 0}, "kept": {"present": KEPT.objects},
            "looks": 3, "looks_not_in_sync": 0, "looks_unanswered": 0, "expected_objects": 12,
            "compared": {"objects": [12, 12], "counted": true, "differing": []},
        })
    }

    #[test]
    fn each_fault_alone_is_told() {
        assert_eq!(wrong(&step()), Vec::<String>::new());
        for (at, bad) in [
            ("/filled/objects", json!(9)),
            ("/unmounted/segments", json!(0)),
            ("/put_before/puts", json!(0)),
            ("/put_during/puts", Value::Null),
            ("/puts/not_acked", json!(1)),
            ("/puts/present", json!(6)),
            ("/puts/acked", Value::Null),
            ("/puts/unanswered", json!(1)),
            ("/removed/asked", json!(9)),
            ("/removed/present", json!(1)),
            ("/removed/unanswered", json!(1)),
            ("/kept/present", json!(KEPT.objects - 1)),
            ("/looks_not_in_sync", json!(1)),
            ("/looks_unanswered", json!(3)),
            ("/expected_objects", Value::Null),
            ("/compared/objects/1", json!(13)),
            ("/compared/counted", json!(false)),
            ("/compared/differing", json!(["b differs"])),
        ] {
            let mut step = step();
            *step.pointer_mut(at).unwrap() = bad;
            assert_eq!(wrong(&step).len(), 1, "{at}: {:?}", wrong(&step));
        }
        let mut expired = step();
        (expired["how"], expired["unmounted"]) = (json!("expired"), Value::Null);
        assert_eq!(wrong(&expired), Vec::<String>::new());
    }

    #[test]
    fn it_begins_when_fewer_are_there_and_ends_when_only_the_rest_is() {
        let mut seen = Seen { kept: 100, objects: 50, ..Seen::default() };
        let status = |a: u64, b: Value, in_sync: bool| {
            json!({"nodes": [
                {"node": "a", "role": "standby", "objects": a},
                {"node": "b", "role": "primary", "objects": b,
                    "standbys": [{"in_sync": in_sync, "stream": "streaming", "link": "up"}]},
            ]})
        };
        seen.look(10, &status(153, json!(153), true), 3, 4);
        assert_eq!((seen.began_ms, seen.gone_ms), (None, [None, None]));
        seen.look(20, &status(120, json!(108), true), 7, 8);
        assert_eq!((seen.began_ms, seen.gone_ms), (Some(20), [Some(20), None]), "the standby is behind");
        seen.look(30, &status(109, Value::Null, false), 8, 9);
        assert_eq!((seen.gone_ms, seen.all_gone()), ([Some(20), Some(30)], true));
        assert_eq!((seen.looks, seen.not_in_sync, seen.unanswered), (3, 1, 0));
        seen.look(40, &Value::Null, 8, 9);
        assert_eq!((seen.looks, seen.not_in_sync, seen.unanswered), (4, 1, 1), "unknown is not bad");
    }

    #[test]
    fn the_ratio_of_what_was_not_measured_is_unknown() {
        let window = |p99: Value| json!({"put_ms": {"p99": p99}});
        assert_eq!(ratio(&window(json!(2.0)), &window(json!(3.0))), Some(1.5));
        assert_eq!(ratio(&window(Value::Null), &window(json!(3.0))), None);
        assert_eq!(ratio(&window(json!(2.0)), &window(Value::Null)), None);
    }
}
