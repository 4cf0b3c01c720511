//! Whether nodes take over by themselves, and what is wrong that the node itself knows of.

use standfast_kernel::supervisor::{Automation, Pause};
use standfast_kernel::types::WallTime;
use standfast_proto::v1;

use super::ms;

/// As the contract has it.
pub(super) fn automation(a: &Automation) -> v1::Automation {
    let suspended = a.suspended();
    let left = |until: WallTime| until.0.saturating_sub(a.now.0) / 1_000;
    let pause = |p: &Pause| v1::Pause {
        actor: p.actor.clone(),
        reason: p.reason.clone(),
        since_unix_us: p.since.0 as i64,
        until_unix_us: p.until.0 as i64,
        remaining_ms: left(p.until),
    };
    v1::Automation {
        suspended: suspended.is_some(),
        reason: suspended.map(|(_, text)| text).unwrap_or_default(),
        pause: a.pause.as_ref().map(pause),
        recent: a.recent,
        limit: a.limit.changes,
        window_ms: ms(a.limit.window),
        stopped_remaining_ms: a.stopped_until.map(left),
    }
}

/// The coordinator's records are older than what this node knows: nothing is decided by them.
pub(super) fn disbelief(why: &str) -> v1::Finding {
    v1::Finding {
        code: "coordinator_moved_back".to_owned(),
        severity: v1::Severity::Critical.into(),
        text: why.to_owned(),
        since_unix_us: 0,
        runbook: String::new(),
        cure: "standfast resume --reason TEXT, once the records are right".to_owned(),
    }
}

/// What speaks against automatic failover is wrong until somebody ends it.
pub(super) fn finding(a: &Automation) -> Option<v1::Finding> {
    let (code, text) = a.suspended()?;
    let (severity, since) = match &a.pause {
        Some(pause) => (v1::Severity::Warning, pause.since.0 as i64),
        None => (v1::Severity::Critical, 0),
    };
    Some(v1::Finding {
        code: code.to_owned(),
        severity: severity.into(),
        text,
        since_unix_us: since,
        runbook: String::new(),
        cure: "standfast resume --reason TEXT".to_owned(),
    })
}
