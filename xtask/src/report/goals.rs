//! What is promised of a failover, beside what was measured. Met or missed follows from the line alone.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;

use super::failover::{list, ms};

/// A time that is promised.
struct Pause {
    fault: &'static str,
    /// Of all runs.
    what: &'static str,
    limit_ms: f64,
}

const fn pause(fault: &'static str, what: &'static str, limit_ms: f64) -> Pause {
    Pause { fault, what, limit_ms }
}

/// Of our client, at the default timers.
const PAUSES: [Pause; 6] = [
    pause("switchover", "p99", 300.0),
    pause("kill -9", "p50", 600.0),
    pause("kill -9", "p99", 1_000.0),
    pause("freeze", "p99", 3_000.0),
    pause("partition", "p99", 3_000.0),
    // The longer one of the two restarts of a run.
    pause("rolling restart", "max", 300.0),
];

/// One line of the table: what is promised, and what was measured with whether that keeps it; `None` is unknown.
type Row = (String, Option<(String, bool)>);

pub(super) fn table(page: &mut String, line: &Value) -> Result<()> {
    page.push_str("\n## Goals\n\n| Goal | Measured | |\n|---|---|---|\n");
    let faults: Vec<&Value> = list(&line["faults"]).filter(|fault| fault["skipped"].is_null()).collect();
    let mut rows: Vec<Row> = PAUSES.iter().map(|goal| paused(goal, &faults)).collect();
    rows.extend([lost(&faults), lost_in_async(&faults), wrong(&faults)]);
    for (goal, measured) in rows {
        let (figure, word) = match measured {
            Some((figure, met)) => (figure, if met { "met" } else { "**missed**" }),
            None => ("?".to_owned(), "not measured"),
        };
        writeln!(page, "| {goal} | {figure} | {word} |")?;
    }
    Ok(())
}

fn paused(goal: &Pause, faults: &[&Value]) -> Row {
    let row = faults.iter().find(|fault| fault["name"] == goal.fault);
    let seen = row.and_then(|fault| fault["outage_ms"][goal.what].as_f64());
    let (fault, what, limit) = (goal.fault, goal.what, goal.limit_ms);
    let each = if what == "max" { "each pause".to_owned() } else { what.to_owned() };
    let measured = seen.zip(row).map(|(seen, row)| {
        (format!("{} ms in {} runs", ms(&seen.into()), super::shown(&row["runs"])), seen <= limit)
    });
    (format!("{fault}: {each} <= {limit:.0} ms"), measured)
}

/// Sums what each of these rows counts; unknown when one of them does not know, or there is none.
fn sum<'a>(rows: impl Iterator<Item = &'a &'a Value>, of: impl Fn(&Value) -> Option<u64>) -> Option<u64> {
    rows.map(|row| of(row))
        .fold(None, |sum, one| Some(sum.unwrap_or(Some(0)).zip(one).map(|(a, b)| a + b)))?
}

/// What a load counted; unknown where one ended without its last word.
fn counted(fault: &Value, field: &str) -> Option<u64> {
    let load = &fault["load"];
    load[field].as_u64().filter(|_| load["without_end"].as_u64().unwrap_or(0) == 0)
}

fn is_async(fault: &Value) -> bool {
    fault["mode"] == "async"
}

/// Of a primary alone everything is lost, as its status says beforehand.
fn lost(faults: &[&Value]) -> Row {
    let judged = faults.iter().filter(|fault| !is_async(fault) && fault["all_lost"] != true);
    let lost = sum(judged, |fault| counted(fault, "acked_missing"));
    ("sync and strict: 0 acknowledged writes lost".to_owned(), lost.map(|n| (n.to_string(), n == 0)))
}

fn lost_in_async(faults: &[&Value]) -> Row {
    let judged: Vec<&Value> = faults.iter().copied().filter(|fault| is_async(fault)).collect();
    let lost = |fault: &Value| counted(fault, "acked_missing");
    let bound = |fault: &Value| fault["loss_bound"].as_u64();
    let met = judged.iter().all(|fault| lost(fault).zip(bound(fault)).is_some_and(|(n, max)| n <= max));
    let sums = sum(judged.iter(), lost).zip(sum(judged.iter(), bound));
    let measured = sums.map(|(n, max)| (format!("{n}, at most {max} in all failovers"), met));
    ("async: acknowledged and lost <= `--max-loss-entries`, each failover".to_owned(), measured)
}

fn wrong(faults: &[&Value]) -> Row {
    let of = |fault: &Value| {
        let counted = ["wrong_bytes", "returned"].map(|field| counted(fault, field));
        counted.into_iter().sum::<Option<u64>>()
    };
    let measured = sum(faults.iter(), of).map(|n| (n.to_string(), n == 0));
    ("wrong bytes and stale answers: 0, always".to_owned(), measured)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(name: &str, p50: f64, p99: f64) -> Value {
        json!({"name": name, "skipped": null, "runs": 30, "outage_ms": {"p50": p50, "p99": p99, "max": p99},
            "mode": "sync", "load": {"acked_missing": 0, "wrong_bytes": 0, "returned": 0}})
    }

    fn shown(faults: &[Value]) -> String {
        let mut page = String::new();
        table(&mut page, &json!({"faults": faults})).unwrap();
        page
    }

    fn changed(mut of: Value, path: &str, to: Value) -> Value {
        *of.pointer_mut(path).unwrap() = to;
        of
    }

    #[test]
    fn each_goal_is_of_a_fault_that_is_made() {
        for goal in &PAUSES {
            assert!(crate::failover::named(Some(goal.fault)).is_ok(), "{}", goal.fault);
        }
    }

    #[test]
    fn a_pause_is_met_up_to_its_limit_and_missed_above() {
        let page = shown(&[fault("kill -9", 600.0, 1000.4), fault("rolling restart", 90.0, 300.0)]);
        for row in [
            "| kill -9: p50 <= 600 ms | 600 ms in 30 runs | met |",
            "| kill -9: p99 <= 1000 ms | 1000 ms in 30 runs | **missed** |",
            "| rolling restart: each pause <= 300 ms | 300 ms in 30 runs | met |",
            "| freeze: p99 <= 3000 ms | ? | not measured |",
        ] {
            assert!(page.contains(row), "{row} in\n{page}");
        }
        let skipped = json!({"name": "freeze", "skipped": "no root", "outage_ms": {"p99": 1.0}});
        assert!(shown(&[skipped]).contains("| freeze: p99 <= 3000 ms | ? | not measured |"));
    }

    #[test]
    fn a_loss_is_missed_in_any_row_and_one_that_nobody_counted_is_no_zero() {
        let row = |faults: &[Value]| {
            let page = shown(faults);
            page.lines().find(|line| line.contains("sync and strict")).unwrap().to_owned()
        };
        let good = fault("freeze", 1.0, 1.0);
        assert!(row(std::slice::from_ref(&good)).ends_with("| 0 | met |"));
        let lost = changed(good.clone(), "/load/acked_missing", json!(2));
        assert!(row(&[good.clone(), lost]).ends_with("| 2 | **missed** |"));
        let unknown = changed(good.clone(), "/load", Value::Null);
        assert!(row(&[good.clone(), unknown.clone()]).ends_with("| ? | not measured |"));
        let mut alone = unknown;
        alone["all_lost"] = json!(true);
        assert!(row(&[good, alone]).ends_with("| 0 | met |"), "it was said beforehand");
        assert!(row(&[]).ends_with("| ? | not measured |"));
    }

    #[test]
    fn async_keeps_its_bound_in_each_row() {
        let of = |lost: u64, bound: Value| {
            let mut of = changed(fault("async, kill -9", 1.0, 1.0), "/load/acked_missing", json!(lost));
            (of["mode"], of["loss_bound"]) = (json!("async"), bound);
            of
        };
        let row = |faults: &[Value]| {
            let page = shown(faults);
            page.lines().find(|line| line.starts_with("| async")).unwrap().to_owned()
        };
        assert!(
            row(&[of(7, json!(10)), of(0, json!(10))]).ends_with("| 7, at most 20 in all failovers | met |")
        );
        assert!(row(&[of(11, json!(10)), of(0, json!(10))]).ends_with("| **missed** |"), "of one too much");
        assert!(row(&[of(0, Value::Null)]).ends_with("| ? | not measured |"));
        assert!(row(&[fault("kill -9", 1.0, 1.0)]).ends_with("| ? | not measured |"));
    }

    #[test]
    fn a_wrong_byte_and_a_stale_answer_are_missed() {
        for field in ["/load/wrong_bytes", "/load/returned"] {
            let page = shown(&[changed(fault("freeze", 1.0, 1.0), field, json!(1))]);
            assert!(page.contains("stale answers: 0, always | 1 | **missed** |"), "{page}");
        }
    }
}
