//! The answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Refusal;
use crate::types::{
    ClientId, Epoch, ReplicaStatus, SegmentSpec, SegmentStatus, TaskId, TaskStatus, TransferKind, WallTime,
};

/// The answer to a [`Request`](super::Request), of the same name.
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
    PutStart(Vec<Result<ReplicaDescriptors, Refusal>>),
    /// Where to write each object.
    UpsertStart(Vec<Result<ReplicaDescriptors, Refusal>>),
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

/// Replicas of one object: one, as a rule.
pub type ReplicaDescriptors = SmallVec<[ReplicaDescriptor; 1]>;

/// Answer to a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaList {
    /// Readable replicas, in stored order.
    pub replicas: ReplicaDescriptors,
    /// For how long the bytes stay as they are. The client counts from before
    /// it sent the request.
    pub lease: Duration,
    /// The writer's checksum, if it gave one.
    pub checksum: Option<u64>,
}
