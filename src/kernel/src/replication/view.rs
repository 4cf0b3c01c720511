//! What operators see of replication: plain values, taken at one moment.

use std::time::Duration;

use super::applier::Quarantined;
use super::frames::InSyncRecord;
use super::gate::Gate;
use crate::types::{CopyId, NodeId, Seq};

/// A primary's view of its standbys.
#[derive(Debug, Clone)]
pub struct PrimaryView {
    /// By what answers are judged.
    pub gate: Gate,
    /// Connected standbys.
    pub peers: Vec<PeerView>,
    /// The in-sync set, as standbys are told it.
    pub record: InSyncRecord,
    /// In-sync copies that are not connected: writes wait for them.
    pub absent: Vec<AbsentView>,
}

impl PrimaryView {
    /// In-sync copies other than the own one, which the record names first.
    #[must_use]
    pub fn members(&self) -> Vec<(NodeId, CopyId)> {
        self.record.members.iter().skip(1).map(|(copy, node)| (node.clone(), *copy)).collect()
    }
}

/// An in-sync copy that is not connected.
#[derive(Debug, Clone)]
pub struct AbsentView {
    /// Its name.
    pub node: NodeId,
    /// Its copy.
    pub copy: CopyId,
    /// Exclusive: everything before it was applied there when last heard.
    pub acked: Seq,
    /// Time since its last frame.
    pub last_contact: Duration,
}

/// One connected standby, as the primary sees it.
#[derive(Debug, Clone)]
pub struct PeerView {
    /// Its name.
    pub node: NodeId,
    /// Its copy.
    pub copy: CopyId,
    /// Its gRPC address.
    pub address: String,
    /// Where it is in its life.
    pub state: PeerState,
    /// Exclusive: everything before it was sent.
    pub sent: Seq,
    /// Exclusive: everything before it is applied there.
    pub acked: Seq,
    /// For how long the oldest unacknowledged batch has been on its way; `None`
    /// when everything sent is acknowledged.
    pub behind_for: Option<Duration>,
    /// Time since its last frame.
    pub last_contact: Duration,
    /// How much longer it lets no other primary speak.
    pub grant_left: Duration,
    /// Whether it counts for commit and rights.
    pub in_sync: bool,
    /// Entries that it set aside.
    pub quarantined: u32,
}

/// Where a connected standby is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// Replaying behind the tail.
    CatchingUp,
    /// At the tail, or in sync.
    Streaming,
    /// It set an entry aside and acknowledges nothing after it.
    Quarantined,
}

/// A standby's view of its primary.
#[derive(Debug, Clone)]
pub struct StandbyView {
    /// The connection.
    pub link: LinkView,
    /// The primary's name, once it was heard of.
    pub primary: Option<NodeId>,
    /// Exclusive: everything before it is applied here.
    pub applied: Seq,
    /// The primary's tail, as last heard.
    pub primary_tail: Option<Seq>,
    /// The primary's commit, as last heard.
    pub commit_known: Option<Seq>,
    /// Whether the primary counted this copy as in sync when last heard.
    pub in_sync: bool,
    /// The in-sync set, as last heard.
    pub record: Option<InSyncRecord>,
    /// Time since the primary was last heard.
    pub last_contact: Option<Duration>,
    /// Time since this copy was last known to equal the primary's; `None` if never.
    pub equal_for: Option<Duration>,
    /// How much longer this node lets no other primary speak.
    pub promise_left: Duration,
    /// Dials failed in a row.
    pub failures: u32,
    /// Why it is not streamed to.
    pub why_not: Option<String>,
    /// Entries set aside.
    pub quarantine: Vec<Quarantined>,
}

/// State of a standby's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkView {
    /// Waiting to dial again.
    Down {
        /// How much longer.
        retry_in: Duration,
    },
    /// Connecting.
    Dialing,
    /// Connected, waiting for the answer to its Hello.
    Greeting,
    /// Streamed to.
    Streaming,
}
