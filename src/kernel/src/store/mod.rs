//! The state: 1,024 shards of objects and one segment table, each a *home*
//! with its own position and digest, and what is derived from them.
//!
//! Primary and standby hold the same type and change it only through
//! [`Shard::apply`] and [`SegmentTable::apply`].

mod allocator;
mod attempts;
mod audit;
mod buckets;
mod damage;
mod differ;
mod digest;
mod groups;
mod homes;
mod memory;
mod metadata;
mod mount;
mod object;
mod objects;
mod owned;
mod pins;
mod pools;
mod segments;
mod shard;
mod snapshot;
mod tasks;
mod transfer;
mod unfinished;
mod writes;

pub use allocator::{Allocators, OffsetAllocator, RegionError};
pub use attempts::{Attempt, Attempts};
pub use audit::{AuditError, Recount};
pub use buckets::{
    ALL_BUCKETS, Adoption, BUCKETS, BucketSet, HomeImage, HomeSums, Sample, bucket_of, in_buckets,
};
pub use damage::Damage;
pub use differ::{Difference, DifferenceKind, FieldDifference};
pub use digest::Digester;
pub use groups::{Members, Routes};
pub use homes::Homes;
pub use memory::StoreMemory;
pub use metadata::{TransferMetadata, metadata_parts};
pub use mount::{Client, Departed, Due, Mount};
pub use object::{Object, Replica, Replicas, Sight};
pub use objects::Cursor;
pub use pins::{Extras, PinState};
pub use pools::{Pool, Pools};
pub use segments::SegmentTable;
pub use shard::{Limbo, Shard, Slot};
pub use snapshot::{Chunk, CopySession, LoadError};
pub use tasks::{Task, TaskTable};
pub use transfer::Transfer;

use std::sync::Arc;

use smallvec::SmallVec;

use crate::oplog::{Op, OpLogEntry};
use crate::sync::{Order, Ranked, RankedMutex, RankedRwLock, ReadGuard};
use crate::types::{ClusterId, HomeId, LogPos, MountUid, Region, Seq, TaskId, limits};

/// Where a home stands: the last op applied to it, and the sum of its terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HomeMark {
    /// Last op applied to this home.
    pub last: LogPos,
    /// Incremental digest; a function of the home's replicated state only.
    pub digest: u128,
}

impl HomeMark {
    /// Exclusive mark: the home holds all its ops before this seq.
    #[must_use]
    pub fn applied(&self) -> Seq {
        self.last.end()
    }
}

/// Why an op cannot be applied. On a standby the entry is quarantined; on the
/// primary it is a bug, since the primary decided it on this very state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// PUT_START of a key that is there.
    #[error("the object exists already")]
    ObjectExists,
    /// The op is about a key that is not there.
    #[error("the object does not exist")]
    NoObject,
    /// PREEMPT of an object that is not in flight.
    #[error("the object is complete")]
    ObjectComplete,
    /// UPSERT_IN_PLACE of an object that is in flight.
    #[error("the object is in flight")]
    ObjectInFlight,
    /// DROP_REPLICA of a replica that the object does not have, or not complete,
    /// or that is its only one.
    #[error("replica {0} is not one of several, or not complete")]
    NoReplica(u64),
    /// RESOLVE of something that was not abandoned.
    #[error("no write of this key was abandoned at {0}")]
    NoAttempt(Seq),
    /// FREE of something that is not in limbo.
    #[error("limbo holds no region {1} of the op at {0}")]
    NoLimbo(Seq, u8),
    /// EVICT of an object without a complete replica that is not pinned.
    #[error("no replica can be evicted")]
    NothingEvictable,
    /// A copy or move runs.
    #[error("a copy or move runs")]
    TransferRuns,
    /// The end of a copy or move that does not run.
    #[error("no copy or move runs")]
    NoTransfer,
    /// TRANSFER_START from a replica that is not there or not complete.
    #[error("replica {0:#x} is no source")]
    NoSource(u64),
    /// TRANSFER_END without its source or one of its targets.
    #[error("a replica of the copy or move is gone")]
    TransferBroken,
    /// TRANSFER_START of more than an object can have.
    #[error("{0} replicas are more than an object may have")]
    TooManyReplicas(usize),
    /// TASK_FETCH of a task that is not pending.
    #[error("task {0} is not pending")]
    TaskNotPending(TaskId),
    /// TASK_END of a task that is not there or has ended.
    #[error("task {0} is not open")]
    TaskNotOpen(TaskId),
    /// METADATA_PART that does not continue the value that is being written.
    #[error("part {0} of metadata does not follow the one before")]
    MetadataPart(u16),
    /// METADATA_REMOVE of a key that is not there.
    #[error("no metadata is under this key")]
    NoMetadata,
    /// MOUNT of a segment id that is mounted.
    #[error("segment {0} is mounted already")]
    SegmentMounted(crate::types::SegmentId),
    /// MOUNT of an empty or wrapping address range.
    #[error("segment of {size} bytes at {base:#x} is not an address range")]
    BadRange {
        /// First address.
        base: u64,
        /// Bytes.
        size: u64,
    },
    /// An op about a mount that does not live.
    #[error("mount {0} does not live")]
    NoMount(LogPos),
    /// PURGE of a mount that lives.
    #[error("mount {0} lives")]
    MountLives(LogPos),
    /// GRACEFUL_UNMOUNT of a mount whose grace period has begun.
    #[error("mount {0} is being unmounted already")]
    AlreadyUnmounting(LogPos),
    /// HOLD_END of a mount that is not held.
    #[error("mount {0} is not held")]
    NotHeld(LogPos),
    /// CLIENT_EXPIRED of a client that is not known.
    #[error("client {0} is not known")]
    NoClient(crate::types::ClientId),
    /// A region is not free, not owned, or outside its segment.
    #[error(transparent)]
    Region(#[from] RegionError),
}

/// What an op does to the derived indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The region is owned now.
    Carve(Region),
    /// The region may be allocated again.
    Release(Region),
    /// A mount of so many bytes lives.
    Open(MountUid, u64),
    /// A mount is dead.
    Close(MountUid),
    /// The object with this scoped key is in this group.
    Route(Box<[u8]>, Arc<[u8]>),
    /// The object with this scoped key was in a group and is gone, with all that
    /// was logged before this seq.
    Unroute(Box<[u8]>, Seq),
}

/// Effects of one op: rarely more than one.
pub type Effects = SmallVec<[Effect; 2]>;

type TableGuard<'a> = ReadGuard<'a, SegmentTable>;

/// The metadata of a cluster (plan task 2.3).
#[derive(Debug)]
pub struct MetadataStore {
    segments: RankedRwLock<SegmentTable>,
    shards: Box<[RankedRwLock<Shard>]>,
    allocators: RankedMutex<Allocators>,
    routes: Routes,
    digester: Digester,
}

impl MetadataStore {
    /// An empty store. The cluster's name seeds the digests, so that stores of
    /// two clusters never compare equal by accident.
    #[must_use]
    pub fn new(cluster: &ClusterId) -> Self {
        let digester = Digester::new(cluster);
        let shards = (0..limits::SHARDS).map(|i| Ranked::rw(Order::shard(i), Shard::new(digester))).collect();
        Self {
            segments: Ranked::rw(Order::SEGMENTS, SegmentTable::new(digester)),
            shards,
            allocators: Ranked::mutex(Order::DERIVED, Allocators::default()),
            routes: Routes::default(),
            digester,
        }
    }

    /// The segment table: rank 1.
    #[must_use]
    pub fn segments(&self) -> &RankedRwLock<SegmentTable> {
        &self.segments
    }

    /// The shard with this home id: rank 2.
    #[must_use]
    pub fn shard(&self, home: HomeId) -> &RankedRwLock<Shard> {
        invariant!(home != HomeId::SEGMENTS, "the segment table is not a shard");
        &self.shards[home.index()]
    }

    /// Allocators of all mounts: rank 3.
    #[must_use]
    pub fn allocators(&self) -> &RankedMutex<Allocators> {
        &self.allocators
    }

    /// Which keys are in groups: rank 3, after the allocators.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Carries out what an op says about the derived indexes.
    ///
    /// # Errors
    /// When a region does not fit; earlier effects of the op stay.
    pub fn perform(&self, effects: &[Effect]) -> Result<(), RegionError> {
        if effects.is_empty() {
            return Ok(());
        }
        self.perform_with(&mut self.allocators.lock(), effects)
    }

    /// The same while the allocators are locked.
    ///
    /// # Errors
    /// As [`perform`](Self::perform).
    pub fn perform_with(&self, allocators: &mut Allocators, effects: &[Effect]) -> Result<(), RegionError> {
        self.routes.perform(effects);
        allocators.perform(effects)
    }

    /// Position and digest of a home.
    #[must_use]
    pub fn mark(&self, home: HomeId) -> HomeMark {
        if home == HomeId::SEGMENTS { self.segments.read().mark() } else { self.shard(home).read().mark() }
    }

    /// Applies a decoded entry of the log, in log order (PROTOCOL K7). An entry
    /// that its home holds already is skipped: applying twice is safe.
    ///
    /// # Errors
    /// When the op does not fit the state; nothing is changed then.
    pub fn apply(&self, entry: &OpLogEntry<'_>) -> Result<(), ApplyError> {
        if entry.home == HomeId::SEGMENTS {
            let mut table = self.segments.write();
            if entry.pos.end() <= table.mark().applied() {
                return Ok(());
            }
            let mut allocators = self.allocators.lock();
            return apply_to_segments(&mut table, &mut allocators, entry.pos, &entry.op);
        }
        let _table = self.purge_guard(&entry.op)?;
        let mut shard = self.shard(entry.home).write();
        if entry.pos.end() <= shard.mark().applied() {
            return Ok(());
        }
        let taken = entry.op.takes();
        if taken.is_empty() {
            let effects = shard.apply(entry.pos, entry.name, &entry.op)?;
            return Ok(self.perform(&effects)?);
        }
        // Regions first: whether they are free is what the home cannot tell.
        let mut allocators = self.allocators.lock();
        allocators.carve_all(taken)?;
        let applied = shard.apply(entry.pos, entry.name, &entry.op);
        let mut effects = applied.inspect_err(|_| allocators.release_all(taken))?;
        effects.retain(|effect| !matches!(effect, Effect::Carve(_)));
        Ok(self.perform_with(&mut allocators, &effects)?)
    }

    /// The same while the homes do not form one prefix of the log: each was
    /// copied at its own moment, and skips what it holds already (PROTOCOL S4,
    /// S5). What joins homes is not touched; [`derive`](Self::derive) makes it.
    ///
    /// # Errors
    /// When the op does not fit the home, which is unchanged then.
    pub fn replay(&self, entry: &OpLogEntry<'_>) -> Result<(), ApplyError> {
        if mutant!(IncrementalBeforeSeal) {
            return self.apply(entry);
        }
        let held = |mark: HomeMark| entry.pos.end() <= mark.applied() && !mutant!(NoSkip);
        if entry.home == HomeId::SEGMENTS {
            let mut table = self.segments.write();
            return if held(table.mark()) { Ok(()) } else { table.apply(entry.pos, &entry.op).map(drop) };
        }
        let _table = self.purge_guard(&entry.op)?;
        let mut shard = self.shard(entry.home).write();
        if held(shard.mark()) { Ok(()) } else { shard.apply(entry.pos, entry.name, &entry.op).map(drop) }
    }

    /// A PURGE is sound only while its mount is dead; the table stays locked so
    /// that nothing mounts meanwhile.
    fn purge_guard(&self, op: &Op<'_>) -> Result<Option<TableGuard<'_>>, ApplyError> {
        let Op::Purge { mount, .. } = op else { return Ok(None) };
        let table = self.segments.read();
        if table.is_live(*mount) { Err(ApplyError::MountLives(mount.0)) } else { Ok(Some(table)) }
    }

    /// Advances a home past an entry without its effect, or disturbs its
    /// digest: what `--enable-lab` plants. Never called otherwise.
    pub fn lab_damage(&self, home: HomeId, damage: &mut dyn FnMut(&mut HomeMark)) {
        if home == HomeId::SEGMENTS {
            damage(self.segments.write().mark_mut());
        } else {
            damage(self.shard(home).write().mark_mut());
        }
    }
}

/// Applies an op of the segment table together with its derived indexes.
///
/// # Errors
/// When the op does not fit; nothing is changed then.
pub fn apply_to_segments(
    table: &mut SegmentTable,
    allocators: &mut Allocators,
    at: LogPos,
    op: &Op<'_>,
) -> Result<(), ApplyError> {
    Ok(allocators.perform(&table.apply(at, op)?)?)
}

#[cfg(test)]
#[path = "segments_tests.rs"]
mod segments_tests;
#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
