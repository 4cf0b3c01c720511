//! docs/reports/failover.md from the line of `e2e failover`.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{goals, joined, shown};

const HEAD: &str = "\
# Failover, measured

Written by `cargo xtask report failover` from real processes: two nodes, etcd, a lender whose memory is files, a load
that stamps and checks every byte, and a canary in a process of its own (`standfast canary`: one write, one read, a
pause of 1 ms after each, 100 ms for a call). An outage is the time between the canary's last good write before failed
calls and its first good one after them. 0 means that no call failed. What is promised in figures is run as often as
asked for; what only has to hold, of the other modes and of a witness too, a few times: each row says how often. With
fewer than 100 runs p99 is the longest of them.
";

/// The page.
pub(super) fn page(line: &Value) -> Result<String> {
    ensure!(line["suite"] == "failover", "suite is {}, expected `failover`", line["suite"]);
    let mut page = HEAD.to_owned();
    let machine = &line["machine"];
    let (cores, cpu, kernel) = (shown(&machine["cores"]), shown(&machine["cpu"]), shown(&machine["kernel"]));
    let (commit, profile) = (shown(&line["commit"]), shown(&line["profile"]));
    write!(
        page,
        "\nMachine: {cores} cores of {cpu}, Linux {kernel}, everything on it at once. Commit {commit}, profile {profile}. \
         Defaults: heartbeat 100 ms, grant 500 ms.\n"
    )?;
    broken(&mut page, line)?;
    goals::table(&mut page, line)?;
    page.push_str(
        "\n## Outage of our client, ms\n\n\
         | Fault | Runs | p50 | p95 | p99 | max | Calls failed | Acknowledged and lost | Wrong or stale | Result |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for fault in list(&line["faults"]) {
        if !fault["skipped"].is_null() {
            continue;
        }
        let (outage, load) = (&fault["outage_ms"], &fault["load"]);
        let result = if fault["ok"] == true { "ok".to_owned() } else { joined(&fault["reasons"]) };
        let wrong = [&load["wrong_bytes"], &load["returned"]].iter().map(|v| v.as_u64()).sum::<Option<u64>>();
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {result} |",
            shown(&fault["name"]),
            shown(&fault["runs"]),
            ms(&outage["p50"]),
            ms(&outage["p95"]),
            ms(&outage["p99"]),
            ms(&outage["max"]),
            shown(&fault["failed_calls"]),
            lost(fault),
            wrong.map_or("?".to_owned(), |n| n.to_string()),
        )?;
    }
    phases(&mut page, line)?;
    curve(&mut page, line)?;
    wheel(&mut page, line)?;
    let alone: u64 = list(&line["faults"]).filter_map(|fault| fault["struck_alone"].as_u64()).sum();
    if alone > 0 {
        write!(
            page,
            "\n{alone} more faults struck a primary that had just lost its standby because this machine stalled: a second \
             fault, at which everything is lost, as the status says beforehand. They are in no figure above.\n"
        )?;
    }
    let skipped = list(&line["faults"]).filter(|fault| !fault["skipped"].is_null());
    let skipped: Vec<String> =
        skipped.map(|f| format!("- {}: {}", shown(&f["name"]), shown(&f["skipped"]))).collect();
    if !skipped.is_empty() {
        write!(page, "\n## Not run here\n\n{}\n", skipped.join("\n"))?;
    }
    page.push_str(
        "\n`Wrong or stale` counts wrong bytes and values that were there although their removal, or a newer value, was \
         acknowledged. Readers that ask each node whatever its role run all the time, so that an answer of a thawed or \
         cut-off primary would be seen.\n",
    );
    Ok(page)
}

/// Phases of an outage, in their order: a planned one begins with two of the former primary; those that nothing was measured of have no column.
const COLUMNS: [&str; 6] = ["detect", "drain", "hand_over", "take_over", "fence", "first_answer"];

fn has(fault: &Value, phase: &str) -> bool {
    !fault["phases_ms"][phase].is_null()
}

/// What the page lacks.
fn broken(page: &mut String, line: &Value) -> Result<()> {
    if line["complete"] == false {
        page.push_str("\n**The measurement did not come to its end; this is what it had by then.**\n");
    }
    for why in list(&line["reasons"]) {
        writeln!(page, "\n**Not measured to the end: {}**", shown(why).replace('\n', " "))?;
    }
    Ok(())
}

/// Acknowledged keys that are missing, beside what may be.
fn lost(fault: &Value) -> String {
    let missing = shown(&fault["load"]["acked_missing"]);
    match fault["loss_bound"].as_u64() {
        Some(bound) => format!("{missing}, at most {bound}"),
        None if fault["all_lost"] == true => {
            format!("{}, as the status said", shown(&fault["lost_alone"]))
        }
        None => missing,
    }
}

fn phases(page: &mut String, line: &Value) -> Result<()> {
    page.push_str(
        "\n## Where the time goes, p50 in ms\n\nAs the new primary's history tells it: each phase lasts until what it is \
         named after was done.\n\n",
    );
    let faults = || list(&line["faults"]).filter(|fault| COLUMNS.iter().any(|name| has(fault, name)));
    let columns: Vec<&str> =
        COLUMNS.into_iter().filter(|name| faults().any(|fault| has(fault, name))).collect();
    write!(page, "| Fault | {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len() + 1))?;
    for fault in faults() {
        let of = |phase: &&str| ms(&fault["phases_ms"][*phase]["p50"]);
        let times = columns.iter().map(of).collect::<Vec<_>>().join(" | ");
        writeln!(page, "| {} | {times} |", shown(&fault["name"]))?;
    }
    Ok(())
}

fn curve(page: &mut String, line: &Value) -> Result<()> {
    let mut points = list(&line["curve"]).peekable();
    if points.peek().is_none() {
        return Ok(());
    }
    page.push_str(
        "\n## kill -9 with shorter timers\n\n| Heartbeat | Grant | Runs | p50 | p95 | p99 | max | Result |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for point in points {
        let outage = &point["outage_ms"];
        let result = if point["ok"] == true { "ok".to_owned() } else { joined(&point["reasons"]) };
        let times = ["p50", "p95", "p99", "max"].map(|p| ms(&outage[p])).join(" | ");
        writeln!(
            page,
            "| {} | {} | {} | {times} | {result} |",
            shown(&point["heartbeat_ms"]),
            shown(&point["grant_ms"]),
            shown(&point["runs"])
        )?;
    }
    Ok(())
}

/// The released client: its own limit for a call decides how long it waits for a master that says nothing.
fn wheel(page: &mut String, line: &Value) -> Result<()> {
    let mut rows = list(&line["wheel"]).peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    page.push_str(
        "\n## Outage of the released Mooncake client, ms\n\nTwo unchanged stock command lines with `--enable_ha=true`, found \
         through etcd; one client, one call at a time, a put and a get in turn. An outage is the longest time between \
         two good answers of a kind. A master that is killed closes its connections; one that is frozen says nothing, \
         and the client waits for its own limit, 30 s unless `MC_RPC_TIMEOUT_MS` says otherwise.\n\n\
         | Fault | MC_RPC_TIMEOUT_MS | Runs | put p50 | put p95 | put p99 | put max | get p50 | get p99 | get max | Calls failed | Result |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let limit = row["rpc_timeout_ms"].as_u64().map_or("30000 (default)".to_owned(), |ms| ms.to_string());
        let puts = ["p50", "p95", "p99", "max"].map(|p| ms(&row["put_ms"][p])).join(" | ");
        let gets = ["p50", "p99", "max"].map(|p| ms(&row["get_ms"][p])).join(" | ");
        let result = if row["ok"] == true { "ok".to_owned() } else { joined(&row["reasons"]) };
        let (name, runs, failed) = (shown(&row["name"]), shown(&row["runs"]), shown(&row["failed_calls"]));
        writeln!(page, "| {name} | {limit} | {runs} | {puts} | {gets} | {failed} | {result} |")?;
    }
    Ok(())
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn ms(value: &Value) -> String {
    value
        .as_f64()
        .map_or("?".to_owned(), |ms| if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::page;

    #[test]
    fn each_fault_has_a_row_and_unknown_is_no_zero() {
        let outage = json!({"p50": 500.0, "p95": 510.5, "p99": null, "max": 0.0});
        let line = json!({"suite": "failover", "machine": {"cores": 2}, "faults": [
            {"name": "kill -9", "ok": true, "skipped": null, "runs": 30, "outage_ms": outage, "failed_calls": 7,
             "load": {"acked_missing": 0, "wrong_bytes": 0, "returned": 0}, "phases_ms": {"detect": {"p50": 110.0}}},
            {"name": "switchover", "phases_ms": {"drain": {"p50": 6.0}, "hand_over": {"p50": 12.0}}, "skipped": null},
            {"name": "freeze", "ok": false, "skipped": null, "reasons": ["a | b"], "load": null},
            {"name": "wall clock", "skipped": "no clock"},
            {"name": "async, kill -9", "ok": true, "skipped": null, "runs": 5, "mode": "async", "loss_bound": 9000,
             "load": {"acked_missing": 12}},
            {"name": "alone", "ok": true, "skipped": null, "runs": 2, "all_lost": true, "lost_alone": 40,
             "load": {"wrong_bytes": 0, "returned": 0}},
        ], "curve": [{"heartbeat_ms": 50, "grant_ms": 300, "runs": 10, "ok": true, "outage_ms": {"p50": 300.0}}],
        "complete": false, "reasons": ["wheel: it is\nnot there"], "wheel": [{"name": "freeze", "rpc_timeout_ms": 1000, "runs": 2, "put_ms": {"p50": 1200.0}, "ok": true}]});
        let page = page(&line).unwrap();
        for row in [
            "| kill -9 | 30 | 500 | 510 | ? | 0.0 | 7 | 0 | 0 | ok |",
            "| freeze | ? | ? | ? | ? | ? | ? | ? | ? | a / b |",
            "| Fault | detect | drain | hand_over |\n|---|---|---|---|\n| kill -9 | 110 | ? | ? |\n| switchover | ? | 6.0 | 12 |\n",
            "- wall clock: no clock",
            "| freeze | 1000 | 2 | 1200 | ? | ? | ? | ? | ? | ? | ? | ok |",
            "2 cores of ?",
            "| async, kill -9 | 5 | ? | ? | ? | ? | ? | 12, at most 9000 | ? | ok |",
            "| alone | 2 | ? | ? | ? | ? | ? | 40, as the status said | 0 | ok |",
            "| 50 | 300 | 10 | 300 | ? | ? | ? | ok |",
            "| kill -9: p50 <= 600 ms | 500 ms in 30 runs | met |",
            "did not come to its end",
            "**Not measured to the end: wheel: it is not there**",
        ] {
            assert!(page.contains(row), "{row} in\n{page}");
        }
        assert!(super::page(&json!({"suite": "demo"})).is_err());
    }
}
