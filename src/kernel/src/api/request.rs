//! The calls.

use std::time::Duration;

use bytes::Bytes;

use super::{EndItem, PutItem, ReplicaType, ReplicateConfig, SegmentKey};
use crate::types::{ClientId, SegmentId, SegmentSpec, TaskId, TaskStatus};

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
    /// The keys of all readable objects in one shard; grants no lease.
    ListKeys {
        /// Its number, from 0.
        shard: u16,
    },
    /// What a transfer engine has told under a key (SEMANTICS 7.2).
    GetMetadata {
        /// The key, in the spelling of whoever stored it.
        key: Bytes,
    },
    /// Tell other transfer engines something, in place of what was told before.
    PutMetadata {
        /// The key, up to 4,096 bytes.
        key: Bytes,
        /// Up to 1 MiB, read by nobody here.
        value: Bytes,
    },
    /// Take it back.
    RemoveMetadata {
        /// The key.
        key: Bytes,
    },
}

impl Request {
    /// Its name, for metrics, logs and tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind().name()
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
            | Self::MarkTaskToComplete { .. }
            | Self::ListKeys { .. }
            | Self::GetMetadata { .. }
            | Self::PutMetadata { .. }
            | Self::RemoveMetadata { .. } => 1,
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

    /// True when it looks at the whole store or at a whole shard of it: with millions of objects such a
    /// call takes seconds, in slices between which others get the locks.
    #[must_use]
    pub fn walks_the_store(&self) -> bool {
        matches!(
            self,
            Self::GetReplicaListByRegex { .. }
                | Self::RemoveByRegex { .. }
                | Self::RemoveAll { .. }
                | Self::ListKeys { .. }
        )
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
            | Self::MarkTaskToComplete { .. }
            | Self::PutMetadata { .. }
            | Self::RemoveMetadata { .. } => true,
            Self::QuerySegmentStatus { .. }
            | Self::Ping { .. }
            | Self::BatchQueryIp { .. }
            | Self::GetFsdir
            | Self::GetStorageConfig
            | Self::GetReplicaList { .. }
            | Self::ExistKey { .. }
            | Self::GetReplicaListByRegex { .. }
            | Self::QueryTask { .. }
            | Self::ListKeys { .. }
            | Self::GetMetadata { .. } => false,
        }
    }
}
