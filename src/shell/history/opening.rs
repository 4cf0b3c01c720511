//! A role change of this node that goes on: which points it has come to, and the
//! phases that follow from them.

use std::time::Duration;

use standfast_kernel::types::Instant;
use standfast_proto::v1;

use super::{Former, Started, us};

/// What the first answer of the new primary ends.
pub(super) const FIRST_ANSWER: &str = "first_answer";
/// Of a planned change: the former primary had fallen silent, and this one leads.
const HAND_OVER: &str = "hand_over";
/// What is reached so long after the node may answer is not part of the change.
const OPEN_MAX: Duration = Duration::from_secs(30);

/// The change, as far as it has come.
#[derive(Debug)]
pub(super) struct Opening {
    id: String,
    began: Instant,
    /// The change began then: of a switchover that is known only where its former primary was heard.
    knows_began: bool,
    /// When the node may answer.
    serves: Instant,
    /// When it had come to which point, by time.
    points: Vec<(&'static str, Instant)>,
    /// The node that is to return.
    awaited: Option<String>,
}

impl Opening {
    /// The row of a change that has just taken place, and what completes it; a first primary has nothing to complete.
    pub(super) fn of(node: &str, started: &Started) -> (Option<Self>, v1::RoleChange) {
        let Started { now, wall, serve_at, former, change } = started;
        let kind = kind(change.kind);
        let serves = (*now).max(*serve_at);
        let mut at = serves;
        let mut points = Vec::new();
        // The machine's phases follow each other and end when the node may answer.
        for (name, took) in change.phases.iter().rev() {
            points.push((*name, at));
            at = Instant(at.0.saturating_sub(took.as_nanos() as u64));
        }
        points.reverse();
        let planned = matches!(kind, v1::RoleChangeKind::Switchover | v1::RoleChangeKind::Bootstrap);
        let heard = former.as_ref().filter(|_| !planned).and_then(|former| former.heard);
        let began = heard.map_or(at, |heard| heard.min(at));
        if began < at {
            points.insert(0, ("detect", at));
        }
        let began_us = wall.0.saturating_sub(us(now.since(began)));
        let epoch = change.epoch.0;
        let mut row = v1::RoleChange {
            id: format!("{epoch}-{node}-{began_us}"),
            revision: 1,
            epoch,
            previous_epoch: former.as_ref().map(|former| former.epoch).filter(|epoch| *epoch > 0),
            kind: kind.into(),
            cause: change.cause.clone(),
            reason: change.reason.clone(),
            actor: change.actor.clone(),
            from_node: former.as_ref().map(|former| former.node.clone()),
            to_node: node.to_owned(),
            started_unix_us: began_us as i64,
            lost: change.loss.as_ref().map(|l| loss(l.acknowledged, None)),
            at_risk: change.loss.as_ref().map(|l| loss(l.last_heard, at_risk_for(former.as_ref(), began))),
            succeeded: Some(true),
            ..v1::RoleChange::default()
        };
        let awaited = former.as_ref().map(|former| former.node.clone()).filter(|other| other != node);
        let heard_of = points.iter().any(|(name, _)| *name == HAND_OVER);
        let knows_began = kind != v1::RoleChangeKind::Switchover || heard_of;
        let opening = Self { id: row.id.clone(), began, knows_began, serves, points, awaited };
        opening.tile(&mut row);
        ((kind != v1::RoleChangeKind::Bootstrap).then_some(opening), row)
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// True when that is news.
    pub(super) fn reached(&mut self, what: &'static str, at: Instant, row: &mut v1::RoleChange) -> bool {
        if at.since(self.serves) > OPEN_MAX || self.points.iter().any(|(name, _)| *name == what) {
            return false;
        }
        let place = self.points.partition_point(|(_, known)| *known <= at);
        self.points.insert(place, (what, at.max(self.began)));
        self.tile(row);
        true
    }

    /// True when that is news.
    pub(super) fn joined(&mut self, node: &str, at: Instant, row: &mut v1::RoleChange) -> bool {
        if self.awaited.take_if(|awaited| awaited == node).is_none() {
            return false;
        }
        row.rejoin_us = Some(us(at.since(self.began)));
        true
    }

    /// Phases from points: each lasts until the point that it is named after.
    fn tile(&self, row: &mut v1::RoleChange) {
        let mut from = 0;
        let phases = self.points.iter().map(|(name, at)| {
            let until = us(at.since(self.began));
            let phase = v1::Phase {
                name: (*name).to_owned(),
                start_us: from,
                duration_us: until.saturating_sub(from),
            };
            from = from.max(until);
            phase
        });
        row.phases = phases.collect();
        let answered = self.points.iter().find(|(name, _)| *name == FIRST_ANSWER && self.knows_began);
        row.outage_us = answered.map(|(_, at)| us(at.since(self.began)));
    }
}

fn kind(word: &str) -> v1::RoleChangeKind {
    match word {
        "bootstrap" => v1::RoleChangeKind::Bootstrap,
        "switchover" => v1::RoleChangeKind::Switchover,
        "forced_failover" | "cold_start" => v1::RoleChangeKind::Forced,
        _ => v1::RoleChangeKind::Failover,
    }
}

/// Nothing has neither bytes nor keys nor age; of something only what was measured is known.
fn loss(entries: Option<u64>, age_us: Option<u64>) -> v1::Loss {
    match entries {
        Some(0) => v1::Loss { entries, bytes: Some(0), age_us: Some(0), keys: Some(0) },
        _ => v1::Loss { entries, bytes: None, age_us, keys: None },
    }
}

/// How long before its last sign of life the former primary may have had something that this copy lacks.
fn at_risk_for(former: Option<&Former>, began: Instant) -> Option<u64> {
    former.and_then(|former| former.equal).map(|equal| us(began.since(equal)))
}
