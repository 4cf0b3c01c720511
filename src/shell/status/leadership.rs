//! Who leads and why, and what the coordinator says.

use standfast_kernel::node::{NodeView, RoleView};
use standfast_kernel::replication::Degrade;
use standfast_kernel::supervisor::{HolderView, Role};
use standfast_kernel::types::AckMode;
use standfast_proto::v1;

use super::super::convert::ack_to_wire;
use super::{StatusBoard, ms};

impl StatusBoard {
    /// The address that a standby dials.
    pub(super) fn followed(&self, view: &NodeView) -> Option<String> {
        match &view.leadership {
            Some(l) => l.holder.as_ref().filter(|h| h.copy != view.copy).map(|h| h.address.clone()),
            None => self.facts.peer.clone(),
        }
    }

    pub(super) fn leadership(&self, view: &NodeView) -> v1::Leadership {
        let (role, state) = match view.role {
            Role::Standby => (v1::Role::Standby, "following"),
            Role::Candidate if view.leadership.is_some() => (v1::Role::Candidate, "asking the coordinator"),
            Role::Candidate => (v1::Role::Candidate, "waiting for its own promise to end"),
            Role::Primary => (v1::Role::Primary, "serving"),
        };
        let crash_loses_all = match &view.detail {
            RoleView::Primary(p) => Some(p.record.members.len() == 1),
            RoleView::Standby(_) | RoleView::Candidate(_) => None,
        };
        v1::Leadership {
            role: role.into(),
            state: state.to_owned(),
            reason: view.reason.clone(),
            epoch: Some(view.epoch.0).filter(|e| *e > 0),
            max_epoch: Some(view.epoch.0).filter(|e| *e > 0),
            holder: self.holder(view),
            ack_mode: ack_to_wire(self.facts.ack).into(),
            // Without a coordinator nobody removes a member by itself.
            degrade_mode: match self.facts.degrade {
                Some(Degrade::Available) => v1::DegradeMode::Available.into(),
                Some(Degrade::Strict { .. }) | None => v1::DegradeMode::Strict.into(),
            },
            min_insync: self.facts.degrade.map_or(0, Degrade::demanded),
            max_loss: (self.facts.ack == AckMode::Async).then(|| v1::LossBound {
                entries: Some(self.facts.loss.entries),
                age_ms: Some(ms(self.facts.loss.age)),
            }),
            crash_loses_all,
            ..v1::Leadership::default()
        }
    }

    /// The record's word, where there is one; else whom it follows.
    fn holder(&self, view: &NodeView) -> Option<v1::Holder> {
        let recorded = view.leadership.as_ref().and_then(|l| l.holder.as_ref());
        match &view.detail {
            RoleView::Primary(_) => Some(v1::Holder {
                node: self.facts.me.node.to_string(),
                grpc_addr: self.facts.me.address.clone(),
                mooncake_addr: self.facts.mooncake.clone(),
                epoch: Some(view.epoch.0),
                copy: Some(view.copy.to_string()),
            }),
            _ if recorded.is_some() => recorded.map(holder_to_wire),
            RoleView::Standby(s) => s.primary.as_ref().map(|node| v1::Holder {
                node: node.to_string(),
                grpc_addr: self.facts.peer.clone().unwrap_or_default(),
                epoch: Some(view.epoch.0),
                copy: None,
                mooncake_addr: None,
            }),
            RoleView::Candidate(_) => None,
        }
    }

    pub(super) fn coordinator(&self, view: &NodeView) -> v1::Coordinator {
        let (kind, endpoints) = self.facts.coordinator.clone();
        let base = v1::Coordinator { kind: kind.to_owned(), endpoints, ..v1::Coordinator::default() };
        let Some(l) = &view.leadership else { return base };
        v1::Coordinator {
            up: l.answered.map(|_| l.away.is_none()),
            contact_age_ms: l.answered.map(ms),
            call_time: Some(self.durations().coordinator_call.reading()),
            failures: Some(l.unanswered),
            // Of a standby, the sentence of its last decision.
            reason: l.away.clone().or_else(|| l.waiting.clone().filter(|_| view.role != Role::Primary)),
            published: (view.role == Role::Primary).then_some(l.published),
            ..base
        }
    }
}

fn holder_to_wire(h: &HolderView) -> v1::Holder {
    v1::Holder {
        node: h.node.to_string(),
        grpc_addr: h.address.clone(),
        epoch: Some(h.epoch.0),
        copy: Some(h.copy.to_string()),
        mooncake_addr: h.mooncake.clone(),
    }
}
