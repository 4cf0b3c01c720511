//! What operators see of replication: plain values, taken at one moment.

use std::time::Duration;

use super::applier::Quarantined;
use super::catch_up::CatchUpView;
use super::frames::InSyncRecord;
use super::gate::Gate;
use super::verify::{RecountView, VerifyView};
use crate::types::{CopyId, NodeId, Seq};

/// A primary's view of its standbys.
#[derive(Debug, Clone)]
pub struct PrimaryView {
    /// The recount of its own memory.
    pub recount: RecountView,
    /// By what answers are judged.
    pub gate: Gate,
    /// Connected standbys.
    pub peers: Vec<PeerView>,
    /// The in-sync set, as standbys are told it.
    pub record: InSyncRecord,
    /// In-sync copies that are not connected: writes wait for them.
    pub absent: Vec<AbsentView>,
    /// Standbys that are given a copy of the state.
    pub copies: Vec<CopyingView>,
}

/// A standby that is given a copy of the state, as the primary sees it.
#[derive(Debug, Clone)]
pub struct CopyingView {
    /// Its name.
    pub node: NodeId,
    /// Its copy.
    pub copy: CopyId,
    /// Its gRPC address.
    pub address: String,
    /// Whether it is there now.
    pub connected: bool,
    /// Homes sent.
    pub homes: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Longest time that a home was locked for it.
    pub hold_max: Option<Duration>,
    /// Since the copying began.
    pub elapsed: Duration,
    /// Since its connection ended.
    pub idle_for: Option<Duration>,
    /// Exclusive: it has replayed up to here. `None` while homes are sent.
    pub replayed: Option<Seq>,
}

/// How far a standby's full sync is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyView {
    /// What it does, for people.
    pub what: String,
    /// Homes received.
    pub done: u64,
    /// Homes in all.
    pub total: u64,
    /// Since the first home came.
    pub elapsed: Option<Duration>,
    /// Bytes received.
    pub bytes: u64,
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
    /// Exclusive: digests were compared there and equal through here.
    pub verified: Option<Seq>,
    /// Since the oldest entry that it has not acknowledged was appended here; nothing when it has
    /// all; `None` when that entry is older than what this primary saw being appended.
    pub behind_for: Option<Duration>,
    /// Time since its last frame.
    pub last_contact: Duration,
    /// How much longer it lets no other primary speak.
    pub grant_left: Duration,
    /// Whether it counts for commit and rights.
    pub in_sync: bool,
    /// Entries that it set aside.
    pub quarantined: u32,
    /// Its homes form one prefix of the log.
    pub sealed: bool,
    /// Bytes of the entries that it lacks; `None` when some are trimmed away.
    pub lag_bytes: Option<u64>,
    /// How far it has caught up; `None` while it lacks nothing.
    pub catch_up: Option<CatchUpView>,
}

/// Where a connected standby is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// Replaying what its full sync needs before it is whole.
    Sealing,
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
    /// How far it is proved equal to the primary.
    pub verify: VerifyView,
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
    /// Time since it last spoke as one: a new process in its place that says that it is none does not count.
    pub last_led: Option<Duration>,
    /// Since this node first heard of the oldest entry that it has not applied; nothing when it has
    /// all; `None` without a stream, and for entries from before the stream.
    pub behind_for: Option<Duration>,
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
    /// How far its full sync is; `None` while the copy is sealed.
    pub full_sync: Option<CopyView>,
    /// How far it has caught up; `None` while it lacks nothing, or is not streamed to.
    pub catch_up: Option<CatchUpView>,
    /// Copies received since the process started.
    pub full_syncs: u32,
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
    /// Homes are being sent.
    Copying,
    /// Streamed to.
    Streaming,
}
