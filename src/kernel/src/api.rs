//! What clients can ask for, free of any door's format. A call exists here
//! first; a door may lack it, never extend it.
//!
//! Keyed calls are batches by nature: result i belongs to element i, elements
//! are handled in order, and a batch never fails as a whole (SEMANTICS 2.0).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::types::{
    ClientId, DataType, Epoch, ReplicaStatus, SegmentId, SegmentSpec, SegmentStatus, TaskId, TaskStatus,
    TransferKind, WallTime,
};

/// The tenant of every key while multi-tenancy is off (SEMANTICS 2.0).
pub const DEFAULT_TENANT: &[u8] = b"default";

/// What `ServiceReady` answers: clients demand exactly this protocol version
/// (SEMANTICS 2.5).
pub const SERVICE_VERSION: &str = "2.0.0";

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
    /// Lend again all that a client lends, which makes it OK: all or nothing.
    ReMountSegment {
        /// The lender.
        client: ClientId,
        /// All that it lends; may be nothing.
        segments: Vec<SegmentSpec>,
    },
    /// Take a segment back at once. Idempotent; the caller need not own it.
    UnmountSegment {
        /// The caller.
        client: ClientId,
        /// The segment.
        segment: SegmentId,
    },
    /// Place nothing more in a segment, and take it back after a while. Idempotent.
    GracefulUnmountSegment {
        /// The lender.
        client: ClientId,
        /// The segment.
        segment: SegmentId,
        /// The while; counted in whole milliseconds.
        grace: Duration,
    },
    /// What a segment may be used for.
    QuerySegmentStatus {
        /// Which one.
        segment: SegmentKey,
    },
    /// A lender lives. Refreshes its deadline and logs nothing.
    Ping {
        /// The lender.
        client: ClientId,
    },
    /// At which hosts the segments of clients are.
    BatchQueryIp {
        /// The clients.
        clients: Vec<ClientId>,
    },
    /// The directory of the cluster on a shared file system.
    GetFsdir,
    /// What clients must know about storage on a shared file system.
    GetStorageConfig,
    /// Begin writes: allocate, and hand out where to write.
    PutStart {
        /// The writer.
        client: ClientId,
        /// How to place the replicas.
        config: ReplicateConfig,
        /// What will be written.
        items: Vec<PutItem>,
    },
    /// Begin writes of new values under keys that may exist (SEMANTICS 2.3). They
    /// are ended by [`Request::PutEnd`] and given up by [`Request::PutRevoke`].
    UpsertStart {
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
        /// Which replicas were written.
        replica_type: ReplicaType,
    },
    /// Give writes up: the objects are gone.
    PutRevoke {
        /// The writer; it must be the one that began.
        client: ClientId,
        /// The keys.
        keys: Vec<Bytes>,
        /// Which replicas are given up.
        replica_type: ReplicaType,
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
    /// Where to read all objects whose keys match; grants a read lease on each.
    GetReplicaListByRegex {
        /// Searched for in the key.
        pattern: Bytes,
    },
    /// Remove all objects whose keys match.
    RemoveByRegex {
        /// Searched for in the key.
        pattern: Bytes,
        /// Also when a read lease is live.
        force: bool,
    },
    /// Remove all objects.
    RemoveAll {
        /// Also when a read lease is live.
        force: bool,
    },
    /// Remove a writer's own objects, or their replicas on one segment.
    BatchReplicaClear {
        /// The keys.
        keys: Vec<Bytes>,
        /// The writer of the objects; those of others are left alone.
        client: ClientId,
        /// Name of the segment; empty is whole objects.
        segment: String,
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

/// Kinds of replicas (SEMANTICS 1.3). This master makes memory replicas only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum ReplicaType {
    /// A region of a mounted segment.
    Memory = 0,
    /// A file on a shared file system.
    Disk = 1,
    /// A file on one client's disk.
    LocalDisk = 2,
    /// A region of an NVMe-over-Fabric segment.
    NofSsd = 3,
    /// Memory, and what is like it.
    #[default]
    All = 4,
    /// A file of a distributed file system.
    Dfs = 100,
}

impl ReplicaType {
    /// True when it covers the replicas that this master makes.
    #[must_use]
    pub fn is_memory(self) -> bool {
        match self {
            Self::Memory | Self::All => true,
            Self::Disk | Self::LocalDisk | Self::NofSsd | Self::Dfs => false,
        }
    }
}

/// What a write does to the object's soft pin (SEMANTICS 1.3, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SoftPinAction {
    /// Leaves it.
    #[default]
    Preserve,
    /// Sets it at the first end.
    Enable,
    /// Clears it at the first end.
    Disable,
    /// A number that Mooncake does not know: refused.
    Unknown(u8),
}

impl From<u8> for SoftPinAction {
    fn from(n: u8) -> Self {
        match n {
            0 => Self::Preserve,
            1 => Self::Enable,
            2 => Self::Disable,
            n => Self::Unknown(n),
        }
    }
}

/// How replicas are placed (SEMANTICS 1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicateConfig {
    /// Memory replicas wanted; fewer is success as long as there is one.
    pub replica_num: u32,
    /// NVMe-over-Fabric replicas wanted; this master makes none.
    pub nof_replica_num: u32,
    /// Distributed-file-system replicas wanted; this master makes none.
    pub dfs_replica_num: u32,
    /// Segment names to try first, in order.
    pub preferred_segments: Vec<String>,
    /// Deprecated: when not empty, the only name to try first.
    pub preferred_segment: String,
    /// What to do with the soft pin.
    pub soft_pin_action: SoftPinAction,
    /// How long the pin lasts, in milliseconds; only with `Enable`. 0 pins not at all.
    pub soft_pin_ttl_ms: Option<u64>,
    /// Never evict it.
    pub with_hard_pin: bool,
    /// What the values are used for.
    pub data_type: DataType,
    /// One group id for each element, empty for no group. Without it a put is in
    /// no group and an upsert keeps the group.
    pub group_ids: Option<Vec<Bytes>>,
    /// Place the elements of a batch beside the first one.
    pub prefer_alloc_in_same_node: bool,
    /// The writer's host, for placement near it. Empty: the host that it gave
    /// with its segments, if it lends any.
    pub host_id: String,
}

/// Names a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentKey {
    /// By its name, which several may share.
    Name(String),
    /// By its identifier.
    Id(SegmentId),
}

/// What clients must know about storage on a shared file system (SEMANTICS 2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// Directory of the cluster; empty means that there is none.
    pub fsdir: String,
    /// Whether clients may evict files.
    pub enable_disk_eviction: bool,
    /// Bytes that clients may use; 0 is no quota.
    pub quota_bytes: u64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { fsdir: String::new(), enable_disk_eviction: true, quota_bytes: 0 }
    }
}

impl Default for ReplicateConfig {
    fn default() -> Self {
        Self {
            replica_num: 1,
            nof_replica_num: 0,
            dfs_replica_num: 0,
            preferred_segments: Vec::new(),
            preferred_segment: String::new(),
            soft_pin_action: SoftPinAction::Preserve,
            soft_pin_ttl_ms: None,
            with_hard_pin: false,
            data_type: DataType::default(),
            group_ids: None,
            prefer_alloc_in_same_node: false,
            host_id: String::new(),
        }
    }
}

impl ReplicateConfig {
    /// Segment names to try first, in order.
    #[must_use]
    pub fn preferred(&self) -> &[String] {
        if self.preferred_segment.is_empty() {
            &self.preferred_segments
        } else {
            std::slice::from_ref(&self.preferred_segment)
        }
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
    /// Whether all segments are mounted.
    ReMountSegment(Result<(), Refusal>),
    /// Whether the segment is not mounted any more.
    UnmountSegment(Result<(), Refusal>),
    /// Whether the segment will be unmounted.
    GracefulUnmountSegment(Result<(), Refusal>),
    /// Its status.
    QuerySegmentStatus(Result<SegmentStatus, Refusal>),
    /// What the lender must know.
    Ping(PingReply),
    /// Hosts of each client that lends something.
    BatchQueryIp(BTreeMap<ClientId, Vec<String>>),
    /// The directory; empty means that there is none.
    GetFsdir(String),
    /// The settings.
    GetStorageConfig(StorageConfig),
    /// Where to write each object.
    PutStart(Vec<Result<Vec<ReplicaDescriptor>, Refusal>>),
    /// Where to write each object.
    UpsertStart(Vec<Result<Vec<ReplicaDescriptor>, Refusal>>),
    /// Whether each write is published.
    PutEnd(Vec<Result<(), Refusal>>),
    /// Whether each write is given up.
    PutRevoke(Vec<Result<(), Refusal>>),
    /// Where to read each object.
    GetReplicaList(Vec<Result<ReplicaList, Refusal>>),
    /// Whether each object is readable.
    ExistKey(Vec<Result<bool, Refusal>>),
    /// Whether each object was removed.
    Remove(Vec<Result<(), Refusal>>),
    /// The readable objects whose keys match, in key order.
    GetReplicaListByRegex(Result<Vec<(Bytes, ReplicaList)>, Refusal>),
    /// How many objects were removed.
    RemoveByRegex(Result<u64, Refusal>),
    /// How many objects were removed.
    RemoveAll(u64),
    /// The keys that were cleared.
    BatchReplicaClear(Vec<Bytes>),
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

/// Answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PingReply {
    /// Generation of the primary; grows with each new one.
    pub view_version: Epoch,
    /// What it thinks of the lender.
    pub status: ClientStatus,
}

/// Whether a lender has to say what it lends (SEMANTICS 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ClientStatus {
    /// No.
    Ok = 1,
    /// Yes, by a ReMountSegment.
    NeedRemount = 2,
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
            Self::ObjectNotFound => ErrorCode::ObjectNotFound,
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

impl Request {
    /// Its name, for metrics, logs and tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::MountSegment { .. } => "MountSegment",
            Self::ReMountSegment { .. } => "ReMountSegment",
            Self::UnmountSegment { .. } => "UnmountSegment",
            Self::GracefulUnmountSegment { .. } => "GracefulUnmountSegment",
            Self::QuerySegmentStatus { .. } => "QuerySegmentStatus",
            Self::Ping { .. } => "Ping",
            Self::BatchQueryIp { .. } => "BatchQueryIp",
            Self::GetFsdir => "GetFsdir",
            Self::GetStorageConfig => "GetStorageConfig",
            Self::PutStart { .. } => "PutStart",
            Self::UpsertStart { .. } => "UpsertStart",
            Self::PutEnd { .. } => "PutEnd",
            Self::PutRevoke { .. } => "PutRevoke",
            Self::GetReplicaList { .. } => "GetReplicaList",
            Self::ExistKey { .. } => "ExistKey",
            Self::Remove { .. } => "Remove",
            Self::GetReplicaListByRegex { .. } => "GetReplicaListByRegex",
            Self::RemoveByRegex { .. } => "RemoveByRegex",
            Self::RemoveAll { .. } => "RemoveAll",
            Self::BatchReplicaClear { .. } => "BatchReplicaClear",
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
            | Self::UnmountSegment { .. }
            | Self::GracefulUnmountSegment { .. }
            | Self::QuerySegmentStatus { .. }
            | Self::Ping { .. }
            | Self::GetFsdir
            | Self::GetStorageConfig
            | Self::GetReplicaListByRegex { .. }
            | Self::RemoveByRegex { .. }
            | Self::RemoveAll { .. }
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
            Self::ReMountSegment { segments, .. } => segments.len(),
            Self::BatchQueryIp { clients } => clients.len(),
            Self::PutStart { items, .. } | Self::UpsertStart { items, .. } => items.len(),
            Self::PutEnd { items, .. } => items.len(),
            Self::GetReplicaList { keys }
            | Self::ExistKey { keys }
            | Self::Remove { keys, .. }
            | Self::PutRevoke { keys, .. }
            | Self::BatchReplicaClear { keys, .. } => keys.len(),
        }
    }

    /// True when it may change the state.
    #[must_use]
    pub fn is_mutation(&self) -> bool {
        match self {
            Self::MountSegment { .. }
            | Self::ReMountSegment { .. }
            | Self::UnmountSegment { .. }
            | Self::GracefulUnmountSegment { .. }
            | Self::PutStart { .. }
            | Self::UpsertStart { .. }
            | Self::PutEnd { .. }
            | Self::PutRevoke { .. }
            | Self::Remove { .. }
            | Self::RemoveByRegex { .. }
            | Self::RemoveAll { .. }
            | Self::BatchReplicaClear { .. }
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
            Self::QuerySegmentStatus { .. }
            | Self::Ping { .. }
            | Self::BatchQueryIp { .. }
            | Self::GetFsdir
            | Self::GetStorageConfig
            | Self::GetReplicaList { .. }
            | Self::ExistKey { .. }
            | Self::GetReplicaListByRegex { .. }
            | Self::QueryTask { .. } => false,
        }
    }
}
