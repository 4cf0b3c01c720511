//! Clearing away what shards still hold of dead mounts (PROTOCOL K3). The protocol
//! has one PURGE a shard; here one names some of the shard's objects, so that
//! neither the search nor the sweep locks a shard in proportion to its objects.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::sync::atomic::{AtomicUsize, Ordering};

use super::Master;
use super::call::Call;
use crate::oplog::Op;
use crate::store::{Cursor, Homes, SegmentTable, Shard, Slot};
use crate::types::{HomeId, LogPos, MountUid, WallTime, limits};

/// A round over all shards. It begins anew with each death, and once at
/// promotion, because an earlier primary may not have finished its own.
#[derive(Debug)]
pub(super) struct PurgeRound {
    left: AtomicUsize,
}

impl Default for PurgeRound {
    fn default() -> Self {
        Self { left: AtomicUsize::new(limits::SHARDS) }
    }
}

impl PurgeRound {
    /// All shards must be looked at again. Call it while the death is still
    /// hidden by the segment table's lock.
    pub(super) fn restart(&self) {
        self.left.store(limits::SHARDS, Ordering::Release);
    }

    /// Whether another shard must be looked at. It is counted before it is looked
    /// at, so that a death meanwhile is not missed.
    fn take(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
    }
}

/// Where the round is, between maintenance steps.
#[derive(Debug, Default)]
pub(super) struct PurgeWalk {
    /// The shard that is walked over, and where in it.
    at: Option<(HomeId, Cursor)>,
    next: usize,
}

impl Master {
    /// One step of the round; returns how many entries were appended. Bounded
    /// in entries and in objects looked at.
    pub(super) fn purge_dead(&self, wall: WallTime, walk: &mut PurgeWalk) -> usize {
        let (mut logged, mut spent) = (0, 0);
        while spent < limits::PURGE_LOOKS_PER_STEP {
            let Some((home, mut at)) = walk.at.take().or_else(|| self.next_shard(walk)) else { break };
            let (entries, cost, more) = self.purge_some(wall, home, &mut at);
            walk.at = more.then_some((home, at));
            logged += entries;
            spent += cost;
        }
        logged
    }

    fn next_shard(&self, walk: &mut PurgeWalk) -> Option<(HomeId, Cursor)> {
        let home = HomeId::from_index(walk.next % limits::SHARDS).filter(|_| self.purge.take())?;
        walk.next += 1;
        Some((home, Cursor::default()))
    }

    /// Purges what the next look at a shard finds: how many entries that took,
    /// what it cost in looks, and whether there is more behind.
    fn purge_some(&self, wall: WallTime, home: HomeId, at: &mut Cursor) -> (usize, usize, bool) {
        // Held until the end, so that the dead stay dead.
        let table = self.store.segments().read();
        let lock = self.store.shard(home);
        let (mut alive, mut looks) = (None, 1);
        let (found, more) = lock.read().pick(at, limits::NAMED_SLICE, |object| {
            looks += 1;
            // Neighbours are often on one mount: the last one found alive is not looked up again.
            if object.replicas().all(|r| Some(r.region.mount) == alive) {
                return None;
            }
            let dead = object.dead_mounts(&table);
            if dead.is_empty() {
                alive = object.replicas().next().map(|r| r.region.mount);
            }
            Some((object.hash(), dead)).filter(|(_, dead)| !dead.is_empty())
        });
        if found.is_empty() {
            return (0, looks, more);
        }
        let named = by_mount(found);
        let objects: usize = named.values().map(Vec::len).sum();
        let mut shard = lock.write();
        let entries = named.len();
        for (mount, objects) in named {
            self.purge_named(wall, home, &mut shard, mount, objects);
        }
        (entries, looks + objects * limits::PURGE_WEIGHT, more)
    }

    /// The caller holds the segment table's lock, so the mount stays dead.
    fn purge_named(
        &self,
        wall: WallTime,
        home: HomeId,
        shard: &mut Shard,
        mount: MountUid,
        objects: Vec<u64>,
    ) -> LogPos {
        let op = Op::Purge { shard: home.index() as u16, mount, objects };
        self.log_and_apply(wall, op.place(), shard, &op)
    }
}

/// Which objects name which dead mount, both ascending.
fn by_mount(found: Vec<(u64, SmallVec<[MountUid; 1]>)>) -> BTreeMap<MountUid, Vec<u64>> {
    let mut named: BTreeMap<MountUid, Vec<u64>> = BTreeMap::new();
    for (hash, dead) in found {
        for mount in dead {
            named.entry(mount).or_default().push(hash);
        }
    }
    named.values_mut().for_each(|hashes| hashes.sort_unstable());
    named
}

impl Call<'_> {
    /// A write meets only what lives: for an object that names a dead mount the
    /// sweep comes early. Says where the key's object is, if one is left.
    pub(super) fn drop_dead(
        &mut self,
        table: &SegmentTable,
        homes: &mut Homes<'_>,
        key: &[u8],
    ) -> Option<Slot> {
        let at = homes.at;
        let slot = homes.here().find(at, key)?;
        let dead = homes.here().at(slot)?.dead_mounts(table);
        if dead.is_empty() {
            return Some(slot);
        }
        for mount in dead {
            let pos = self.master.purge_named(self.wall, at.home, homes.here(), mount, vec![at.map]);
            self.wrote(pos);
        }
        let left = homes.here().find(at, key);
        if left.is_none() {
            homes.vacate();
        }
        left
    }
}
