//! docs/reports/chaos.md from the last lines of `chaos`, `scale` and `avalanche`.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{joined, scale, shown};

const HEAD: &str = "\
# Chaos, measured

Written by `cargo xtask report chaos` from real processes: two nodes, etcd, a lender whose memory is files, a load that
stamps and checks every byte, and a canary. One fault follows the other at random; no outage may
be longer than the stated limit of its kind, and the pair must be whole again within another. Before each fault writes go
on, the load has found nothing wrong, no copy has differed, and nothing was set aside. The seed gives the schedule: which fault, after how long, for how long. An outage is
the time between the canary's last good write before failed calls and its first good one after them; 0 means none.
";

fn is_chaos(line: &Value) -> bool {
    line["event"] == "end" && line["by_kind"].is_object()
}

/// The page: each run of chaos has a section, what else was run has one together.
pub(super) fn page(lines: &[Value]) -> Result<String> {
    let (runs, others): (Vec<Value>, Vec<Value>) = lines.iter().cloned().partition(is_chaos);
    ensure!(
        others.iter().all(scale::is_one),
        "this is no summary of `cargo xtask chaos`, `scale` or `avalanche`"
    );
    let mut page = HEAD.to_owned();
    if runs.is_empty() {
        page.push_str("\n`cargo xtask chaos`: not measured.\n");
    }
    runs.iter().try_for_each(|line| run(&mut page, line))?;
    scale::section(&mut page, &others)?;
    Ok(page)
}

fn run(page: &mut String, line: &Value) -> Result<()> {
    let (machine, load) = (&line["machine"], &line["load"]);
    writeln!(
        page,
        "\n## {}\n\nMachine: {} cores of {}, Linux {}, everything on it at once. Commit {}, seed {}, {} s, {} faults. Result: {}.\n",
        match line["ack"].as_str() {
            Some("sync") => "Acknowledged once the standby has it: `--ack sync`",
            Some("async") => "Acknowledged at once: `--ack async`",
            _ => "Chaos",
        },
        shown(&machine["cores"]),
        shown(&machine["cpu"]),
        shown(&machine["kernel"]),
        shown(&line["commit"]),
        shown(&line["seed"]),
        line["duration_s"].as_f64().map_or("?".to_owned(), |s| format!("{s:.0}")),
        shown(&line["faults"]),
        if line["good"] == true {
            "nothing lost, nothing wrong".to_owned()
        } else {
            joined(&line["reasons"])
        },
    )?;
    page.push_str(
        "| Fault | Times | Outage p50, ms | max | limit | Whole again p50, ms | max | limit |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (name, kind) in line["by_kind"].as_object().into_iter().flatten() {
        let of = |what: &str, p: &str| ms(&kind[what][p]);
        let row =
            |what: &str, limit: &str| [of(what, "p50"), of(what, "max"), shown(&kind[limit])].join(" | ");
        let times =
            [row("outage_ms", "outage_limit_ms"), row("recovery_ms", "recovery_limit_ms")].join(" | ");
        writeln!(page, "| {name} | {} | {times} |", shown(&kind["times"]))?;
    }
    let sum = |fields: [&str; 2]| fields.iter().map(|f| load[*f].as_u64()).sum::<Option<u64>>();
    writeln!(
        page,
        "\n{} puts and {} reads of {} clusters. Acknowledged and lost: {}. Wrong or stale: {}. The most that a node held: {} KiB \
         of memory, {} descriptors.",
        shown(&load["puts_acked"]),
        shown(&load["reads_checked"]),
        shown(&load["clusters"]),
        shown(&load["acked_missing"]),
        sum(["wrong_bytes", "returned"]).map_or("?".to_owned(), |n| n.to_string()),
        shown(&line["rss_kib_max"]),
        shown(&line["descriptors_max"]),
    )?;
    if line["struck_alone"].as_u64().unwrap_or(0) > 0 {
        writeln!(
            page,
            "\n{} faults struck a primary that stood alone, and {} acknowledged keys were lost with it, as its status had \
             said beforehand (PROTOCOL I7). The pair came back empty by itself, and no byte was wrong.",
            shown(&line["struck_alone"]),
            shown(&line["lost_alone"]),
        )?;
    }
    for what in ["without_network", "without_clock"] {
        if let Some(why) = line[what].as_str() {
            writeln!(page, "\nNot run here: {why}.")?;
        }
    }
    Ok(())
}

fn ms(value: &Value) -> String {
    value.as_f64().map_or("?".to_owned(), |ms| format!("{ms:.0}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn each_kind_has_a_row_and_what_is_unknown_is_no_zero() {
        let kind = json!({"times": 3, "outage_ms": {"p50": 500.4, "max": 900.0}, "recovery_ms": null,
            "outage_limit_ms": 5000});
        let scale = json!({"event": "end", "command": "scale", "steps": []});
        let mut line = json!({"event": "end", "good": true, "seed": 7, "faults": 3, "by_kind": {"Kill": kind},
            "load": {"acked_missing": 0, "wrong_bytes": 0}, "struck_alone": 1, "lost_alone": 40});
        let alone = super::page(&[line.clone()]).unwrap();
        line["ack"] = json!("async");
        let page = super::page(&[line, scale.clone()]).unwrap();
        for part in [
            "| Kill | 3 | 500 | 900 | 5000 | ? | ? | ? |",
            "Wrong or stale: ?",
            "40 acknowledged keys were lost",
            "seed 7",
            "## Acknowledged at once",
            "`cargo xtask avalanche`: not measured.",
        ] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
        assert_eq!(alone.matches("not measured").count(), 2, "{alone}");
        let without = super::page(&[scale]).unwrap();
        assert!(without.contains("`cargo xtask chaos`: not measured."), "{without}");
        assert!(super::page(&[json!({"event": "begin"})]).is_err());
    }
}
