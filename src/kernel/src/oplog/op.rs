//! What can happen to the state. Outcomes, not questions: placement, clock and
//! randomness were consulted once, on the primary, and the answers are here.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::types::{
    ByteRange, ClientId, CopyId, HomeId, KeyHash, LogPos, MountUid, Region, SegmentSpec, Seq, TaskId,
    TaskStatus, Traits, TransferKind, WallTime,
};

/// Why a region waits before it may be used again (PROTOCOL A1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimboKind {
    /// A reader may still hold a lease on it.
    Read,
    /// A writer that was preempted may still write into it.
    Write,
}

/// When the regions that an op lets go may be used again (PROTOCOL A1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Release {
    /// At once: no right on them can exist.
    Now,
    /// Through limbo, because of such a right.
    Limbo(LimboKind),
}

/// One change of one home. Borrows keys from the request that caused it or
/// from the bytes that it was decoded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op<'a> {
    /// First entry of an epoch (PROTOCOL S8). Home: segment table.
    TermStart {
        /// The node that began to decide.
        node: Cow<'a, str>,
        /// Its copy of the state.
        copy: CopyId,
    },
    /// A client lends a segment. Home: segment table.
    MountSegment {
        /// The lender.
        client: ClientId,
        /// What it lends.
        segment: Cow<'a, SegmentSpec>,
        /// True when rights on its bytes may be left from an earlier life of
        /// the memory: nothing is placed in it before its HOLD_END (PROTOCOL A7).
        held: bool,
    },
    /// A mount is dead: all its replicas vanish at this position (PROTOCOL K2).
    /// Home: segment table.
    SegmentGone {
        /// The mount.
        mount: MountUid,
    },
    /// A client has (re-)mounted all that it lends: it is OK. Home: segment table.
    ClientOk {
        /// The client.
        client: ClientId,
        /// Its host, for placement near it; may be empty.
        host: Cow<'a, str>,
    },
    /// A client was silent for too long: it and all its mounts are dead. Home: segment table.
    ClientExpired {
        /// The client.
        client: ClientId,
    },
    /// Nothing more is placed in a mount, which will be unmounted after a
    /// while. Home: segment table.
    GracefulUnmount {
        /// The mount.
        mount: MountUid,
        /// The while, in milliseconds from this op.
        grace_ms: u64,
    },
    /// No right from an earlier life is left on the bytes of a mount: a held
    /// one may be used, a dead one is forgotten (PROTOCOL A7). Home: segment table.
    HoldEnd {
        /// The mount.
        mount: MountUid,
    },
    /// Replaces what is recorded of a mount's free bytes: those that a primary may hand
    /// out before a standby knows to whom, and those that an earlier one may have (PROTOCOL
    /// A6). With neither, nothing is recorded any more. Home: segment table.
    Grant {
        /// The mount.
        mount: MountUid,
        /// What this primary hands out from; nobody owns any of it.
        open: Vec<ByteRange>,
        /// What nobody hands out from: writers of an earlier primary may be in there.
        quarantined: Vec<ByteRange>,
    },
    /// A write begins: the object exists, in flight, and owns these regions.
    PutStart {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// The writer; only it may end the write.
        client: ClientId,
        /// Bytes of the value.
        size: u64,
        /// One region a replica.
        regions: SmallVec<[Region; 1]>,
        /// What the writer chose besides.
        traits: Traits<'a>,
    },
    /// The write is complete: the object may be shown to readers.
    PutEnd {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// The writer's checksum of the value, if it gave one.
        checksum: Option<u64>,
    },
    /// The object is gone.
    Remove {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// When its regions may be used again.
        release: Release,
    },
    /// An unfinished write is given up for another.
    Preempt {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// When its regions may be used again.
        release: Release,
    },
    /// A limbo entry of this shard has waited long enough: its region is free.
    Free {
        /// Shard number.
        shard: u16,
        /// Seq of the op that put it into limbo.
        since: Seq,
        /// Which of that op's regions.
        index: u8,
    },
    /// Drops replicas on a dead mount, and objects without replicas left
    /// (PROTOCOL K3). It names the objects, so that a shard is never locked in
    /// proportion to what is in it.
    Purge {
        /// Shard number.
        shard: u16,
        /// The dead mount.
        mount: MountUid,
        /// Map hashes of the objects' keys, ascending.
        objects: Vec<u64>,
    },
    /// The writer of an unfinished write gives it up: the object is gone.
    PutRevoke {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// When its regions may be used again.
        release: Release,
    },
    /// A complete value is overwritten where it is: it is hidden until the end.
    UpsertInPlace {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// The writer from now on.
        client: ClientId,
        /// As [`Traits::pending_pin`].
        pending_pin: Option<u64>,
    },
    /// Those of these objects that are finished are gone, and no right on any of them exists.
    Clear {
        /// Shard number.
        shard: u16,
        /// Map hashes of the objects' keys, ascending.
        objects: Vec<u64>,
    },
    /// One complete replica of several is gone.
    DropReplica {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// The replica's id.
        id: u64,
        /// When its region may be used again.
        release: Release,
    },
    /// A write is about to be preempted: what its client says next about the
    /// key is about that write (SEMANTICS R21). Home: that of the key itself,
    /// also for objects in groups.
    Abandon {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// The writer that loses it.
        client: ClientId,
    },
    /// An abandoned write was ended or revoked by its client, or is too old to be.
    Resolve {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// Seq of its ABANDON.
        since: Seq,
    },
    /// All replicas of the object that are complete and not pinned are gone.
    Evict {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// When their regions may be used again.
        release: Release,
    },
    /// What is unfinished about the object is given up: its write or its
    /// transfer, with the replicas that were being written.
    Discard {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// When their regions may be used again.
        release: Release,
    },
    /// A copy or move begins: the source is pinned, the targets are owned.
    TransferStart {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// Who carries it out; only it may end it.
        client: ClientId,
        /// Copy or move.
        kind: TransferKind,
        /// Id of the replica that is read.
        source: u64,
        /// One region a new replica; none when all targets hold one already.
        regions: SmallVec<[Region; 1]>,
    },
    /// The targets may be shown to readers. The source of a move is gone.
    TransferEnd {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// When the source of a move may be used again.
        release: Release,
    },
    /// The transfer is given up by its client, or because a part of it is gone.
    TransferRevoke {
        /// `tenant NUL key`.
        key: &'a [u8],
        /// When the targets' regions may be used again.
        release: Release,
    },
    /// A copy or move is asked for. Its position is the task's id. Home: segment table.
    TaskCreate {
        /// Copy or move.
        kind: TransferKind,
        /// Who shall carry it out.
        client: ClientId,
        /// `tenant NUL key` of the object.
        key: &'a [u8],
        /// Name of the segment to read from.
        source: Cow<'a, str>,
        /// Names of the segments to write to.
        targets: Vec<Cow<'a, str>>,
        /// When, for people.
        wall: WallTime,
    },
    /// Tasks were handed to their client. Home: segment table.
    TaskFetch {
        /// Which.
        tasks: Vec<TaskId>,
        /// When, for people.
        wall: WallTime,
    },
    /// A task has ended. Home: segment table.
    TaskEnd {
        /// Which.
        task: TaskId,
        /// How; final.
        status: TaskStatus,
        /// What its client had to say.
        message: Cow<'a, str>,
        /// When, for people.
        wall: WallTime,
    },
    /// Ended tasks are forgotten. Home: segment table.
    TaskPrune {
        /// Those whose end is logged at or before this position.
        through: LogPos,
    },
    /// A part of what a transfer engine tells others; the last part makes it known. Home: segment table.
    MetadataPart {
        /// Under which key; no object's.
        key: &'a [u8],
        /// Its number, from 0.
        part: u16,
        /// The value is complete with it.
        last: bool,
        /// Some of the value.
        bytes: &'a [u8],
    },
    /// What a transfer engine has told is forgotten. Home: segment table.
    MetadataRemove {
        /// Under which key.
        key: &'a [u8],
    },
}

/// Kinds of [`Op`], with their numbers in the entry bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum OpType {
    /// [`Op::TermStart`]
    TermStart = 1,
    /// [`Op::MountSegment`]
    MountSegment = 2,
    /// [`Op::SegmentGone`]
    SegmentGone = 3,
    /// [`Op::ClientOk`]
    ClientOk = 4,
    /// [`Op::ClientExpired`]
    ClientExpired = 5,
    /// [`Op::GracefulUnmount`]
    GracefulUnmount = 6,
    /// [`Op::HoldEnd`]
    HoldEnd = 7,
    /// [`Op::Grant`]
    Grant = 8,
    /// [`Op::PutStart`]
    PutStart = 16,
    /// [`Op::PutEnd`]
    PutEnd = 17,
    /// [`Op::Remove`]
    Remove = 18,
    /// [`Op::Preempt`]
    Preempt = 19,
    /// [`Op::Free`]
    Free = 20,
    /// [`Op::Purge`]
    Purge = 32,
    /// [`Op::PutRevoke`]
    PutRevoke = 21,
    /// [`Op::UpsertInPlace`]
    UpsertInPlace = 22,
    /// [`Op::Clear`]
    Clear = 23,
    /// [`Op::DropReplica`]
    DropReplica = 24,
    /// [`Op::Abandon`]
    Abandon = 25,
    /// [`Op::Resolve`]
    Resolve = 26,
    /// [`Op::Evict`]
    Evict = 40,
    /// [`Op::Discard`]
    Discard = 41,
    /// [`Op::TransferStart`]
    TransferStart = 42,
    /// [`Op::TransferEnd`]
    TransferEnd = 43,
    /// [`Op::TransferRevoke`]
    TransferRevoke = 44,
    /// [`Op::TaskCreate`]
    TaskCreate = 48,
    /// [`Op::TaskFetch`]
    TaskFetch = 49,
    /// [`Op::TaskEnd`]
    TaskEnd = 50,
    /// [`Op::TaskPrune`]
    TaskPrune = 51,
    /// [`Op::MetadataPart`]
    MetadataPart = 56,
    /// [`Op::MetadataRemove`]
    MetadataRemove = 57,
}

impl OpType {
    /// All kinds.
    pub const ALL: [Self; 31] = [
        Self::TermStart,
        Self::MountSegment,
        Self::SegmentGone,
        Self::ClientOk,
        Self::ClientExpired,
        Self::GracefulUnmount,
        Self::HoldEnd,
        Self::Grant,
        Self::PutStart,
        Self::PutEnd,
        Self::Remove,
        Self::Preempt,
        Self::Free,
        Self::Purge,
        Self::PutRevoke,
        Self::UpsertInPlace,
        Self::Clear,
        Self::DropReplica,
        Self::Abandon,
        Self::Resolve,
        Self::Evict,
        Self::Discard,
        Self::TransferStart,
        Self::TransferEnd,
        Self::TransferRevoke,
        Self::TaskCreate,
        Self::TaskFetch,
        Self::TaskEnd,
        Self::TaskPrune,
        Self::MetadataPart,
        Self::MetadataRemove,
    ];

    /// The kind with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|t| *t as u8 == code)
    }

    /// Name in the plan's spelling, for logs and screens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TermStart => "TERM_START",
            Self::MountSegment => "MOUNT_SEGMENT",
            Self::SegmentGone => "SEGMENT_GONE",
            Self::ClientOk => "CLIENT_OK",
            Self::ClientExpired => "CLIENT_EXPIRED",
            Self::GracefulUnmount => "GRACEFUL_UNMOUNT",
            Self::HoldEnd => "HOLD_END",
            Self::Grant => "GRANT",
            Self::PutStart => "PUT_START",
            Self::PutEnd => "PUT_END",
            Self::Remove => "REMOVE",
            Self::Preempt => "PREEMPT",
            Self::Free => "FREE",
            Self::Purge => "PURGE",
            Self::PutRevoke => "PUT_REVOKE",
            Self::UpsertInPlace => "UPSERT_IN_PLACE",
            Self::Clear => "CLEAR",
            Self::DropReplica => "DROP_REPLICA",
            Self::Abandon => "ABANDON",
            Self::Resolve => "RESOLVE",
            Self::Evict => "EVICT",
            Self::Discard => "DISCARD",
            Self::TransferStart => "TRANSFER_START",
            Self::TransferEnd => "TRANSFER_END",
            Self::TransferRevoke => "TRANSFER_REVOKE",
            Self::TaskCreate => "TASK_CREATE",
            Self::TaskFetch => "TASK_FETCH",
            Self::TaskEnd => "TASK_END",
            Self::TaskPrune => "TASK_PRUNE",
            Self::MetadataPart => "METADATA_PART",
            Self::MetadataRemove => "METADATA_REMOVE",
        }
    }
}

impl Op<'_> {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> OpType {
        match self {
            Self::TermStart { .. } => OpType::TermStart,
            Self::MountSegment { .. } => OpType::MountSegment,
            Self::SegmentGone { .. } => OpType::SegmentGone,
            Self::ClientOk { .. } => OpType::ClientOk,
            Self::ClientExpired { .. } => OpType::ClientExpired,
            Self::GracefulUnmount { .. } => OpType::GracefulUnmount,
            Self::HoldEnd { .. } => OpType::HoldEnd,
            Self::Grant { .. } => OpType::Grant,
            Self::PutStart { .. } => OpType::PutStart,
            Self::PutEnd { .. } => OpType::PutEnd,
            Self::Remove { .. } => OpType::Remove,
            Self::Preempt { .. } => OpType::Preempt,
            Self::Free { .. } => OpType::Free,
            Self::Purge { .. } => OpType::Purge,
            Self::PutRevoke { .. } => OpType::PutRevoke,
            Self::UpsertInPlace { .. } => OpType::UpsertInPlace,
            Self::Clear { .. } => OpType::Clear,
            Self::DropReplica { .. } => OpType::DropReplica,
            Self::Abandon { .. } => OpType::Abandon,
            Self::Resolve { .. } => OpType::Resolve,
            Self::Evict { .. } => OpType::Evict,
            Self::Discard { .. } => OpType::Discard,
            Self::TransferStart { .. } => OpType::TransferStart,
            Self::TransferEnd { .. } => OpType::TransferEnd,
            Self::TransferRevoke { .. } => OpType::TransferRevoke,
            Self::TaskCreate { .. } => OpType::TaskCreate,
            Self::TaskFetch { .. } => OpType::TaskFetch,
            Self::TaskEnd { .. } => OpType::TaskEnd,
            Self::TaskPrune { .. } => OpType::TaskPrune,
            Self::MetadataPart { .. } => OpType::MetadataPart,
            Self::MetadataRemove { .. } => OpType::MetadataRemove,
        }
    }

    /// Where it belongs: by its group, by the shard that it names, the segment
    /// table, or by its key, unless its object is in a group (see
    /// [`follows_object`](Self::follows_object)).
    #[must_use]
    pub fn place(&self) -> KeyHash {
        match self {
            Self::Free { shard, .. } | Self::Clear { shard, .. } | Self::Purge { shard, .. } => {
                let home = HomeId::from_index(usize::from(*shard)).unwrap_or(HomeId::SEGMENTS);
                KeyHash::keyless(home)
            }
            Self::PutStart { key, traits, .. } if !traits.group.is_empty() => {
                KeyHash::of(key).within(HomeId::of_group(traits.group))
            }
            Self::TermStart { .. }
            | Self::MountSegment { .. }
            | Self::SegmentGone { .. }
            | Self::ClientOk { .. }
            | Self::ClientExpired { .. }
            | Self::GracefulUnmount { .. }
            | Self::HoldEnd { .. }
            | Self::Grant { .. }
            | Self::PutStart { .. }
            | Self::PutEnd { .. }
            | Self::Remove { .. }
            | Self::Preempt { .. }
            | Self::PutRevoke { .. }
            | Self::UpsertInPlace { .. }
            | Self::DropReplica { .. }
            | Self::Abandon { .. }
            | Self::Resolve { .. }
            | Self::Evict { .. }
            | Self::Discard { .. }
            | Self::TransferStart { .. }
            | Self::TransferEnd { .. }
            | Self::TransferRevoke { .. }
            | Self::TaskCreate { .. }
            | Self::TaskFetch { .. }
            | Self::TaskEnd { .. }
            | Self::TaskPrune { .. }
            | Self::MetadataPart { .. }
            | Self::MetadataRemove { .. } => self.key().map_or(KeyHash::SEGMENTS, KeyHash::of),
        }
    }

    /// Regions that it takes from the free ones.
    #[must_use]
    pub fn takes(&self) -> &[Region] {
        match self {
            Self::PutStart { regions, .. } | Self::TransferStart { regions, .. } => regions,
            _ => &[],
        }
    }

    /// The scoped key of the object that it changes, if it changes one.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        match self {
            Self::PutStart { key, .. }
            | Self::PutEnd { key, .. }
            | Self::Remove { key, .. }
            | Self::Preempt { key, .. }
            | Self::PutRevoke { key, .. }
            | Self::UpsertInPlace { key, .. }
            | Self::DropReplica { key, .. }
            | Self::Abandon { key, .. }
            | Self::Resolve { key, .. }
            | Self::Evict { key, .. }
            | Self::Discard { key, .. }
            | Self::TransferStart { key, .. }
            | Self::TransferEnd { key, .. }
            | Self::TransferRevoke { key, .. } => Some(key),
            Self::TermStart { .. }
            | Self::MountSegment { .. }
            | Self::SegmentGone { .. }
            | Self::ClientOk { .. }
            | Self::ClientExpired { .. }
            | Self::GracefulUnmount { .. }
            | Self::HoldEnd { .. }
            | Self::Grant { .. }
            | Self::Free { .. }
            | Self::Clear { .. }
            | Self::Purge { .. }
            | Self::TaskCreate { .. }
            | Self::TaskFetch { .. }
            | Self::TaskEnd { .. }
            | Self::TaskPrune { .. }
            | Self::MetadataPart { .. }
            | Self::MetadataRemove { .. } => None,
        }
    }

    /// True when it changes an object that is there already: it belongs where
    /// that object is, which is another shard than its key's when it is in a group.
    #[must_use]
    pub fn follows_object(&self) -> bool {
        match self {
            Self::PutEnd { .. }
            | Self::Remove { .. }
            | Self::Preempt { .. }
            | Self::PutRevoke { .. }
            | Self::UpsertInPlace { .. }
            | Self::DropReplica { .. }
            | Self::Evict { .. }
            | Self::Discard { .. }
            | Self::TransferStart { .. }
            | Self::TransferEnd { .. }
            | Self::TransferRevoke { .. } => true,
            Self::TermStart { .. }
            | Self::MountSegment { .. }
            | Self::SegmentGone { .. }
            | Self::ClientOk { .. }
            | Self::ClientExpired { .. }
            | Self::GracefulUnmount { .. }
            | Self::HoldEnd { .. }
            | Self::Grant { .. }
            | Self::Purge { .. }
            | Self::PutStart { .. }
            | Self::Free { .. }
            | Self::Clear { .. }
            | Self::Abandon { .. }
            | Self::Resolve { .. }
            | Self::TaskCreate { .. }
            | Self::TaskFetch { .. }
            | Self::TaskEnd { .. }
            | Self::TaskPrune { .. }
            | Self::MetadataPart { .. }
            | Self::MetadataRemove { .. } => false,
        }
    }
}
