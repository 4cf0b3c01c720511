//! Plain values that every room shares: identifiers, positions, times, limits.

mod id;
mod key;
pub mod limits;
mod object;
mod pos;
mod runs;
mod task;
mod time;

pub use id::{ClientId, ClusterId, ConnId, CopyId, NodeId, SegmentId, Uuid};
pub use key::{HomeId, KeyHash, scoped_key};
pub use object::{
    AckMode, ByteRange, DataType, MountUid, Region, ReplicaStatus, SegmentSpec, SegmentStatus, Traits,
};
pub use pos::{Epoch, LogPos, Seq};
pub use runs::SeqRuns;
pub use task::{TaskId, TaskStatus, TransferKind};
pub use time::{Instant, WallTime, up};

/// A value that was given from outside and is not acceptable, with what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}` is not valid: expected {expected}")]
pub struct BadValue {
    /// Name of the field or flag.
    pub what: &'static str,
    /// The value as given, shortened if long.
    pub value: String,
    /// What would have been accepted.
    pub expected: &'static str,
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
