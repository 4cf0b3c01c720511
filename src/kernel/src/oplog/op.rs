//! What can happen to the state. Outcomes, not questions: placement, clock and
//! randomness were consulted once, on the primary, and the answers are here.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::types::{
    ClientId, CopyId, HomeId, KeyHash, LogPos, Region, SegmentSpec, Seq, TaskId, TaskStatus, TransferKind,
    WallTime,
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
}

/// Kinds of [`Op`], with their numbers in the entry bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpType {
    /// [`Op::TermStart`]
    TermStart = 1,
    /// [`Op::MountSegment`]
    MountSegment = 2,
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
}

impl OpType {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::TermStart,
        Self::MountSegment,
        Self::PutStart,
        Self::PutEnd,
        Self::Remove,
        Self::Preempt,
        Self::Free,
        Self::Evict,
        Self::Discard,
        Self::TransferStart,
        Self::TransferEnd,
        Self::TransferRevoke,
        Self::TaskCreate,
        Self::TaskFetch,
        Self::TaskEnd,
        Self::TaskPrune,
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
            Self::PutStart => "PUT_START",
            Self::PutEnd => "PUT_END",
            Self::Remove => "REMOVE",
            Self::Preempt => "PREEMPT",
            Self::Free => "FREE",
            Self::Evict => "EVICT",
            Self::Discard => "DISCARD",
            Self::TransferStart => "TRANSFER_START",
            Self::TransferEnd => "TRANSFER_END",
            Self::TransferRevoke => "TRANSFER_REVOKE",
            Self::TaskCreate => "TASK_CREATE",
            Self::TaskFetch => "TASK_FETCH",
            Self::TaskEnd => "TASK_END",
            Self::TaskPrune => "TASK_PRUNE",
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
            Self::PutStart { .. } => OpType::PutStart,
            Self::PutEnd { .. } => OpType::PutEnd,
            Self::Remove { .. } => OpType::Remove,
            Self::Preempt { .. } => OpType::Preempt,
            Self::Free { .. } => OpType::Free,
            Self::Evict { .. } => OpType::Evict,
            Self::Discard { .. } => OpType::Discard,
            Self::TransferStart { .. } => OpType::TransferStart,
            Self::TransferEnd { .. } => OpType::TransferEnd,
            Self::TransferRevoke { .. } => OpType::TransferRevoke,
            Self::TaskCreate { .. } => OpType::TaskCreate,
            Self::TaskFetch { .. } => OpType::TaskFetch,
            Self::TaskEnd { .. } => OpType::TaskEnd,
            Self::TaskPrune { .. } => OpType::TaskPrune,
        }
    }

    /// Where it belongs when its object is in no group: by its key, by the
    /// shard that it names, or the segment table.
    #[must_use]
    pub fn place(&self) -> KeyHash {
        match self {
            Self::Free { shard, .. } => {
                let home = HomeId::from_index(usize::from(*shard)).unwrap_or(HomeId::SEGMENTS);
                KeyHash { home, map: 0 }
            }
            Self::TermStart { .. }
            | Self::MountSegment { .. }
            | Self::PutStart { .. }
            | Self::PutEnd { .. }
            | Self::Remove { .. }
            | Self::Preempt { .. }
            | Self::Evict { .. }
            | Self::Discard { .. }
            | Self::TransferStart { .. }
            | Self::TransferEnd { .. }
            | Self::TransferRevoke { .. }
            | Self::TaskCreate { .. }
            | Self::TaskFetch { .. }
            | Self::TaskEnd { .. }
            | Self::TaskPrune { .. } => self.key().map_or(KeyHash::SEGMENTS, KeyHash::of),
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
            | Self::Evict { key, .. }
            | Self::Discard { key, .. }
            | Self::TransferStart { key, .. }
            | Self::TransferEnd { key, .. }
            | Self::TransferRevoke { key, .. } => Some(key),
            Self::TermStart { .. }
            | Self::MountSegment { .. }
            | Self::Free { .. }
            | Self::TaskCreate { .. }
            | Self::TaskFetch { .. }
            | Self::TaskEnd { .. }
            | Self::TaskPrune { .. } => None,
        }
    }
}
