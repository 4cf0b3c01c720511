//! The machine that belongs to each role.

use std::sync::Arc;
use std::time::Duration;

use super::{Loss, PromoteCall, RoleChange};
use crate::master::Master;
use crate::replication::{Primary, Standby};
use crate::supervisor::Role;
use crate::types::{AckMode, Epoch, Instant, Seq};

#[derive(Debug)]
pub(super) enum RoleState {
    Standby(Box<Standby>),
    Candidate(Box<Candidate>),
    Primary(Box<Primary>, Arc<Master>),
}

/// A promotion that waits for the own last promise to end.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) call: PromoteCall,
    pub(super) asked: Instant,
    pub(super) until: Instant,
    /// The old primary's tail, as last heard.
    pub(super) primary_tail: Option<Seq>,
    /// The old primary's commit, as last heard.
    pub(super) commit: Seq,
    /// When the old primary acknowledged.
    pub(super) ack: AckMode,
    /// Longest read lease that the old primary may have granted.
    pub(super) read_ttl_max: Duration,
}

impl RoleState {
    pub(super) fn role(&self) -> Role {
        match self {
            Self::Standby(_) => Role::Standby,
            Self::Candidate(_) => Role::Candidate,
            Self::Primary(..) => Role::Primary,
        }
    }

    pub(super) fn standby(&self) -> Option<&Standby> {
        match self {
            Self::Standby(s) => Some(s),
            Self::Candidate(_) | Self::Primary(..) => None,
        }
    }
}

impl Candidate {
    /// The record of the promotion that ends now.
    pub(super) fn change(&self, now: Instant, epoch: Epoch, tail: Seq) -> RoleChange {
        let fence = self.until.since(self.asked);
        RoleChange {
            epoch,
            kind: "failover",
            cause: "operator".into(),
            reason: self.call.reason.clone(),
            actor: self.call.actor.clone(),
            phases: vec![("fence", fence), ("promote", now.since(self.asked).saturating_sub(fence))],
            loss: Some(Loss {
                last_heard: self.primary_tail.map(|t| t.since(tail)),
                acknowledged: (self.ack == AckMode::Sync).then(|| self.commit.since(tail)),
            }),
        }
    }
}
