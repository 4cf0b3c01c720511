//! What fails a run: rules over what the processes say, and nothing else.

use serde_json::{Value, json};

use super::child::Usage;

/// Of all faults, so many may strike a primary that stood alone; one always may.
const STRUCK_ALONE_SHARE_MAX: f64 = 0.1;
/// A node may hold so much more than at its first look, however often it led.
const RSS_GROWTH_MAX_KIB: u64 = 256 << 10;
const DESCRIPTORS_GROWTH_MAX: u64 = 256;
/// What is wrong whenever it is not 0.
const WRONG: [&str; 4] = ["missing_beyond", "returned", "wrong_bytes", "unexpected"];
/// What may be wrong no more once everything was lost with a primary that stood alone (PROTOCOL I7).
const WRONG_ALWAYS: [&str; 2] = ["returned", "wrong_bytes"];

fn count(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap_or(0)
}

fn over(line: &Value, fields: &[&str]) -> Vec<String> {
    let not_zero = fields.iter().filter(|field| line[**field] != 0);
    not_zero.map(|field| format!("the load counts {field} {}, expected 0", line[*field])).collect()
}

/// What the load has counted by now that is wrong. An unknown counter is no 0.
pub(super) fn wrong_by_now(counts: &Value) -> Vec<String> {
    let mut reasons = over(counts, &WRONG);
    if let Some(first) = counts["complaints"].as_array().and_then(|all| all.first()) {
        reasons.extend((!reasons.is_empty()).then(|| format!("the load says: {first}")));
    }
    reasons
}

/// The same at the end of a cluster whose primary was struck while it stood alone.
pub(super) fn wrong_after_loss(end: &Value) -> Vec<String> {
    over(end, &WRONG_ALWAYS)
}

/// Whether writes were acknowledged between two looks at the load.
pub(super) fn has_grown(before: &Value, now: &Value) -> bool {
    count(now, "puts_acked") > count(before, "puts_acked")
}

/// Whether a node stores something else than it should: the line of `verify`. A repair does not undo it.
pub(super) fn differing(verify: &Value) -> Vec<String> {
    let mut reasons = Vec::new();
    for node in verify["nodes"].as_array().into_iter().flatten() {
        let name = node["node"].as_str().unwrap_or("?");
        let found: u64 =
            node["mismatches"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum();
        let now = count(node, "mismatched_keys") + count(node, "homes_unequal");
        if found + now > 0 {
            reasons.push(format!(
                "{name}: {found} mismatches were found, {now} are there now: {}",
                node["recent"]
            ));
        }
        if node["recount_equal"] == false {
            reasons.push(format!("{name}: its memory is not what its digests say"));
        }
    }
    reasons
}

/// Entries that a node has set aside: the line of `status`.
pub(super) fn set_aside(status: &Value) -> Vec<String> {
    let mut reasons = Vec::new();
    for node in status["nodes"].as_array().into_iter().flatten() {
        let standbys = node["standbys"].as_array().into_iter().flatten();
        for seen in standbys.chain([node]).filter(|seen| count(seen, "quarantined") > 0) {
            let name = seen["node"].as_str().unwrap_or("?");
            reasons.push(format!("{name} has set aside {} entries", seen["quarantined"]));
        }
    }
    reasons.dedup();
    reasons
}

/// Failovers in a history, each of which may lose something in async mode.
pub(super) fn failovers(rows: &[Value]) -> u64 {
    let counted = rows.iter().filter(|row| row["kind"] == "failover" || row["kind"] == "forced failover");
    counted.count() as u64
}

/// Acknowledged keys that are missing beyond what all failovers together may lose.
pub(super) fn lost_too_much(end: &Value, bound: u64) -> Option<String> {
    let missing = end["acked_missing"].as_u64();
    missing
        .is_none_or(|missing| missing > bound)
        .then(|| format!("{} acknowledged keys are missing, expected at most {bound}", end["acked_missing"]))
}

/// Whether a node holds much more than it did.
pub(super) fn grown(name: &str, first: Usage, now: Usage) -> Vec<String> {
    let mut reasons = Vec::new();
    for (what, first, now, max) in [
        ("KiB of memory", first.rss_kib, now.rss_kib, RSS_GROWTH_MAX_KIB),
        ("descriptors", first.descriptors, now.descriptors, DESCRIPTORS_GROWTH_MAX),
    ] {
        if now > first + max {
            reasons.push(format!("{name} holds {now} {what}, {first} at first, expected at most {max} more"));
        }
    }
    reasons
}

/// A fault that strikes a primary alone proves little: most must not.
pub(super) fn too_often_alone(struck_alone: u64, faults: u64) -> Option<String> {
    let max = (faults as f64 * STRUCK_ALONE_SHARE_MAX).max(1.0);
    (struck_alone as f64 > max).then(|| {
        format!(
            "{struck_alone} of {faults} faults struck a primary that stood alone, expected at most {max:.0}"
        )
    })
}

/// A measured time against its stated limit.
pub(super) fn too_long(what: &str, ms: f64, limit_ms: u64) -> Option<String> {
    (ms > limit_ms as f64).then(|| format!("{what} of {ms:.0} ms, expected at most {limit_ms} ms"))
}

/// What the loads of all clusters of a run counted.
#[derive(Default)]
pub(super) struct Sum {
    fields: serde_json::Map<String, Value>,
    clusters: u64,
    /// Loads that did not come to their end: what they would have found is unknown.
    without_end: u64,
}

impl Sum {
    /// Adds the last line of one of them.
    pub(super) fn add(&mut self, end: &Value) {
        self.clusters += 1;
        if end["event"] != "end" {
            self.without_end += 1;
        }
        let counted = end.as_object().into_iter().flatten();
        for (name, n) in
            counted.filter(|(name, _)| *name != "schema").filter_map(|(name, n)| Some((name, n.as_u64()?)))
        {
            let sum = self.fields.get(name).and_then(Value::as_u64).unwrap_or(0) + n;
            self.fields.insert(name.clone(), json!(sum));
        }
    }

    /// Null where no load has run.
    pub(super) fn to_json(&self) -> Value {
        if self.clusters == 0 {
            return Value::Null;
        }
        let mut all = self.fields.clone();
        all.insert("clusters".to_owned(), json!(self.clusters));
        all.insert("without_end".to_owned(), json!(self.without_end));
        all.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Value {
        json!({"schema": 1, "event": "end", "puts_acked": 5, "missing_beyond": 0, "returned": 0, "wrong_bytes": 0,
            "unexpected": 0, "complaints": [], "good": true})
    }

    #[test]
    fn each_wrong_count_fails_and_so_does_one_that_is_unknown() {
        assert_eq!(wrong_by_now(&counts()), Vec::<String>::new());
        for field in WRONG {
            for bad in [json!(1), Value::Null] {
                let mut line = counts();
                line[field] = bad;
                line["complaints"] = json!(["key 7"]);
                assert_eq!(wrong_by_now(&line).len(), 2, "{field}");
                assert_eq!(
                    wrong_after_loss(&line).len(),
                    usize::from(WRONG_ALWAYS.contains(&field)),
                    "{field}"
                );
            }
        }
        assert_eq!(wrong_by_now(&Value::Null).len(), WRONG.len());
    }

    #[test]
    fn puts_must_grow() {
        let later = |puts: u64| json!({"puts_acked": puts});
        assert!(has_grown(&counts(), &later(6)) && !has_grown(&counts(), &later(5)));
        assert!(!has_grown(&counts(), &Value::Null));
    }

    #[test]
    fn a_mismatch_fails_also_after_its_repair() {
        let node = |mismatches: Value, recount: Value, now: u64| {
            json!({"nodes": [{"node": "b", "mismatches": mismatches, "recount_equal": recount,
                "mismatched_keys": now, "homes_unequal": null}]})
        };
        assert!(differing(&node(json!({"missing": 0}), json!(true), 0)).is_empty());
        assert!(differing(&node(Value::Null, Value::Null, 0)).is_empty(), "not looked at yet");
        assert_eq!(differing(&node(json!({"missing": 0, "field": 2}), json!(true), 0)).len(), 1);
        assert_eq!(differing(&node(json!({}), json!(true), 1)).len(), 1);
        assert_eq!(differing(&node(json!({}), json!(false), 0)).len(), 1);
    }

    #[test]
    fn what_is_set_aside_fails_on_either_node() {
        let line = |own: Value, told: Value| {
            json!({"nodes": [{"node": "a", "quarantined": 0, "standbys": [{"node": "b", "quarantined": told}]},
                {"node": "b", "quarantined": own}]})
        };
        assert!(set_aside(&line(json!(0), Value::Null)).is_empty());
        assert_eq!(set_aside(&line(json!(2), json!(2))), ["b has set aside 2 entries"]);
        assert_eq!(set_aside(&line(Value::Null, json!(1))).len(), 1);
    }

    #[test]
    fn an_async_failover_loses_no_more_than_its_bound() {
        let row = |kind: &str| json!({"kind": kind});
        assert_eq!(
            failovers(&[row("bootstrap"), row("failover"), row("switchover"), row("forced failover")]),
            2
        );
        let end = |missing: Value| json!({"acked_missing": missing});
        assert_eq!(lost_too_much(&end(json!(7)), 7), None);
        assert!(lost_too_much(&end(json!(8)), 7).is_some() && lost_too_much(&end(Value::Null), 7).is_some());
    }

    #[test]
    fn growth_is_bounded() {
        let first = Usage { rss_kib: 1000, descriptors: 10 };
        let now = |rss, descriptors| {
            grown("a", first, Usage { rss_kib: 1000 + rss, descriptors: 10 + descriptors })
        };
        assert!(now(RSS_GROWTH_MAX_KIB, DESCRIPTORS_GROWTH_MAX).is_empty());
        assert_eq!(now(RSS_GROWTH_MAX_KIB + 1, DESCRIPTORS_GROWTH_MAX + 1).len(), 2);
    }

    #[test]
    fn few_faults_may_strike_alone_and_times_have_limits() {
        assert_eq!((too_often_alone(1, 1), too_often_alone(3, 30)), (None, None));
        assert!(too_often_alone(2, 2).is_some() && too_often_alone(4, 30).is_some());
        assert!(
            too_long("an outage", 5001.0, 5000).is_some() && too_long("an outage", 5000.0, 5000).is_none()
        );
    }

    #[test]
    fn loads_are_summed_and_one_without_an_end_is_told() {
        let mut sum = Sum::default();
        [counts(), counts(), Value::Null].iter().for_each(|line| sum.add(line));
        let line = sum.to_json();
        assert_eq!(
            (&line["puts_acked"], &line["clusters"], &line["without_end"]),
            (&json!(10), &json!(3), &json!(1))
        );
        assert!(line["schema"].is_null() && line["good"].is_null());
    }
}
