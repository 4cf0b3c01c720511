//! What the two sides of a replication stream say. The shell converts these
//! to and from the wire.

use std::borrow::Cow;
use std::time::Duration;

use crate::oplog::Batch;
use crate::types::{AckMode, CopyId, Epoch, LogPos, NodeId, Seq};

/// From the standby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandbyFrame {
    /// First frame of a stream.
    Hello(Hello),
    /// What it holds now, and a grant.
    Ack(Ack),
}

/// From the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrimaryFrame {
    /// Answer to [`Hello`].
    Welcome(Welcome),
    /// Entries, or none as a heartbeat.
    Batch(BatchFrame),
}

/// Who the standby is and what it holds (PROTOCOL S1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its cluster; must be ours.
    pub cluster: String,
    /// Its name.
    pub node: NodeId,
    /// Its copy of the state.
    pub copy: CopyId,
    /// Last entry that it holds; [`LogPos::NONE`] for an empty copy, `None` for
    /// one that is not a prefix of any log and cannot be continued.
    pub last: Option<LogPos>,
    /// Highest epoch that it has seen anywhere.
    pub max_epoch: Epoch,
    /// [`PROTOCOL_VERSION`](super::PROTOCOL_VERSION).
    pub version: u32,
    /// Hash of a fixed key: nodes that would disagree on homes must not talk.
    pub shard_hash: u64,
    /// Its gRPC address.
    pub address: String,
}

/// The primary's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The primary's epoch: the epoch of this stream.
    pub epoch: Epoch,
    /// The primary's node.
    pub node: NodeId,
    /// The primary's copy.
    pub copy: CopyId,
    /// What comes next.
    pub start: Start,
}

/// What comes after the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Entries from this seq on.
    Stream(Seq),
    /// The standby's copy cannot be continued.
    FullSync(Cow<'static, str>),
    /// No stream at all.
    Refused(StreamRefusal),
}

/// Why a stream is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamRefusal {
    /// The node asked is not a primary.
    #[error("this node is not the primary")]
    NotPrimary,
    /// The standby has seen a higher epoch: the asked node steps down.
    #[error("a higher epoch was seen")]
    Deposed,
    /// Another cluster.
    #[error("this is cluster `{0}`")]
    Cluster(String),
    /// Another version of the stream, or other homes.
    #[error("protocol version or shard hash differs")]
    Version,
    /// Too many standbys.
    #[error("too many standbys")]
    TooMany,
    /// An operator took this standby out of the in-sync set.
    #[error("detached by an operator")]
    Detached,
    /// A reason that this build does not act on.
    #[error("{0}")]
    Other(String),
}

/// Consecutive entries; none is a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchFrame {
    /// Epoch of the sender, not of the entries (PROTOCOL S2).
    pub epoch: Epoch,
    /// The entries.
    pub batch: Batch,
    /// The primary's local send time, opaque to the standby (PROTOCOL G1).
    pub token: u64,
    /// The primary's commit when it sent this (PROTOCOL S9).
    pub commit: Seq,
    /// The primary's tail when it sent this.
    pub tail: Seq,
    /// The first seq that the primary still held when it sent this.
    pub trim: Seq,
    /// The in-sync set, in the first frame of a stream and after each change.
    pub record: Option<InSyncRecord>,
}

/// The in-sync set on record: each member holds every acknowledged operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InSyncRecord {
    /// Grows with each change within an epoch.
    pub revision: u64,
    /// Copies and their nodes, the primary's own first.
    pub members: Vec<(CopyId, NodeId)>,
    /// When replies go out.
    pub ack: AckMode,
    /// Longest read lease that may have been granted (PROTOCOL A3).
    pub read_ttl_max: Duration,
}

impl InSyncRecord {
    /// True when this copy is a member.
    #[must_use]
    pub fn holds(&self, copy: CopyId) -> bool {
        self.members.iter().any(|(c, _)| *c == copy)
    }
}

/// What a standby holds, and its promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The copy that acknowledges (PROTOCOL G6).
    pub copy: CopyId,
    /// Epoch of the stream.
    pub epoch: Epoch,
    /// Exclusive: everything before it is applied (PROTOCOL G2).
    pub matched: Seq,
    /// Token of the last batch processed.
    pub token: u64,
    /// G of this standby, in microseconds, counted from the token.
    pub grant_us: u64,
    /// Number of quarantined entries.
    pub quarantined: u32,
}
