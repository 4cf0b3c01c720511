//! The state for programs: one line, unknown is null.

use serde_json::{Map, Value, json};
use standfast_proto::v1::{Lag, RoleChange, Severity, Verdict};

use crate::findings::{Found, findings};
use crate::frame::{Frame, Link, Node};
use crate::judge::{answers, lag, verdict, verified};
use crate::model::Model;
use crate::time::rfc3339_us;
use crate::view::role_word;

/// How a look at the cluster has ended, for an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nothing is known to be wrong.
    Ok,
    /// Something is wrong.
    Degraded,
    /// No node has answered.
    Unreachable,
}

/// What `model` shows, judged.
#[must_use]
pub fn health(model: &Model) -> Health {
    let frame = model.shown();
    if frame.fresh() == 0 {
        return Health::Unreachable;
    }
    let found = findings(frame, model.history.before(frame.at));
    let wrong = found.iter().any(|finding| finding.severity > Severity::Info);
    if wrong || answers(frame).safe != Some(true) { Health::Degraded } else { Health::Ok }
}

/// `{"schema":1, ...}`.
#[must_use]
pub fn line(model: &Model) -> Value {
    let frame = model.shown();
    let answers = answers(frame);
    let found = findings(frame, model.history.before(frame.at));
    let verdict = match health(model) {
        Health::Ok => "ok",
        Health::Degraded => "degraded",
        Health::Unreachable => "unreachable",
    };
    let history = frame.nodes.iter().filter_map(Node::status).flat_map(|status| &status.history);
    json!({
        "schema": 1, "verdict": verdict, "at": frame.at.rfc3339(),
        "source": if model.replay.is_some() { "replay" } else { "live" },
        "cluster": frame.cluster(), "primary": answers.primary, "epoch": answers.epoch,
        "primary_stale_ms": answers.primary_stale_ms,
        "failover_safe": answers.safe, "failover_reason": answers.reason, "failover_target": answers.target,
        "lag": lag_json(&answers.lag), "would_lose_keys": answers.lose_keys,
        "told_but_lacking_entries": answers.lose_entries, "verified": answers.verified,
        "nodes": frame.nodes.iter().map(|node| node_json(frame, node)).collect::<Vec<_>>(),
        "findings": found.iter().map(|finding| finding_json(model, finding)).collect::<Vec<_>>(),
        "history": history.map(change_json).collect::<Vec<_>>(),
    })
}

fn lag_json(lag: &Lag) -> Value {
    json!({"entries": lag.entries, "bytes": lag.bytes, "seconds": lag.age_us.map(|us| us as f64 / 1e6)})
}

fn node_json(frame: &Frame, node: &Node) -> Value {
    let status = node.status();
    let positions = status.and_then(|status| status.positions.as_ref());
    let store = status.and_then(|status| status.store.as_ref());
    let promotable = match status.map(verdict) {
        Some(Verdict::Yes) => json!(true),
        Some(Verdict::No) => json!(false),
        Some(Verdict::Unknown | Verdict::Unspecified) | None => Value::Null,
    };
    let rehearsal = status.and_then(|status| status.rehearsal.as_ref());
    let reasons: Vec<&str> = rehearsal.iter().flat_map(|r| &r.reasons).map(|reason| &*reason.text).collect();
    let error = match &node.link {
        Link::Lost { why, .. } => json!(**why),
        Link::Connecting | Link::Up => Value::Null,
    };
    let role = role_word(node.role());
    json!({
        "addr": &*node.addr, "node": status.and_then(|s| s.identity.as_ref()).map(|i| &i.node),
        "error": error, "fresh": node.is_fresh(frame.at), "age_ms": node.age_ms(frame.at),
        "role": (role != "?").then_some(role), "epoch": node.epoch(),
        "tail": positions.map(|p| p.tail), "applied": positions.map(|p| p.applied),
        "commit": positions.and_then(|p| p.commit), "verified": verified(frame, node),
        "lag": lag_json(&lag(frame, node)), "promotable": promotable, "promotable_reasons": reasons,
        "objects": store.map(|s| s.objects), "segments": store.map(|s| s.segments),
    })
}

fn finding_json(model: &Model, finding: &Found) -> Value {
    let severity = match finding.severity {
        Severity::Critical => json!("critical"),
        Severity::Warning => json!("warning"),
        Severity::Info => json!("info"),
        Severity::Unspecified => Value::Null,
    };
    let seen = model.since.of(finding, model.shown().at).map(crate::time::Time::rfc3339);
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "node": given(&finding.node), "code": finding.code, "severity": severity, "text": finding.text,
        "since": finding.since_unix_us.map(rfc3339_us).or(seen), "cure": given(&finding.cure),
        "runbook": given(&finding.runbook),
    })
}

fn change_json(change: &RoleChange) -> Value {
    let ms = |us: u64| us as f64 / 1e3;
    let phases: Map<String, Value> =
        change.phases.iter().map(|phase| (phase.name.clone(), json!(ms(phase.duration_us)))).collect();
    let kind = change.kind().as_str_name().trim_start_matches("ROLE_CHANGE_KIND_").to_lowercase();
    json!({
        "epoch": change.epoch, "kind": (kind != "unspecified").then_some(kind), "cause": change.cause,
        "reason": change.reason, "actor": change.actor, "from": change.from_node, "to": change.to_node,
        "started": rfc3339_us(change.started_unix_us), "succeeded": change.succeeded, "drill": change.drill,
        "outage_ms": change.outage_us.map(ms), "phases_ms": phases, "rejoin_ms": change.rejoin_us.map(ms),
        "lost_entries": change.lost.as_ref().and_then(|lost| lost.entries),
        "lost_keys": change.lost.as_ref().and_then(|lost| lost.keys),
    })
}
