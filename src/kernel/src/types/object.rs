//! What objects, replicas and segments are made of.

use std::fmt;
use std::str::FromStr;

use super::{BadValue, LogPos, SegmentId};

/// When a reply may go out (DESIGN 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AckMode {
    /// When every in-sync copy has applied what the reply depends on.
    #[default]
    Sync,
    /// When it is appended. Replies that hand out bytes still wait until the in-sync
    /// set knows that they may be handed out, so a failover loses writes but never
    /// serves foreign bytes.
    Async,
}

impl fmt::Display for AckMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sync => "sync",
            Self::Async => "async",
        })
    }
}

impl FromStr for AckMode {
    type Err = BadValue;

    fn from_str(s: &str) -> Result<Self, BadValue> {
        match s {
            "sync" => Ok(Self::Sync),
            "async" => Ok(Self::Async),
            _ => Err(BadValue { what: "ack mode", value: s.to_owned(), expected: "`sync` or `async`" }),
        }
    }
}

/// Names one mount of a segment: the position of its MOUNT op. A later mount of
/// the same segment id has another uid and revives nothing (PROTOCOL K2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MountUid(pub LogPos);

/// Some bytes of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRange {
    /// Bytes from the segment's base.
    pub offset: u64,
    /// Bytes; not 0.
    pub len: u64,
}

impl ByteRange {
    /// The first byte behind it; `None` when there is no such address.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.len)
    }
}

/// A contiguous memory range that a client lends (SEMANTICS 1.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SegmentSpec {
    /// The lender's identifier for it.
    pub id: SegmentId,
    /// The lender's `local_hostname`. Allocation spreads replicas over names.
    pub name: String,
    /// First address, in the lender's address space; not 0.
    pub base: u64,
    /// Bytes; not 0.
    pub size: u64,
    /// Transport endpoint that readers and writers connect to.
    pub te_endpoint: String,
    /// Transport protocol, such as `tcp` or `rdma`.
    pub protocol: String,
    /// The lender's host, for placement near the writer; may be empty.
    pub host_id: String,
}

impl SegmentSpec {
    /// True when both claim some of the same bytes: the same transport endpoint
    /// and a common address. Without an endpoint nothing can be said, so no.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.te_endpoint.is_empty()
            && self.te_endpoint == other.te_endpoint
            && self.base < other.base.saturating_add(other.size)
            && other.base < self.base.saturating_add(self.size)
    }
}

/// What a segment may be used for (SEMANTICS 1.3). Draining is not offered, and
/// an unmount is one op, so the wire's other values do not occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum SegmentStatus {
    /// Readable; new replicas may be placed.
    Ok = 1,
    /// Readable until its grace period is over; nothing new is placed.
    GracefullyUnmounting = 4,
}

/// An allocated range of one mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Region {
    /// The mount that it lies in.
    pub mount: MountUid,
    /// Bytes from the segment's base.
    pub offset: u64,
    /// Reserved bytes; at least the object's size. Replicated, because
    /// rounding may differ between versions (SEMANTICS 3.2).
    pub reserved: u64,
}

/// What a value is used for, as its writer says. Kept and replicated as it came;
/// it selects statistics (SEMANTICS 1.3, ObjectDataType).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct DataType(pub u8);

/// What a writer chose for an object, as an op carries it (SEMANTICS 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Traits<'a> {
    /// What the value is used for.
    pub data_type: DataType,
    /// Never evicted.
    pub hard_pin: bool,
    /// TTL of a soft pin taken over from the value that this one replaces, in
    /// milliseconds; 0 is none.
    pub soft_pin: u64,
    /// What the first end makes of the soft pin: `None` leaves it, 0 clears it,
    /// else its TTL in milliseconds.
    pub pending_pin: Option<u64>,
    /// The object's group; empty is none.
    pub group: &'a [u8],
}

/// Life of a replica on the wire (SEMANTICS 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplicaStatus {
    /// Handed out to a writer that has not ended yet.
    Processing,
    /// Written; may be shown to readers.
    Complete,
}
