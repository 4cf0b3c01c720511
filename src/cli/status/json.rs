//! The status for programs: one line, unknown is null.

use serde_json::{Value, json};
use standfast_proto::v1::{AckMode, Lag, NodeStatus, Peer, Progress, Security, Verdict};
use standfast_tui::Found;

use super::super::{pause, text};
use super::judge;
use super::{Seen, Survey};

/// `{"schema":1, ...}`.
pub(super) fn line(survey: &Survey, problems: &[Found]) -> Value {
    let verdict = match (survey.answered().next(), problems) {
        (None, _) => "unreachable",
        (Some(_), []) => "ok",
        (Some(_), _) => "degraded",
    };
    let problem = |found: &Found| {
        json!({"text": found.sentence(), "cure": given(&found.cure), "code": found.code,
            "node": given(&found.node), "runbook": given(&found.runbook)})
    };
    let problems: Vec<Value> = problems.iter().map(problem).collect();
    let nodes: Vec<Value> = survey.nodes.iter().map(node).collect();
    json!({"schema": 1, "verdict": verdict, "problems": problems, "nodes": nodes})
}

fn node(seen: &Seen) -> Value {
    let mut value = match &seen.answer {
        Ok(status) => answer(seen, status),
        Err(why) => json!({"error": why}),
    };
    value["addr"] = json!(seen.addr);
    if let Some(why) = &seen.lost {
        value["error"] = json!(why);
        value["stale_ms"] = json!(seen.at.elapsed().as_millis() as u64);
    }
    value
}

fn answer(seen: &Seen, status: &NodeStatus) -> Value {
    let identity = status.identity.as_ref();
    let leadership = status.leadership.as_ref();
    let positions = status.positions.as_ref();
    let upstream = status.upstream.as_ref();
    let store = status.store.as_ref();
    let verification = status.verification.as_ref().filter(|_| upstream.is_some());
    let ack = leadership.map(|l| match l.ack_mode() {
        AckMode::Sync => json!("sync"),
        AckMode::Async => json!("async"),
        AckMode::Unspecified => Value::Null,
    });
    let promotable = match judge::verdict(status) {
        Verdict::Yes => json!(true),
        Verdict::No => json!(false),
        Verdict::Unknown | Verdict::Unspecified => Value::Null,
    };
    let reasons: Vec<&str> =
        status.rehearsal.iter().flat_map(|r| &r.reasons).map(|reason| &*reason.text).collect();
    let members: Option<Vec<&str>> =
        status.in_sync.as_ref().map(|set| set.members.iter().map(|member| &*member.node).collect());
    let standbys: Vec<Value> = status.standbys.iter().map(peer).collect();
    json!({
        "error": null,
        "node": identity.map(|i| &i.node), "cluster": identity.map(|i| &i.cluster),
        "copy": identity.map(|i| &i.copy), "pid": identity.map(|i| i.pid),
        "role": word(text::role(seen.role())), "epoch": leadership.and_then(|l| l.epoch), "ack": ack,
        "reason": leadership.map(|l| &l.reason),
        "tail": positions.map(|p| p.tail), "applied": positions.map(|p| p.applied),
        "commit": positions.and_then(|p| p.commit), "verified": positions.and_then(|p| p.verified),
        "verification_paused": verification.map(|v| v.paused),
        "verification_paused_reason": verification.and_then(|v| v.paused_reason.as_ref()),
        "lag": lag(upstream.and_then(|u| u.lag.as_ref())),
        "contact_age_ms": upstream.and_then(|u| u.contact_age_ms),
        "progress": upstream.and_then(|u| u.progress.as_ref()).map(progress),
        "promotable": promotable, "promotable_reasons": reasons,
        "in_sync": members, "standbys": standbys,
        "crash_loses_all": leadership.and_then(|l| l.crash_loses_all),
        "quarantined": status.quarantine.as_ref().map(|q| q.count),
        "objects": store.map(|s| s.objects), "segments": store.map(|s| s.segments),
        "digest": store.and_then(|s| s.digest.as_ref()), "recount": store.and_then(|s| s.recount.as_ref()),
        "digest_at": store.and_then(|s| s.digest_at),
        "automation": status.automation.as_ref().map(pause::line),
        "security": status.security.as_ref().map(security),
    })
}

fn security(s: &Security) -> Value {
    json!({
        "tls": s.tls, "client_certificates": s.client_certificates, "token": s.token, "exposed": s.exposed,
        "certificate_until": s.certificate_until_unix_us.map(text::rfc3339),
    })
}

fn peer(peer: &Peer) -> Value {
    json!({
        "node": peer.node, "addr": peer.grpc_addr,
        "link": word(&peer.link().as_str_name().trim_start_matches("LINK_STATE_").to_lowercase()),
        "stream": peer.stream.is_some().then(|| {
            word(&peer.stream().as_str_name().trim_start_matches("STREAM_STATE_").to_lowercase())
        }),
        "sent": peer.sent, "received": peer.received, "applied": peer.applied, "matched": peer.matched,
        "verified": peer.verified, "lag": lag(peer.lag.as_ref()), "contact_age_ms": peer.contact_age_ms,
        "in_sync": peer.in_sync, "silent": peer.silent, "quarantined": peer.quarantined, "reason": peer.reason,
        "progress": peer.progress.as_ref().map(progress),
    })
}

fn progress(p: &Progress) -> Value {
    json!({
        "done": p.done, "total": p.total, "unit": p.unit, "elapsed_ms": p.elapsed_ms, "eta_ms": p.eta_ms,
        "lock_hold_max_us": p.lock_hold_max_us,
    })
}

fn lag(lag: Option<&Lag>) -> Value {
    json!({
        "entries": lag.and_then(|lag| lag.entries),
        "bytes": lag.and_then(|lag| lag.bytes),
        "seconds": lag.and_then(|lag| lag.age_us).map(|us| us as f64 / 1e6),
    })
}

/// A word of a closed list; what is not in the list is unknown.
fn word(word: &str) -> Value {
    if word == "?" || word == "unspecified" { Value::Null } else { json!(word) }
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
