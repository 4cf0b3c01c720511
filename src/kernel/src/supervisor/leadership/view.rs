//! What operators see of leadership, taken at one moment.

use std::time::Duration;

use super::Leadership;
use crate::coordination::EpochRecord;
use crate::supervisor::Automation;
use crate::types::{CopyId, Epoch, Instant, NodeId, WallTime};

/// Who leads, says the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderView {
    /// The node.
    pub node: NodeId,
    /// Where other nodes and operators reach it.
    pub address: String,
    /// Where Mooncake's clients reach it, if anywhere.
    pub mooncake: Option<String>,
    /// Its copy of the state.
    pub copy: CopyId,
    /// Its epoch.
    pub epoch: Epoch,
}

/// A node's view of the coordinator and its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadershipView {
    /// Who leads; `None` before it was read, or while nobody does.
    pub holder: Option<HolderView>,
    /// Why the coordinator does not answer; `None` when it does.
    pub away: Option<String>,
    /// Since its last answer; `None` before the first.
    pub answered: Option<Duration>,
    /// Calls without an answer, since the process started.
    pub unanswered: u64,
    /// As standby: why it does not take over. The sentence of the last decision.
    pub waiting: Option<String>,
    /// Why the records are not believed until an operator says so; `None` while they are.
    pub disbelief: Option<String>,
    /// May nodes change the holder by themselves?
    pub automation: Automation,
    /// As primary: Mooncake's clients are sent here.
    pub published: bool,
}

impl Leadership {
    /// What operators see.
    #[must_use]
    pub fn look(&self, now: Instant, wall: WallTime) -> LeadershipView {
        let holder = |r: &EpochRecord| HolderView {
            node: r.holder.clone(),
            address: r.address.clone(),
            mooncake: r.mooncake.clone(),
            copy: r.copy,
            epoch: self.view.recorded_epoch(),
        };
        LeadershipView {
            holder: self.view.holder().map(holder),
            away: self.away.clone(),
            answered: self.answered_at.map(|at| now.since(at)),
            unanswered: self.unanswered,
            waiting: self.waiting.clone(),
            disbelief: self.disbelief(),
            automation: self.automation(wall),
            published: self.holding.as_ref().is_some_and(|h| h.published.is_some()),
        }
    }
}
