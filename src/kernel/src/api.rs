//! What clients can ask for, free of any door's format. A call exists here
//! first; a door may lack it, never extend it.
//!
//! Keyed calls are batches by nature: result i belongs to element i, elements
//! are handled in order, and a batch never fails as a whole (SEMANTICS 2.0).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::types::{ClientId, Epoch, ReplicaStatus, SegmentId, SegmentSpec, SegmentStatus};

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
}

/// How replicas are placed (SEMANTICS 1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicateConfig {
    /// Memory replicas wanted; fewer is success as long as there is one.
    pub replica_num: u32,
    /// Segment names to try first, in order.
    pub preferred_segments: Vec<String>,
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
        Self { replica_num: 1, preferred_segments: Vec::new(), host_id: String::new() }
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
    /// Whether each write is published.
    PutEnd(Vec<Result<(), Refusal>>),
    /// Where to read each object.
    GetReplicaList(Vec<Result<ReplicaList, Refusal>>),
    /// Whether each object is readable.
    ExistKey(Vec<Result<bool, Refusal>>),
    /// Whether each object was removed.
    Remove(Vec<Result<(), Refusal>>),
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
    /// REPLICA_IS_NOT_READY
    ReplicaIsNotReady = -703,
    /// OBJECT_NOT_FOUND
    ObjectNotFound = -704,
    /// OBJECT_ALREADY_EXISTS
    ObjectAlreadyExists = -705,
    /// OBJECT_HAS_LEASE
    ObjectHasLease = -706,
    /// UNAVAILABLE_IN_CURRENT_STATUS
    UnavailableInCurrentStatus = -1010,
    /// UNAVAILABLE_IN_CURRENT_MODE
    UnavailableInCurrentMode = -1011,
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
            Self::PutEnd { .. } => "PutEnd",
            Self::GetReplicaList { .. } => "GetReplicaList",
            Self::ExistKey { .. } => "ExistKey",
            Self::Remove { .. } => "Remove",
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
            | Self::GetStorageConfig => 1,
            Self::ReMountSegment { segments, .. } => segments.len(),
            Self::BatchQueryIp { clients } => clients.len(),
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
            | Self::ReMountSegment { .. }
            | Self::UnmountSegment { .. }
            | Self::GracefulUnmountSegment { .. }
            | Self::PutStart { .. }
            | Self::PutEnd { .. }
            | Self::Remove { .. } => true,
            Self::QuerySegmentStatus { .. }
            | Self::Ping { .. }
            | Self::BatchQueryIp { .. }
            | Self::GetFsdir
            | Self::GetStorageConfig
            | Self::GetReplicaList { .. }
            | Self::ExistKey { .. } => false,
        }
    }
}
