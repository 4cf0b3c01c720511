//! Clearing away what shards still hold of dead mounts (PROTOCOL K3).

use crate::sync::atomic::{AtomicUsize, Ordering};

use super::Master;
use super::call::Call;
use crate::oplog::Op;
use crate::store::{Homes, SegmentTable, Shard};
use crate::types::{HomeId, LogPos, MountUid, WallTime, limits};

/// A round over all shards. It begins anew with each death, and once at
/// promotion, because an earlier primary may not have finished its own.
#[derive(Debug)]
pub(super) struct PurgeRound {
    next: AtomicUsize,
    left: AtomicUsize,
}

impl Default for PurgeRound {
    fn default() -> Self {
        Self { next: AtomicUsize::new(0), left: AtomicUsize::new(limits::SHARDS) }
    }
}

impl PurgeRound {
    /// All shards must be looked at again. Call it while the death is still
    /// hidden by the segment table's lock.
    pub(super) fn restart(&self) {
        self.left.store(limits::SHARDS, Ordering::Release);
    }

    /// The next shard to look at. It is counted before it is looked at, so
    /// that a death meanwhile is not missed.
    fn take(&self) -> Option<HomeId> {
        self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).ok()?;
        HomeId::from_index(self.next.fetch_add(1, Ordering::Relaxed) % limits::SHARDS)
    }
}

impl Master {
    /// One slice of the round; returns how many entries were appended. Bounded
    /// in entries and in objects looked at.
    pub(super) fn purge_dead(&self, wall: WallTime) -> usize {
        let (mut purged, mut looked_at) = (0, 0);
        while purged < limits::PURGES_PER_STEP && looked_at < limits::PURGE_OBJECTS_PER_STEP {
            let Some(home) = self.purge.take() else { break };
            let table = self.store.segments().read();
            let lock = self.store.shard(home);
            let dead = {
                let shard = lock.read();
                looked_at += shard.len() + shard.limbo().len();
                shard.dead_mounts(&table)
            };
            if dead.is_empty() {
                continue;
            }
            if dead.len() > limits::PURGES_PER_STEP - purged {
                self.purge.restart();
            }
            let mut shard = lock.write();
            for mount in dead.into_iter().take(limits::PURGES_PER_STEP - purged) {
                self.purge_mount(wall, home, &mut shard, mount);
                purged += 1;
            }
        }
        purged
    }

    /// The caller holds the segment table's lock, so the mount stays dead.
    fn purge_mount(&self, wall: WallTime, home: HomeId, shard: &mut Shard, mount: MountUid) -> LogPos {
        let op = Op::Purge { shard: home.index() as u16, mount };
        self.log_and_apply(wall, op.place(), shard, &op)
    }
}

impl Call<'_> {
    /// A write meets only what lives: for the shard of an object that names a
    /// dead mount the sweep comes early.
    pub(super) fn drop_dead(&mut self, table: &SegmentTable, homes: &mut Homes<'_>, key: &[u8]) {
        let Some(object) = homes.object(key).filter(|o| o.sight(table).dead) else { return };
        let (dead, home) = (object.dead_mounts(table), homes.at.home);
        for mount in &dead {
            self.purge(home, homes.here(), *mount);
        }
        if !dead.is_empty() && homes.object(key).is_none() {
            homes.vacate();
        }
    }

    /// The same for all objects of one shard.
    pub(super) fn drop_dead_in(&mut self, table: &SegmentTable, home: HomeId) {
        let lock = self.master.store.shard(home);
        let dead = lock.read().dead_mounts(table);
        if dead.is_empty() {
            return;
        }
        let mut shard = lock.write();
        for mount in dead {
            self.purge(home, &mut shard, mount);
        }
    }

    fn purge(&mut self, home: HomeId, shard: &mut Shard, mount: MountUid) {
        let pos = self.master.purge_mount(self.wall, home, shard, mount);
        self.wrote(pos);
    }
}
