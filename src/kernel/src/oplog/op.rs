//! What can happen to the state. Outcomes, not questions: placement, clock and
//! randomness were consulted once, on the primary, and the answers are here.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::types::{ClientId, CopyId, HomeId, KeyHash, MountUid, Region, SegmentSpec, Seq};

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
    /// Drops what a shard still holds of a dead mount: replicas, limbo entries,
    /// and objects without replicas left (PROTOCOL K3).
    Purge {
        /// Shard number.
        shard: u16,
        /// The dead mount.
        mount: MountUid,
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
}

impl OpType {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::TermStart,
        Self::MountSegment,
        Self::SegmentGone,
        Self::ClientOk,
        Self::ClientExpired,
        Self::GracefulUnmount,
        Self::HoldEnd,
        Self::PutStart,
        Self::PutEnd,
        Self::Remove,
        Self::Preempt,
        Self::Free,
        Self::Purge,
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
            Self::PutStart => "PUT_START",
            Self::PutEnd => "PUT_END",
            Self::Remove => "REMOVE",
            Self::Preempt => "PREEMPT",
            Self::Free => "FREE",
            Self::Purge => "PURGE",
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
            Self::PutStart { .. } => OpType::PutStart,
            Self::PutEnd { .. } => OpType::PutEnd,
            Self::Remove { .. } => OpType::Remove,
            Self::Preempt { .. } => OpType::Preempt,
            Self::Free { .. } => OpType::Free,
            Self::Purge { .. } => OpType::Purge,
        }
    }

    /// Where it belongs when its object is in no group: by its key, by the
    /// shard that it names, or the segment table.
    #[must_use]
    pub fn place(&self) -> KeyHash {
        match self {
            Self::Free { shard, .. } | Self::Purge { shard, .. } => {
                let home = HomeId::from_index(usize::from(*shard)).unwrap_or(HomeId::SEGMENTS);
                KeyHash { home, map: 0 }
            }
            Self::TermStart { .. }
            | Self::MountSegment { .. }
            | Self::SegmentGone { .. }
            | Self::ClientOk { .. }
            | Self::ClientExpired { .. }
            | Self::GracefulUnmount { .. }
            | Self::HoldEnd { .. }
            | Self::PutStart { .. }
            | Self::PutEnd { .. }
            | Self::Remove { .. }
            | Self::Preempt { .. } => self.key().map_or(KeyHash::SEGMENTS, KeyHash::of),
        }
    }

    /// The scoped key that it is about, if it is about one.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        match self {
            Self::PutStart { key, .. }
            | Self::PutEnd { key, .. }
            | Self::Remove { key, .. }
            | Self::Preempt { key, .. } => Some(key),
            Self::TermStart { .. }
            | Self::MountSegment { .. }
            | Self::SegmentGone { .. }
            | Self::ClientOk { .. }
            | Self::ClientExpired { .. }
            | Self::GracefulUnmount { .. }
            | Self::HoldEnd { .. }
            | Self::Free { .. }
            | Self::Purge { .. } => None,
        }
    }
}
