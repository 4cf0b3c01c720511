//! What the run came to: from what was measured to a verdict, and to the line of the contract.

use serde_json::{Value, json};

use super::super::exit::Exit;
use super::super::text::number;
use super::corrupt::CorruptFacts;
use super::mooncake::WheelFacts;

/// A node as its own process described it, at the comparison.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct NodeFacts {
    pub(super) id: String,
    pub(super) pid: u32,
    pub(super) role: &'static str,
    pub(super) epoch: Option<u64>,
    pub(super) tail: Option<u64>,
    pub(super) applied: Option<u64>,
    pub(super) objects: Option<u64>,
    pub(super) digest: Option<String>,
    pub(super) recount: Option<String>,
}

/// What the failover showed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FailoverFacts {
    pub(super) outage_ms: Option<f64>,
    /// Acknowledged keys found missing after it.
    pub(super) acked_lost: u64,
    /// Entries that may be lost, as far as the new primary can know.
    pub(super) loss_told_entries: Option<u64>,
    /// How long before the kill what is lost may have been acknowledged. In sync mode nothing may be lost.
    pub(super) loss_bound_ms: Option<f64>,
    /// Durations in milliseconds by name; null = unknown.
    pub(super) phases: Value,
    /// From the start of the killed node until it was in sync again.
    pub(super) rejoin_ms: Option<f64>,
}

/// All that was measured. `None` = it was not, or could not be.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) is_async: bool,
    pub(super) seed: u64,
    pub(super) duration_s: f64,
    pub(super) entries_replicated: Option<u64>,
    pub(super) puts_acked: u64,
    pub(super) puts_per_s: Option<f64>,
    pub(super) lag_ms: Option<(f64, f64)>,
    pub(super) nodes: Vec<NodeFacts>,
    /// Digest and recount of all nodes at one position.
    pub(super) digests_equal: Option<bool>,
    /// Keys that were put and acknowledged at least once.
    pub(super) keys: u64,
    pub(super) removes_acked: u64,
    /// Elements of calls whose outcome nobody knows.
    pub(super) unknown: u64,
    /// Puts that found no space.
    pub(super) no_space: u64,
    /// Looks at a key, during the load and after it, that were compared with the ledger.
    pub(super) reads_checked: u64,
    pub(super) acked_missing: u64,
    /// Those of them that no stated bound excuses.
    pub(super) missing_beyond: u64,
    pub(super) returned: u64,
    pub(super) wrong_bytes: u64,
    pub(super) unexpected: u64,
    /// Acknowledged keys that could not be asked for at the end. `None` = the end was not reached.
    pub(super) unread: Option<u64>,
    /// Acknowledged keys that were asked for at the end.
    pub(super) read_back: u64,
    pub(super) failover: Option<FailoverFacts>,
    /// What was planted in memory; `None` = nothing was to be, or could be.
    pub(super) corruption: Option<CorruptFacts>,
    /// What the released Mooncake client did; `None` = it was not to run, or could not.
    pub(super) mooncake: Option<WheelFacts>,
    pub(super) failover_wanted: bool,
    /// A person played: as long, and with as many keys, as they liked.
    pub(super) hands_on: bool,
    /// What else was seen to be wrong: sentences.
    pub(super) faults: Vec<String>,
    /// What could not be done or measured: sentences.
    pub(super) gaps: Vec<String>,
    /// The first wrong answers, word for word.
    pub(super) complaints: Vec<String>,
}

/// How the run is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) word: &'static str,
    pub(super) reasons: Vec<String>,
}

impl Verdict {
    pub(super) fn exit(&self) -> Exit {
        if self.word == "ok" { Exit::Ok } else { Exit::Bad }
    }
}

/// Keys that the workload is meant to be about.
pub(super) const KEYS_MIN: u64 = 50_000;

/// Share of puts and removals whose outcome may stay unknown: one kill leaves each writer with one batch of them.
const UNKNOWN_SHARE_MAX: f64 = 0.1;
/// Share of them that may find no space: what was removed is used again only after the leases on it are over.
const NO_SPACE_SHARE_MAX: f64 = 0.5;

/// What is wrong beats what is missing; only a run with neither is ok.
pub(super) fn judge(m: &Measured) -> Verdict {
    let wrong = wrong(m);
    let gaps = gaps(m);
    match (wrong.is_empty(), gaps.is_empty()) {
        (false, _) => {
            Verdict { word: "bad", reasons: [wrong, m.complaints.clone(), m.gaps.clone()].concat() }
        }
        (true, false) => Verdict { word: "incomplete", reasons: gaps },
        (true, true) => Verdict { word: "ok", reasons: Vec::new() },
    }
}

fn wrong(m: &Measured) -> Vec<String> {
    let mut reasons = m.faults.clone();
    reasons.extend(m.corruption.iter().flat_map(CorruptFacts::wrong));
    reasons.extend(m.mooncake.iter().flat_map(|wheel| wheel.faults(m.is_async, m.failover_wanted)));
    if m.digests_equal == Some(false) {
        reasons.push("the copies differ at one position: digest or recount".to_owned());
    }
    if m.missing_beyond > 0 {
        let excused = m.acked_missing.saturating_sub(m.missing_beyond);
        let but = if excused > 0 { format!("; {excused} more are within the bound") } else { String::new() };
        reasons.push(format!("{} acknowledged keys are missing{but}", m.missing_beyond));
    }
    // A load of which little is settled proves little.
    let settled = m.puts_acked + m.removes_acked;
    for (count, max, what) in [
        (m.unknown, UNKNOWN_SHARE_MAX, "have an unknown outcome"),
        (m.no_space, NO_SPACE_SHARE_MAX, "found no space"),
    ] {
        let all = settled + m.unknown + m.no_space;
        if count as f64 > max * all as f64 {
            reasons.push(format!(
                "{count} of {all} puts and removals {what}, expected at most {:.0} %",
                max * 100.0
            ));
        }
    }
    for (count, what) in [
        (m.wrong_bytes, "reads or addresses were wrong"),
        (m.returned, "removed keys are there again"),
        (m.unexpected, "answers fit no rule of the protocol"),
    ] {
        if count > 0 {
            reasons.push(format!("{count} {what}"));
        }
    }
    reasons
}

fn gaps(m: &Measured) -> Vec<String> {
    let mut reasons = m.gaps.clone();
    let mut need = |ok: bool, text: &str| {
        if !ok {
            reasons.push(text.to_owned());
        }
    };
    need(m.puts_acked > 0, "no put was acknowledged");
    need(m.entries_replicated.is_some_and(|entries| entries > 1), "no entry was replicated");
    need(m.digests_equal.is_some(), "the copies were not compared");
    need(!m.failover_wanted || m.failover.is_some(), "there was no failover");
    let no_write = m.failover.as_ref().is_some_and(|f| f.outage_ms.is_none());
    need(!no_write, "no write was acknowledged after the failover");
    let away = m.failover.as_ref().is_some_and(|f| f.rejoin_ms.is_none());
    need(!away, "the killed node did not come back in sync");
    need(m.unread.is_some(), "the acknowledged keys were not read back");
    if let Some(unread) = m.unread.filter(|unread| *unread > 0) {
        reasons
            .push(format!("{unread} acknowledged keys could not be read back: no answer, or none in time"));
    }
    if m.keys < KEYS_MIN && !m.hands_on {
        reasons.push(format!(
            "{} keys were put and acknowledged, expected {KEYS_MIN}: try a longer --duration",
            m.keys
        ));
    }
    reasons
}

/// A count of what was found wrong: unknown as long as nothing was looked at.
fn found(count: u64, looked_at: u64) -> Option<u64> {
    (count > 0 || looked_at > 0).then_some(count)
}

/// The line of the contract. Unknown is null.
pub(super) fn line(m: &Measured, verdict: &Verdict) -> Value {
    let nodes: Vec<Value> = m.nodes.iter().map(node).collect();
    let failover = m.failover.as_ref().map(|f| {
        json!({
            "cause": "kill -9", "outage_ms": f.outage_ms, "acked_lost": found(f.acked_lost, m.read_back),
            "loss_told_entries": f.loss_told_entries, "loss_bound_ms": f.loss_bound_ms,
            "phases": f.phases,
            "rejoin_ms": f.rejoin_ms,
        })
    });
    json!({
        "schema": 1, "verdict": verdict.word, "reasons": verdict.reasons,
        "mode": if m.is_async { "async" } else { "sync" }, "seed": m.seed, "duration_s": m.duration_s,
        "entries_replicated": m.entries_replicated, "puts_acked": m.puts_acked, "puts_per_s": m.puts_per_s,
        "lag_ms": {"p50": m.lag_ms.map(|lag| lag.0), "p99": m.lag_ms.map(|lag| lag.1)},
        "nodes": nodes, "digests_equal": m.digests_equal,
        "acked_missing": found(m.acked_missing, m.read_back),
        "wrong_bytes": found(m.wrong_bytes, m.reads_checked),
        "unknown_outcomes": m.unknown, "no_space": m.no_space,
        "failover": failover,
        "verification": CorruptFacts::line(m.corruption.as_ref()),
        "mooncake": WheelFacts::line(m.mooncake.as_ref()),
    })
}

fn node(n: &NodeFacts) -> Value {
    json!({
        "id": n.id, "pid": n.pid, "role": n.role, "epoch": n.epoch, "tail": n.tail, "applied": n.applied,
        "objects": n.objects, "digest": n.digest, "recount": n.recount,
    })
}

/// The same for people, in lines of at most 80 columns.
pub(super) fn summary(m: &Measured, verdict: &Verdict) -> Vec<String> {
    let known = |value: Option<f64>, unit: &str| value.map_or("?".to_owned(), |v| format!("{v:.1} {unit}"));
    let mut lines = vec![
        format!("VERDICT: {}", verdict.word.to_uppercase()),
        format!(
            "  {} puts acknowledged, {} per second, {} keys",
            m.puts_acked,
            rounded(m.puts_per_s),
            m.keys
        ),
        format!(
            "  lag p50 {}, p99 {}",
            known(m.lag_ms.map(|lag| lag.0), "ms"),
            known(m.lag_ms.map(|lag| lag.1), "ms")
        ),
        format!(
            "  copies equal when they were compared: {}",
            m.digests_equal.map_or("?", |equal| if equal { "yes" } else { "NO" })
        ),
    ];
    if let Some(failover) = &m.failover {
        let outage = known(failover.outage_ms, "ms");
        let rejoin = known(failover.rejoin_ms, "ms");
        lines.push(format!(
            "  kill -9 to the first good write: {outage}; killed node in sync after: {rejoin}"
        ));
        if m.is_async {
            let bound = known(failover.loss_bound_ms, "ms");
            lines.push(format!("  may be lost: what was acknowledged in the last {bound} before the kill"));
        }
    }
    lines.push(format!(
        "  acknowledged keys missing: {}, wrong bytes: {}",
        number(found(m.acked_missing, m.read_back)),
        number(found(m.wrong_bytes, m.reads_checked))
    ));
    lines.extend(m.mooncake.iter().map(|wheel| format!("  {}", wheel.sentence())));
    lines.extend(verdict.reasons.iter().flat_map(|why| super::super::text::wrap(&format!("  - {why}"), 4)));
    lines
}

fn rounded(value: Option<f64>) -> String {
    value.map_or("?".to_owned(), |v| format!("{v:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Measured {
        Measured {
            seed: 1,
            duration_s: 12.0,
            entries_replicated: Some(9),
            puts_acked: 60_000,
            keys: KEYS_MIN,
            digests_equal: Some(true),
            reads_checked: 1,
            unread: Some(0),
            read_back: 1,
            failover_wanted: true,
            failover: Some(FailoverFacts {
                outage_ms: Some(600.0),
                rejoin_ms: Some(900.0),
                ..Default::default()
            }),
            ..Measured::default()
        }
    }

    fn word(change: impl FnOnce(&mut Measured)) -> &'static str {
        let mut measured = good();
        change(&mut measured);
        let verdict = judge(&measured);
        assert_eq!(verdict.reasons.is_empty(), verdict.word == "ok", "{verdict:?}");
        assert_eq!(verdict.exit() == Exit::Ok, verdict.word == "ok");
        verdict.word
    }

    #[test]
    fn a_good_run_is_ok() {
        assert_eq!(word(|_| {}), "ok");
        assert_eq!(word(|m| (m.failover, m.failover_wanted) = (None, false)), "ok");
        assert_eq!(word(|m| (m.keys, m.hands_on) = (9, true)), "ok");
    }

    #[test]
    fn each_fault_alone_is_bad() {
        assert_eq!(word(|m| m.digests_equal = Some(false)), "bad");
        assert_eq!(word(|m| (m.acked_missing, m.missing_beyond) = (3, 1)), "bad");
        assert_eq!(word(|m| m.wrong_bytes = 1), "bad");
        assert_eq!(word(|m| m.returned = 1), "bad");
        assert_eq!(word(|m| m.unexpected = 1), "bad");
        assert_eq!(word(|m| m.unknown = 6_666), "ok");
        assert_eq!(word(|m| m.unknown = 6_667), "bad", "more than a tenth of all");
        assert_eq!(word(|m| m.no_space = 60_000), "ok");
        assert_eq!(word(|m| m.no_space = 60_001), "bad", "more than half of all");
        assert_eq!(word(|m| m.faults.push("b has set aside an entry".into())), "bad");
        let both = |m: &mut Measured| (m.wrong_bytes, m.unread) = (1, None);
        assert_eq!(word(both), "bad", "what is wrong beats what is missing");
    }

    #[test]
    fn each_gap_alone_is_incomplete() {
        assert_eq!(word(|m| m.puts_acked = 0), "incomplete");
        assert_eq!(word(|m| m.entries_replicated = None), "incomplete");
        assert_eq!(word(|m| m.digests_equal = None), "incomplete");
        assert_eq!(word(|m| m.unread = None), "incomplete");
        assert_eq!(word(|m| m.unread = Some(1)), "incomplete");
        assert_eq!(word(|m| m.failover = None), "incomplete");
        assert_eq!(word(|m| m.failover.as_mut().expect("is there").outage_ms = None), "incomplete");
        assert_eq!(word(|m| m.failover.as_mut().expect("is there").rejoin_ms = None), "incomplete");
        assert_eq!(word(|m| m.keys = KEYS_MIN - 1), "incomplete");
        assert_eq!(word(|m| m.gaps.push("interrupted".into())), "incomplete");
    }

    #[test]
    fn what_is_missing_within_the_bound_is_told_but_not_bad() {
        let mut measured = good();
        (measured.is_async, measured.acked_missing) = (true, 3);
        let verdict = judge(&measured);
        assert_eq!((verdict.word, line(&measured, &verdict)["acked_missing"].as_u64()), ("ok", Some(3)));
    }

    #[test]
    fn the_line_has_every_field_and_unknown_is_null() {
        let mut measured = Measured::default();
        measured.nodes.push(NodeFacts { id: "a".into(), pid: 7, role: "primary", ..NodeFacts::default() });
        let line = line(&measured, &judge(&measured));
        for name in
            ["entries_replicated", "puts_per_s", "digests_equal", "acked_missing", "wrong_bytes", "failover"]
        {
            assert!(line.get(name).is_some_and(Value::is_null), "{name}: {line}");
        }
        for name in
            ["mode", "seed", "duration_s", "puts_acked", "lag_ms", "wrong_bytes", "verification", "mooncake"]
        {
            assert!(line.get(name).is_some(), "{name}");
        }
        assert_eq!((line["schema"].as_u64(), line["nodes"][0]["recount"].is_null()), (Some(1), true));
        assert_eq!(line["nodes"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn what_was_not_looked_at_is_not_zero() {
        let fields = |m: &Measured| {
            let line = line(m, &judge(m));
            [&line["acked_missing"], &line["failover"]["acked_lost"], &line["wrong_bytes"]].map(Value::as_u64)
        };
        let mut measured = good();
        assert_eq!(fields(&measured), [Some(0); 3]);
        (measured.read_back, measured.unread) = (0, Some(9));
        assert_eq!(fields(&measured), [None, None, Some(0)]);
        measured.reads_checked = 0;
        assert_eq!(fields(&measured), [None; 3]);
        (measured.acked_missing, measured.wrong_bytes) = (2, 1);
        assert_eq!(fields(&measured), [Some(2), None, Some(1)]);
    }

    #[test]
    fn the_summary_fits_80_columns() {
        let mut measured = good();
        measured.faults.push("a very long reason ".repeat(12));
        let verdict = judge(&measured);
        assert!(summary(&measured, &verdict).iter().all(|line| line.chars().count() <= 80));
    }
}
