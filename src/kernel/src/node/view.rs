//! What operators see of a node, taken at one moment.

use super::{Node, RoleState};
use crate::oplog::LogMarks;
use crate::replication::{PrimaryView, StandbyView};
use crate::supervisor::{LeadershipView, Rehearsal, Role};
use crate::types::{CopyId, Epoch, Instant};

/// A node at one moment.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// When, in the node's own time.
    pub at: Instant,
    /// Which copy of the state it holds.
    pub copy: CopyId,
    /// Its role.
    pub role: Role,
    /// Why it is in this role.
    pub reason: String,
    /// Entries that it has set aside since it started, in this copy or in one before.
    pub set_aside: u64,
    /// Highest epoch seen; as primary, the own one.
    pub epoch: Epoch,
    /// Its log.
    pub log: LogMarks,
    /// What belongs to the role.
    pub detail: RoleView,
    /// Whether a takeover would succeed now.
    pub rehearsal: Rehearsal,
    /// With a coordinator: what it says.
    pub leadership: Option<LeadershipView>,
    /// As primary: until when inherited objects count as leased.
    pub hold_until: Option<Instant>,
}

/// What belongs to a role.
#[derive(Debug, Clone)]
pub enum RoleView {
    /// Following.
    Standby(Box<StandbyView>),
    /// Waiting until the own last promise is over, at this instant.
    Candidate(Instant),
    /// Deciding.
    Primary(Box<PrimaryView>),
}

impl Node {
    /// What operators see now.
    #[must_use]
    pub fn view(&self, now: Instant) -> NodeView {
        let (detail, hold_until) = match &self.state {
            RoleState::Standby(s) => (RoleView::Standby(Box::new(s.view(now))), None),
            RoleState::Candidate(c) => (RoleView::Candidate(c.until), None),
            RoleState::Primary(p, m) => (RoleView::Primary(Box::new(p.view(now))), Some(m.hold_until())),
        };
        NodeView {
            at: now,
            copy: self.config.me.copy,
            role: self.role(),
            reason: self.reason.clone(),
            set_aside: self.set_aside,
            epoch: self.max_epoch,
            log: self.log.marks(),
            detail,
            rehearsal: self.rehearsal(now),
            leadership: self.leadership.as_ref().map(|l| l.look(now, self.wall)),
            hold_until,
        }
    }
}
