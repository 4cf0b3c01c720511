//! What clients can ask for, free of any door's format. A call exists here
//! first; a door may lack it, never extend it.
//!
//! Keyed calls are batches by nature: result i belongs to element i, elements
//! are handled in order, and a batch never fails as a whole (SEMANTICS 2.0).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::types::{
    ClientId, Epoch, ReplicaStatus, SegmentId, SegmentSpec, TaskId, TaskStatus, TransferKind, WallTime,
};

/// The tenant of every key while multi-tenancy is off (SEMANTICS 2.0).
pub const DEFAULT_TENANT: &[u8] = b"default";

/// One call.
#[derive(Debug, Clone)]
pub enum Request {
    /// Lend memory. Idempotent for a segment that is mounted the same way.
    MountSegment {
        /// The lender.
        client: ClientId,
        /// What it lends.
        segment: SegmentSpec,
    },
    /// Begin writes: allocate, and hand out where to write.
    PutStart {
        /// The writer.
        client: ClientId,
        /// How to place the replicas.
        config: ReplicateConfig,
        /// What will be written.
        items: Vec<PutItem>,
    },
    /// End writes: the objects become readable. Idempotent.
    PutEnd {
        /// The writer; it must be the one that began.
        client: ClientId,
        /// What was written.
        items: Vec<EndItem>,
    },
    /// Where to read objects; grants a read lease on each.
    GetReplicaList {
        /// The keys.
        keys: Vec<Bytes>,
    },
    /// Whether objects are readable; grants a read lease on those that are.
    ExistKey {
        /// The keys.
        keys: Vec<Bytes>,
    },
    /// Remove objects.
    Remove {
        /// The keys.
        keys: Vec<Bytes>,
        /// Also when a read lease is live.
        force: bool,
    },
    /// Begin to copy an object: read one replica, write others.
    CopyStart {
        /// Who copies.
        client: ClientId,
        /// The key.
        key: Bytes,
        /// Name of the segment to read from.
        source: String,
        /// Names of the segments to write to; those that hold a replica are skipped.
        targets: Vec<String>,
    },
    /// The copies are complete.
    CopyEnd {
        /// Who copied.
        client: ClientId,
        /// The key.
        key: Bytes,
    },
    /// The copy is given up.
    CopyRevoke {
        /// Who copied.
        client: ClientId,
        /// The key.
        key: Bytes,
    },
    /// Begin to move a replica.
    MoveStart {
        /// Who moves.
        client: ClientId,
        /// The key.
        key: Bytes,
        /// Name of the segment to read from.
        source: String,
        /// Name of the segment to write to.
        target: String,
    },
    /// The move is complete: its source goes.
    MoveEnd {
        /// Who moved.
        client: ClientId,
        /// The key.
        key: Bytes,
    },
    /// The move is given up.
    MoveRevoke {
        /// Who moved.
        client: ClientId,
        /// The key.
        key: Bytes,
    },
    /// Ask some lender of the object to copy it.
    CreateCopyTask {
        /// The key.
        key: Bytes,
        /// Names of the segments to write to, not none.
        targets: Vec<String>,
    },
    /// Ask the lender of the source to move a replica.
    CreateMoveTask {
        /// The key.
        key: Bytes,
        /// Name of the segment to read from.
        source: String,
        /// Name of the segment to write to.
        target: String,
    },
    /// How far a task is.
    QueryTask {
        /// Its id.
        id: TaskId,
    },
    /// Take over waiting tasks.
    FetchTasks {
        /// Whose.
        client: ClientId,
        /// How many at most.
        max: u64,
    },
    /// A task has ended. Idempotent.
    MarkTaskToComplete {
        /// Who carried it out.
        client: ClientId,
        /// Its id.
        id: TaskId,
        /// How it ended; a final status.
        status: TaskStatus,
        /// What there is to say; the first 1,024 bytes are kept.
        message: String,
    },
}

/// How replicas are placed (SEMANTICS 1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicateConfig {
    /// Memory replicas wanted; fewer is success as long as there is one.
    pub replica_num: u32,
    /// Segment names to try first, in order.
    pub preferred_segments: Vec<String>,
}

impl Default for ReplicateConfig {
    fn default() -> Self {
        Self { replica_num: 1, preferred_segments: Vec::new() }
    }
}

/// One object to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutItem {
    /// Its key, not empty.
    pub key: Bytes,
    /// Bytes of the value, not 0.
    pub size: u64,
}

/// One write to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndItem {
    /// The key.
    pub key: Bytes,
    /// The writer's checksum of the value, returned to readers.
    pub checksum: Option<u64>,
}

/// The answer to a [`Request`], of the same name.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// Whether the segment is mounted.
    MountSegment(Result<(), Refusal>),
    /// Where to write each object.
    PutStart(Vec<Result<Vec<ReplicaDescriptor>, Refusal>>),
    /// Whether each write is published.
    PutEnd(Vec<Result<(), Refusal>>),
    /// Where to read each object.
    GetReplicaList(Vec<Result<ReplicaList, Refusal>>),
    /// Whether each object is readable.
    ExistKey(Vec<Result<bool, Refusal>>),
    /// Whether each object was removed.
    Remove(Vec<Result<(), Refusal>>),
    /// Where to copy from and to.
    CopyStart(Result<TransferBuffers, Refusal>),
    /// Whether the copies are published.
    CopyEnd(Result<(), Refusal>),
    /// Whether the copy is given up.
    CopyRevoke(Result<(), Refusal>),
    /// Where to move from and to.
    MoveStart(Result<TransferBuffers, Refusal>),
    /// Whether the replica is moved.
    MoveEnd(Result<(), Refusal>),
    /// Whether the move is given up.
    MoveRevoke(Result<(), Refusal>),
    /// The task's id.
    CreateCopyTask(Result<TaskId, Refusal>),
    /// The task's id.
    CreateMoveTask(Result<TaskId, Refusal>),
    /// How far the task is.
    QueryTask(Result<TaskState, Refusal>),
    /// Tasks to carry out; mostly none.
    FetchTasks(Vec<TaskAssignment>),
    /// Whether the end is noted.
    MarkTaskToComplete(Result<(), Refusal>),
}

/// What a copy or move reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferBuffers {
    /// Read this.
    pub source: ReplicaDescriptor,
    /// Write these; none when every target holds a replica already.
    pub targets: Vec<ReplicaDescriptor>,
}

/// A task handed to its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskAssignment {
    /// Its id.
    pub id: TaskId,
    /// Copy or move.
    pub kind: TransferKind,
    /// A JSON object: tenant_id, key, source, and targets or target.
    pub payload: String,
    /// When it was created.
    pub created: WallTime,
    /// How often the client may try.
    pub retries: u32,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// Its id.
    pub id: TaskId,
    /// Copy or move.
    pub kind: TransferKind,
    /// How far.
    pub status: TaskStatus,
    /// When it was created.
    pub created: WallTime,
    /// When it last changed.
    pub updated: WallTime,
    /// Who carries it out.
    pub client: ClientId,
    /// What the client said at its end.
    pub message: String,
}

/// Where one copy of a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaDescriptor {
    /// Identifier of the replica, stable across failovers.
    pub id: u64,
    /// The segment that holds it.
    pub segment: Arc<SegmentSpec>,
    /// Absolute address, in the lender's address space.
    pub address: u64,
    /// Bytes of the value.
    pub size: u64,
    /// Whether it may be read.
    pub status: ReplicaStatus,
}

/// Answer to a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaList {
    /// Readable replicas, in stored order.
    pub replicas: Vec<ReplicaDescriptor>,
    /// For how long the bytes stay as they are. The client counts from before
    /// it sent the request.
    pub lease: Duration,
    /// The writer's checksum, if it gave one.
    pub checksum: Option<u64>,
}

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
    /// No write of this object is in progress, and it is not complete.
    #[error("no write of this object is in progress")]
    InvalidWrite,
    /// No mounted segment has this name.
    #[error("no segment is named `{0}`")]
    SegmentNotFound(String),
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
            Self::Unavailable(_) => ErrorCode::UnavailableInCurrentStatus,
            Self::InvalidParams { .. } => ErrorCode::InvalidParams,
            Self::NoAvailableHandle(_) => ErrorCode::NoAvailableHandle,
            Self::SegmentAlreadyExists(_) => ErrorCode::SegmentAlreadyExists,
            Self::ObjectNotFound => ErrorCode::ObjectNotFound,
            Self::ObjectAlreadyExists => ErrorCode::ObjectAlreadyExists,
            Self::ReplicaIsNotReady => ErrorCode::ReplicaIsNotReady,
            Self::ObjectHasLease => ErrorCode::ObjectHasLease,
            Self::IllegalClient => ErrorCode::IllegalClient,
            Self::InvalidWrite => ErrorCode::InvalidWrite,
            Self::SegmentNotFound(_) => ErrorCode::SegmentNotFound,
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

impl Request {
    /// Its name, for metrics, logs and tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::MountSegment { .. } => "MountSegment",
            Self::PutStart { .. } => "PutStart",
            Self::PutEnd { .. } => "PutEnd",
            Self::GetReplicaList { .. } => "GetReplicaList",
            Self::ExistKey { .. } => "ExistKey",
            Self::Remove { .. } => "Remove",
            Self::CopyStart { .. } => "CopyStart",
            Self::CopyEnd { .. } => "CopyEnd",
            Self::CopyRevoke { .. } => "CopyRevoke",
            Self::MoveStart { .. } => "MoveStart",
            Self::MoveEnd { .. } => "MoveEnd",
            Self::MoveRevoke { .. } => "MoveRevoke",
            Self::CreateCopyTask { .. } => "CreateCopyTask",
            Self::CreateMoveTask { .. } => "CreateMoveTask",
            Self::QueryTask { .. } => "QueryTask",
            Self::FetchTasks { .. } => "FetchTasks",
            Self::MarkTaskToComplete { .. } => "MarkTaskToComplete",
        }
    }

    /// How many elements it has.
    #[must_use]
    pub fn elements(&self) -> usize {
        match self {
            Self::MountSegment { .. }
            | Self::CopyStart { .. }
            | Self::CopyEnd { .. }
            | Self::CopyRevoke { .. }
            | Self::MoveStart { .. }
            | Self::MoveEnd { .. }
            | Self::MoveRevoke { .. }
            | Self::CreateCopyTask { .. }
            | Self::CreateMoveTask { .. }
            | Self::QueryTask { .. }
            | Self::FetchTasks { .. }
            | Self::MarkTaskToComplete { .. } => 1,
            Self::PutStart { items, .. } => items.len(),
            Self::PutEnd { items, .. } => items.len(),
            Self::GetReplicaList { keys } | Self::ExistKey { keys } | Self::Remove { keys, .. } => keys.len(),
        }
    }

    /// True when it may change the state.
    #[must_use]
    pub fn is_mutation(&self) -> bool {
        match self {
            Self::MountSegment { .. }
            | Self::PutStart { .. }
            | Self::PutEnd { .. }
            | Self::Remove { .. }
            | Self::CopyStart { .. }
            | Self::CopyEnd { .. }
            | Self::CopyRevoke { .. }
            | Self::MoveStart { .. }
            | Self::MoveEnd { .. }
            | Self::MoveRevoke { .. }
            | Self::CreateCopyTask { .. }
            | Self::CreateMoveTask { .. }
            | Self::FetchTasks { .. }
            | Self::MarkTaskToComplete { .. } => true,
            Self::GetReplicaList { .. } | Self::ExistKey { .. } | Self::QueryTask { .. } => false,
        }
    }
}
