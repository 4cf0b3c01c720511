//! The section "Scale and avalanche" of docs/reports/chaos.md, from the last lines of `scale` and `avalanche`.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;

use super::{joined, shown};

/// Which of the two commands a summary is of.
fn is_of(line: &Value, command: &str) -> bool {
    line["event"] == "end" && line["command"] == command && line["steps"].is_array()
}

/// Whether this is a summary that the section is made of.
pub(super) fn is_one(line: &Value) -> bool {
    is_of(line, "scale") || is_of(line, "avalanche")
}

/// The section; what was not given is said to be not measured.
pub(super) fn section(page: &mut String, lines: &[Value]) -> Result<()> {
    page.push_str("\n## Scale and avalanche\n");
    for (command, write) in
        [("scale", scale as fn(&mut String, &Value) -> Result<()>), ("avalanche", avalanche)]
    {
        let mut found = lines.iter().filter(|line| is_of(line, command)).peekable();
        if found.peek().is_none() {
            writeln!(page, "\n`cargo xtask {command}`: not measured.")?;
        }
        found.try_for_each(|line| write(page, line))?;
    }
    Ok(())
}

/// On which machine, and what came of it.
fn ending(line: &Value) -> String {
    let machine = &line["machine"];
    let result = if line["good"] == true {
        "all counts as they must be, no copy differs".to_owned()
    } else {
        joined(&line["reasons"])
    };
    format!(
        "Machine: {} cores of {}, Linux {}, everything on it at once. Commit {}, {} s. Result: {result}.",
        shown(&machine["cores"]),
        shown(&machine["cpu"]),
        shown(&machine["kernel"]),
        shown(&line["commit"]),
        seconds(&line["duration_s"], 1.0),
    )
}

fn scale(page: &mut String, line: &Value) -> Result<()> {
    write!(
        page,
        "\n`cargo xtask scale`: {} objects of {} clients are filled into one node, copied to a second one, and the primary \
         is killed; all clients come back to the other one at once, and the first one is filled anew. After each copy \
         both nodes count all their memory. {}\n\n\
         | Step | Took, s | Objects | Memory of the nodes, MiB |\n|---|---|---|---|\n",
        shown(&line["objects"]),
        shown(&line["clients"]),
        ending(line),
    )?;
    for step in steps(line) {
        let took = match step["event"].as_str() {
            Some("filled") => seconds(&step["seconds"], 1.0),
            // The first time there is nothing that it took from.
            Some("attached") => "-".to_owned(),
            _ => seconds(&step["took_ms"], 1e-3),
        };
        writeln!(page, "| {} | {took} | {} | {} |", shown(&step["event"]), objects(step), memory(step))?;
    }
    for step in steps(line).filter(|step| step["event"] == "failover") {
        let (crowd, call) = (&step["crowd"], &step["crowd"]["call_ms"]);
        writeln!(
            page,
            "\nThe last client was back {} s after the kill; {} calls had failed since all were attached before, {} clients \
             mounted again. A call of somebody else meanwhile took {} ms at p50, {} at p99, {} at most.",
            seconds(&step["took_ms"], 1e-3),
            shown(&crowd["failed_calls"]),
            shown(&crowd["remounts"]),
            ms(&call["p50"]),
            ms(&call["p99"]),
            ms(&call["max"]),
        )?;
    }
    Ok(())
}

fn avalanche(page: &mut String, line: &Value) -> Result<()> {
    write!(
        page,
        "\n`cargo xtask avalanche`: a segment of {} objects ends while puts of one key go on to others, beside {} objects \
         that stay; each put is acknowledged once the standby has it. Goal: the p99 of a put at most {} times that of \
         before. Seconds count from the end of the segment, or of its client, which is silent until it expires. {}\n\n\
         | Segment | Puts before | p50, ms | p99 | max | Puts meanwhile | p50, ms | p99 | max | p99, times | Gone on the \
         primary, s | on the standby |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        shown(&line["objects"]),
        shown(&line["kept"]),
        shown(&line["put_p99_ratio_goal"]),
        ending(line),
    )?;
    for step in steps(line) {
        let puts = |window: &Value| {
            let took = &window["put_ms"];
            format!(
                "{} | {} | {} | {}",
                shown(&window["puts"]),
                ms(&took["p50"]),
                ms(&took["p99"]),
                ms(&took["max"])
            )
        };
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            shown(&step["how"]),
            puts(&step["put_before"]),
            puts(&step["put_during"]),
            step["put_p99_ratio"].as_f64().map_or("?".to_owned(), |times| format!("{times:.2}")),
            seconds(&step["gone_ms"]["primary"], 1e-3),
            seconds(&step["gone_ms"]["standby"], 1e-3),
        )?;
    }
    for step in steps(line) {
        writeln!(
            page,
            "\n{}: seen to begin after {} s, by looks {} ms apart. Of {} acknowledged puts {} are there; of {} removed objects \
             {} can be read; objects of both nodes in the end: {}, expected {}.",
            shown(&step["how"]),
            seconds(&step["began_ms"], 1e-3),
            shown(&step["look_every_ms"]),
            shown(&step["puts"]["acked"]),
            shown(&step["puts"]["present"]),
            shown(&step["removed"]["asked"]),
            shown(&step["removed"]["present"]),
            objects(&step["compared"]),
            shown(&step["expected_objects"]),
        )?;
    }
    Ok(())
}

fn steps(line: &Value) -> impl Iterator<Item = &Value> {
    line["steps"].as_array().into_iter().flatten()
}

/// One count, or one of each node.
fn objects(step: &Value) -> String {
    match &step["objects"] {
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(", "),
        // A step that tells no count asks for none.
        Value::Null => "-".to_owned(),
        one => shown(one),
    }
}

/// Of each node that runs.
fn memory(step: &Value) -> String {
    let nodes = step["nodes"].as_array().into_iter().flatten();
    let held = nodes.filter_map(|node| {
        let kib = node["usage"]["rss_kib"].as_u64()?;
        Some(format!("{} {}", shown(&node["node"]), kib / 1024))
    });
    let all: Vec<String> = held.collect();
    if all.is_empty() { "?".to_owned() } else { all.join(", ") }
}

fn seconds(value: &Value, unit: f64) -> String {
    value.as_f64().map_or("?".to_owned(), |n| format!("{:.1}", n * unit))
}

fn ms(value: &Value) -> String {
    value.as_f64().map_or("?".to_owned(), |ms| format!("{ms:.2}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(lines: &[Value]) -> String {
        let mut page = String::new();
        section(&mut page, lines).unwrap();
        page
    }

    fn scale_end() -> Value {
        let nodes = json!([{"node": "a", "usage": {"rss_kib": 2048}}, {"node": "b", "usage": null}]);
        let crowd = json!({"failed_calls": 3, "remounts": 7, "call_ms": {"p50": 0.25, "p99": null}});
        json!({"event": "end", "command": "scale", "good": true, "objects": 10, "clients": 7, "commit": "abc",
        "duration_s": 12.34, "steps": [
            {"event": "filled", "objects": 10, "seconds": 2.0, "nodes": nodes},
            {"event": "full sync", "took_ms": 3456, "nodes": []},
            {"event": "failover", "took_ms": 900, "objects": [10], "crowd": crowd, "nodes": nodes},
            {"event": "compared", "took_ms": 8000, "objects": [10, 10], "nodes": nodes},
        ]})
    }

    fn avalanche_end() -> Value {
        let window = |p99: f64| json!({"puts": 1000, "put_ms": {"p50": 0.3, "p99": p99, "max": 9.0}});
        json!({"event": "end", "command": "avalanche", "good": false, "reasons": ["expired: lost"], "objects": 50,
        "kept": 5, "put_p99_ratio_goal": 2.0, "steps": [{
            "how": "expired", "put_before": window(0.5), "put_during": window(0.75), "put_p99_ratio": 1.5,
            "began_ms": 10_100, "gone_ms": {"primary": 12_000, "standby": null}, "look_every_ms": 200,
            "puts": {"acked": 9, "present": 9}, "removed": {"asked": 50, "present": 0},
            "compared": {"objects": [14, 14]}, "expected_objects": 14,
        }]})
    }

    #[test]
    fn each_step_has_a_row_and_what_is_unknown_is_no_zero() {
        let page = page(&[scale_end()]);
        for part in [
            "10 objects of 7 clients",
            "Commit abc, 12.3 s. Result: all counts as they must be",
            "| filled | 2.0 | 10 | a 2 |",
            "| full sync | 3.5 | - | ? |",
            "| compared | 8.0 | 10, 10 | a 2 |",
            "0.9 s after the kill; 3 calls had failed since all were attached before, 7 clients",
            "0.25 ms at p50, ? at p99, ? at most",
            "`cargo xtask avalanche`: not measured.",
        ] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
    }

    #[test]
    fn puts_before_and_meanwhile_stand_side_by_side() {
        let page = page(&[avalanche_end()]);
        for part in [
            "`cargo xtask scale`: not measured.",
            "Result: expired: lost.",
            "| expired | 1000 | 0.30 | 0.50 | 9.00 | 1000 | 0.30 | 0.75 | 9.00 | 1.50 | 12.0 | ? |",
            "expired: seen to begin after 10.1 s, by looks 200 ms apart. Of 9 acknowledged puts 9 are there; of 50",
            "in the end: 14, 14, expected 14",
        ] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
    }

    #[test]
    fn both_and_neither() {
        assert!(!page(&[scale_end(), avalanche_end()]).contains("not measured"));
        assert_eq!(page(&[]).matches("not measured").count(), 2);
        assert!(is_one(&scale_end()) && is_one(&avalanche_end()));
        assert!(!is_one(&json!({"event": "end", "by_kind": {}})));
    }
}
