//! What the two sides of a replication stream say. The shell converts these
//! to and from the wire.

use std::time::Duration;

use bytes::Bytes;

use super::dump::HomeSet;
use super::verify::{BeaconFrame, VerificationRequest, VerificationResponse};
use crate::oplog::Batch;
use crate::store::CopySession;
use crate::types::{AckMode, CopyId, Epoch, LogPos, NodeId, Seq};

/// From the standby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandbyFrame {
    /// First frame of a stream.
    Hello(Hello),
    /// What it holds now, and a grant.
    Ack(Ack),
    /// A question of verification.
    Verify(VerificationRequest),
}

/// From the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrimaryFrame {
    /// Answer to [`Hello`].
    Welcome(Welcome),
    /// Entries, or none as a heartbeat.
    Batch(BatchFrame),
    /// Digests of homes at exact positions (PROTOCOL K9).
    Beacons(BeaconFrame),
    /// Answer to a question of verification.
    Verified(VerificationResponse),
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
    /// one that is not a prefix of any log.
    pub last: Option<LogPos>,
    /// It has set entries aside.
    pub quarantined: bool,
    /// Its homes were copied and do not form one prefix of the log yet: which
    /// copying it was, and the last entry that it has replayed since.
    pub unsealed: Option<(CopySession, LogPos)>,
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
    /// The standby's copy cannot be continued: it is to be discarded, and
    /// replaced by one of the primary's state (PROTOCOL I6).
    FullSync(FullSyncReason),
    /// Chunks of homes follow, of the copying with this number.
    Copy(u64),
    /// No stream at all.
    Refused(StreamRefusal),
}

/// Why a copy cannot be continued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FullSyncReason {
    /// It is empty, and the log does not start at the beginning any more.
    #[error("it is empty, and the primary's log starts at {0}")]
    Empty(Seq),
    /// It is the rest of a copying that is over.
    #[error("its homes are not one prefix of the log, and the copying that they are from is over")]
    Unsealed,
    /// Its last entry is not in the primary's log, which begins its epochs so
    /// and ends here.
    #[error("its last entry is not in the primary's log")]
    Diverged {
        /// First seq of each epoch of the primary's log.
        epochs: Vec<(Epoch, Seq)>,
        /// The primary's tail.
        tail: Seq,
    },
    /// What it lacks is trimmed away.
    #[error("the entries that it lacks are trimmed away: the primary's log starts at {0}")]
    Trimmed(Seq),
    /// It has set entries aside.
    #[error("it has quarantined entries")]
    Quarantined,
    /// A reason that this build does not know.
    #[error("{0}")]
    Other(String),
}

/// A standby asks for a copy of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRequest {
    /// Who asks.
    pub hello: Hello,
    /// Which homes of which copying it has already.
    pub resume: Option<(CopySession, HomeSet)>,
}

/// From the primary to a standby that copies its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyFrame {
    /// First frame: the copying begins or goes on, or why it does not.
    Welcome(Welcome),
    /// Part of a home, encoded (see [`Chunk`](crate::store::Chunk)).
    Chunk(Bytes),
    /// All homes were sent.
    End(CopyEnd),
}

/// What follows a copying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyEnd {
    /// Which copying.
    pub session: CopySession,
    /// Last entry of the log when the copying began: replay goes on behind it.
    pub resume: LogPos,
    /// First seq of each epoch of the log up to there.
    pub epochs: Vec<(Epoch, Seq)>,
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
    /// It would have to be discarded, but it is on record.
    #[error("this copy is in the in-sync set and cannot be continued: detach it first")]
    OnRecord,
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
    /// The sender has fallen silent for a hand-over; for how long it had let no
    /// write in before, by its own clock (PROTOCOL T7).
    pub drained: Option<Duration>,
}

/// The in-sync set on record: each member holds every acknowledged operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InSyncRecord {
    /// Grows with each change within an epoch.
    pub revision: u64,
    /// Copies and their nodes, the primary's own first.
    pub members: Vec<(CopyId, NodeId)>,
    /// Members that neither acknowledge nor grant at present (PROTOCOL I8).
    pub silent: Vec<CopyId>,
    /// Standbys that must be in sync for writes to be let in; 0 demands none.
    pub min_insync: u32,
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
    /// Its homes form one prefix of the log (PROTOCOL S6).
    pub sealed: bool,
}
