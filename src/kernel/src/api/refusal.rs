//! The definite "no", and the number by which clients know it.

use crate::types::{Epoch, SegmentId, TaskId};

/// Mooncake's error numbers (SEMANTICS 1.7), those in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ErrorCode {
    /// INTERNAL_ERROR
    InternalError = -1,
    /// SEGMENT_NOT_FOUND
    SegmentNotFound = -101,
    /// SEGMENT_ALREADY_EXISTS
    SegmentAlreadyExists = -102,
    /// NO_AVAILABLE_HANDLE
    NoAvailableHandle = -200,
    /// INVALID_PARAMS
    InvalidParams = -600,
    /// ILLEGAL_CLIENT
    IllegalClient = -601,
    /// INVALID_WRITE
    InvalidWrite = -700,
    /// REPLICA_IS_NOT_READY
    ReplicaIsNotReady = -703,
    /// OBJECT_NOT_FOUND
    ObjectNotFound = -704,
    /// OBJECT_ALREADY_EXISTS
    ObjectAlreadyExists = -705,
    /// OBJECT_HAS_LEASE
    ObjectHasLease = -706,
    /// OBJECT_HAS_REPLICATION_TASK
    ObjectHasReplicationTask = -708,
    /// OBJECT_NO_REPLICATION_TASK
    ObjectNoReplicationTask = -709,
    /// REPLICA_NOT_FOUND
    ReplicaNotFound = -710,
    /// REPLICA_IS_GONE
    ReplicaIsGone = -712,
    /// UNAVAILABLE_IN_CURRENT_STATUS
    UnavailableInCurrentStatus = -1010,
    /// UNAVAILABLE_IN_CURRENT_MODE
    UnavailableInCurrentMode = -1011,
    /// TASK_NOT_FOUND
    TaskNotFound = -1400,
    /// TASK_PENDING_LIMIT_EXCEEDED
    TaskPendingLimitExceeded = -1401,
    /// DFS_SERVICE_UNAVAILABLE
    DfsServiceUnavailable = -1601,
}

/// A definite "no": nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This node does not decide.
    #[error("not the primary{}", primary.as_ref().map_or(String::new(), |p| format!("; the primary is {p}")))]
    NotPrimary {
        /// Address of the primary's gRPC port, if known.
        primary: Option<String>,
        /// Highest epoch seen.
        epoch: Epoch,
    },
    /// The primary may not answer now; nothing was appended.
    #[error("not available now: {0}")]
    Unavailable(&'static str),
    /// A parameter is not acceptable.
    #[error("{what} is {value}: expected {expected}")]
    InvalidParams {
        /// The parameter.
        what: &'static str,
        /// Its value, shortened.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Every segment is full, or none is mounted.
    #[error("no segment has {0} bytes free")]
    NoAvailableHandle(u64),
    /// The segment id is mounted with other properties or by another client.
    #[error("segment {0} is mounted with other properties or by another client")]
    SegmentAlreadyExists(SegmentId),
    /// No such segment, or the caller lends none.
    #[error("no such segment: {0}")]
    SegmentNotFound(String),
    /// The segment is about to be unmounted.
    #[error("segment {0} is being unmounted")]
    SegmentUnmounting(SegmentId),
    /// A named maximum is reached.
    #[error("there are {max} {what} already, which is the maximum")]
    Full {
        /// Of what.
        what: &'static str,
        /// The maximum.
        max: usize,
    },
    /// No such object.
    #[error("no such object")]
    ObjectNotFound,
    /// The object exists or is being written.
    #[error("the object exists or is being written")]
    ObjectAlreadyExists,
    /// No replica is complete.
    #[error("the object is still being written")]
    ReplicaIsNotReady,
    /// A reader may still be reading it.
    #[error("a read lease is live")]
    ObjectHasLease,
    /// The write belongs to another client.
    #[error("the write belongs to another client")]
    IllegalClient,
    /// There is no such write to end or to give up.
    #[error("invalid write: {0}")]
    InvalidWrite(&'static str),
    /// Replicas on a distributed file system were asked for.
    #[error("this master makes no replicas on a distributed file system")]
    DfsServiceUnavailable,
    /// A copy or move of the object runs.
    #[error("a copy or move of the object runs")]
    ObjectHasReplicationTask,
    /// No copy or move of the object runs.
    #[error("no copy or move of the object runs")]
    ObjectNoReplicationTask,
    /// The source segment holds no complete replica.
    #[error("the source segment holds no complete replica")]
    ReplicaNotFound,
    /// A replica of the copy or move has vanished; it was given up.
    #[error("a replica of the copy or move has vanished")]
    ReplicaIsGone,
    /// A task needs a source, and no replica can be read.
    #[error("no replica can be read from")]
    NoSource,
    /// No such task.
    #[error("no task {0}")]
    TaskNotFound(TaskId),
    /// No transfer metadata under this key.
    #[error("no metadata under this key")]
    MetadataNotFound,
    /// As many tasks wait as may.
    #[error("{0} tasks wait already")]
    TaskPendingLimitExceeded(usize),
}

impl Refusal {
    /// The number that clients of Mooncake know it by.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotPrimary { .. } => ErrorCode::UnavailableInCurrentMode,
            Self::Unavailable(_) | Self::SegmentUnmounting(_) | Self::Full { .. } => {
                ErrorCode::UnavailableInCurrentStatus
            }
            Self::SegmentNotFound(_) => ErrorCode::SegmentNotFound,
            Self::InvalidParams { .. } => ErrorCode::InvalidParams,
            Self::NoAvailableHandle(_) => ErrorCode::NoAvailableHandle,
            Self::SegmentAlreadyExists(_) => ErrorCode::SegmentAlreadyExists,
            Self::ObjectNotFound | Self::MetadataNotFound => ErrorCode::ObjectNotFound,
            Self::ObjectAlreadyExists => ErrorCode::ObjectAlreadyExists,
            Self::ReplicaIsNotReady => ErrorCode::ReplicaIsNotReady,
            Self::ObjectHasLease => ErrorCode::ObjectHasLease,
            Self::IllegalClient => ErrorCode::IllegalClient,
            Self::InvalidWrite(_) => ErrorCode::InvalidWrite,
            Self::DfsServiceUnavailable => ErrorCode::DfsServiceUnavailable,
            Self::ObjectHasReplicationTask => ErrorCode::ObjectHasReplicationTask,
            Self::ObjectNoReplicationTask => ErrorCode::ObjectNoReplicationTask,
            Self::ReplicaNotFound => ErrorCode::ReplicaNotFound,
            Self::ReplicaIsGone => ErrorCode::ReplicaIsGone,
            Self::NoSource => ErrorCode::InternalError,
            Self::TaskNotFound(_) => ErrorCode::TaskNotFound,
            Self::TaskPendingLimitExceeded(_) => ErrorCode::TaskPendingLimitExceeded,
        }
    }
}
