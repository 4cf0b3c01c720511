//! What the demo's one line of JSON must say.

use serde_json::Value;

/// What a run of the demo must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// `ok`, and no acknowledged write is missing: the promise of sync.
    OkLosingNothing,
    /// The same, and all damage that was planted in memory was found and repaired, and nothing else was.
    OkRepaired,
    /// `ok`; what is missing is within the bound that async states, which the demo itself judges.
    Ok,
    /// The demo was sabotaged and must have noticed.
    Bad,
}

/// What is wrong with a run, and the processes that it says it started.
pub(crate) struct Judged {
    pub(crate) reasons: Vec<String>,
    pub(crate) pids: Vec<i32>,
}

/// Compares exit code and stdout with what was expected.
pub(crate) fn judge(expect: Expect, code: Option<i32>, stdout: &str) -> Judged {
    let (want_code, want_verdict) = if expect == Expect::Bad { (1, "bad") } else { (0, "ok") };
    let mut reasons = Vec::new();
    if code != Some(want_code) {
        let code = code.map_or("none (killed by a signal)".to_owned(), |code| code.to_string());
        reasons.push(format!("exit code is {code}, expected {want_code}"));
    }
    let line = match one_line(stdout) {
        Ok(line) => line,
        Err(reason) => {
            reasons.push(reason);
            return Judged { reasons, pids: Vec::new() };
        }
    };
    let nodes = line["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    require(&mut reasons, &line, "schema", &Value::from(1));
    require(&mut reasons, &line, "verdict", &Value::from(want_verdict));
    if expect == Expect::Bad {
        if line["reasons"].as_array().is_none_or(Vec::is_empty) {
            reasons.push("the verdict is bad for no stated reason".to_owned());
        }
    } else {
        check_ok(expect, &line, nodes, &mut reasons);
    }
    let pids = nodes.iter().filter_map(|node| node["pid"].as_i64()).filter_map(|pid| pid.try_into().ok());
    Judged { pids: pids.collect(), reasons }
}

fn check_ok(expect: Expect, line: &Value, nodes: &[Value], reasons: &mut Vec<String>) {
    require(reasons, line, "reasons", &Value::Array(Vec::new()));
    require(reasons, line, "wrong_bytes", &Value::from(0));
    require(reasons, line, "digests_equal", &Value::from(true));
    if expect != Expect::Ok {
        require(reasons, line, "acked_missing", &Value::from(0));
    }
    if expect == Expect::OkRepaired {
        check_repairs(&line["verification"], reasons);
    }
    // A demo that did nothing would find nothing missing.
    for name in ["/entries_replicated", "/puts_acked", "/failover/outage_ms", "/failover/rejoin_ms"] {
        let value = line.pointer(name).unwrap_or(&Value::Null);
        if value.as_f64().is_none_or(|count| count <= 0.0) {
            reasons.push(format!("{} is {value}, expected a number above 0", &name[1..]));
        }
    }
    let recounts: Vec<&Value> = nodes.iter().map(|node| &node["recount"]).collect();
    let [first, others @ ..] = &recounts[..] else {
        reasons.push("nodes is empty, expected at least 2".to_owned());
        return;
    };
    if others.is_empty() {
        reasons.push("nodes has 1 entry, expected at least 2".to_owned());
    }
    if first.is_null() || others.iter().any(|other| other != first) {
        let shown: Vec<String> = recounts.iter().map(ToString::to_string).collect();
        reasons.push(format!("recounts are {}, expected all known and equal", shown.join(", ")));
    }
}

/// That nobody planted anything, or missed it, or saw what is not there, must not look like a success.
fn check_repairs(verification: &Value, reasons: &mut Vec<String>) {
    let planted = verification["planted"].as_u64().filter(|planted| *planted > 0);
    let all =
        ["found", "repaired"].iter().all(|name| planted.is_some() && verification[name].as_u64() == planted);
    if !all || verification["false_alarms"] != 0 {
        reasons.push(format!(
            "verification is {verification}, expected some planted, as many found and repaired, no false alarm"
        ));
    }
}

fn one_line(stdout: &str) -> Result<Value, String> {
    let mut lines = stdout.lines();
    match (lines.next(), lines.next()) {
        (Some(line), None) => {
            serde_json::from_str(line).map_err(|error| format!("stdout is no JSON: {error}"))
        }
        (None, _) => Err("stdout is empty, expected one line of JSON".to_owned()),
        _ => Err(format!("stdout has {} lines, expected 1", stdout.lines().count())),
    }
}

fn require(reasons: &mut Vec<String>, line: &Value, name: &str, want: &Value) {
    if &line[name] != want {
        reasons.push(format!("{name} is {}, expected {want}", line[name]));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Expect, judge};

    fn good() -> Value {
        json!({
            "schema": 1, "verdict": "ok", "reasons": [], "entries_replicated": 9, "puts_acked": 4,
            "digests_equal": true, "acked_missing": 0, "wrong_bytes": 0,
            "failover": {"outage_ms": 500.0, "rejoin_ms": 900.0},
            "nodes": [{"pid": 11, "recount": "ab"}, {"pid": 12, "recount": "ab"}],
        })
    }

    fn reasons(expect: Expect, code: i32, line: &Value) -> Vec<String> {
        judge(expect, Some(code), &format!("{line}\n")).reasons
    }

    #[test]
    fn a_good_run_is_good() {
        let judged = judge(Expect::OkLosingNothing, Some(0), &good().to_string());
        assert_eq!((judged.reasons, judged.pids), (vec![], vec![11, 12]));
    }

    #[test]
    fn each_field_can_fail_the_run_alone() {
        for (name, value) in [
            ("schema", json!(2)),
            ("verdict", json!("incomplete")),
            ("reasons", json!(["late"])),
            ("entries_replicated", json!(0)),
            ("puts_acked", Value::Null),
            ("failover", json!({"outage_ms": 500.0, "rejoin_ms": null})),
            ("digests_equal", Value::Null),
            ("acked_missing", json!(1)),
            ("wrong_bytes", json!(1)),
            ("nodes", json!([])),
            ("nodes", json!([{"recount": "ab"}])),
            ("nodes", json!([{"recount": "ab"}, {"recount": "cd"}])),
            ("nodes", json!([{"recount": null}, {"recount": null}])),
        ] {
            let mut line = good();
            line[name] = value.clone();
            assert_eq!(reasons(Expect::OkLosingNothing, 0, &line).len(), 1, "{name} = {value}");
        }
    }

    #[test]
    fn what_was_planted_must_be_found_and_repaired_and_nothing_else() {
        let with = |planted: Value, found: Value, repaired: Value, false_alarms: Value| {
            let mut line = good();
            line["verification"] = json!({"planted": planted, "found": found, "repaired": repaired, "false_alarms": false_alarms});
            reasons(Expect::OkRepaired, 0, &line).len()
        };
        assert_eq!(with(json!(3), json!(3), json!(3), json!(0)), 0);
        for wrong in [
            with(json!(0), json!(0), json!(0), json!(0)),
            with(json!(3), json!(2), json!(3), json!(0)),
            with(json!(3), json!(3), json!(2), json!(0)),
            with(json!(3), json!(4), json!(3), json!(0)),
            with(json!(3), json!(3), json!(3), json!(1)),
            with(json!(3), json!(3), json!(3), Value::Null),
            with(Value::Null, Value::Null, Value::Null, Value::Null),
            reasons(Expect::OkRepaired, 0, &good()).len(),
        ] {
            assert_eq!(wrong, 1);
        }
        let mut lossy = good();
        lossy["verification"] = json!({"planted": 1, "found": 1, "repaired": 1, "false_alarms": 0});
        lossy["acked_missing"] = json!(1);
        assert_eq!(reasons(Expect::OkRepaired, 0, &lossy).len(), 1);
    }

    #[test]
    fn async_may_miss_what_its_bound_allows_but_serves_no_wrong_bytes() {
        let mut line = good();
        line["acked_missing"] = json!(3);
        assert_eq!(reasons(Expect::Ok, 0, &line), Vec::<String>::new());
        line["wrong_bytes"] = json!(1);
        assert_eq!(reasons(Expect::Ok, 0, &line).len(), 1);
    }

    #[test]
    fn sabotage_must_be_noticed_and_said() {
        let mut line = good();
        assert_eq!(reasons(Expect::Bad, 0, &line).len(), 3);
        line["verdict"] = json!("bad");
        line["reasons"] = json!(["digests differ"]);
        assert_eq!(reasons(Expect::Bad, 1, &line), Vec::<String>::new());
        assert_eq!(reasons(Expect::Bad, 2, &line).len(), 1);
    }

    #[test]
    fn stdout_is_one_line_of_json() {
        for stdout in ["", "{", "{}\n{}\n"] {
            assert_eq!(judge(Expect::OkLosingNothing, Some(0), stdout).reasons.len(), 1, "{stdout:?}");
        }
        assert!(judge(Expect::Ok, None, "").reasons[0].contains("signal"));
    }
}
