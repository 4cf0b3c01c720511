//! Which objects a slice of an eviction pass counts or evicts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Master;
use super::census::Cut;
use super::evict::{Class, Evictability, EvictionStats, Pass, Step};
use crate::store::{Cursor, Object, SegmentTable, Shard};
use crate::types::{Instant, MountUid, limits};

/// Looks at objects of one shard, for as long as its lock is held. It remembers
/// what it has found out about mounts and groups: neighbours often share them.
pub(super) struct Chooser<'a> {
    master: &'a Master,
    pub(super) table: &'a SegmentTable,
    class: Class,
    now: Instant,
    alive: Cell<Option<MountUid>>,
    /// Groups, and whether a member may be read: then none of them goes.
    read: RefCell<BTreeMap<Arc<[u8]>, bool>>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(master: &'a Master, table: &'a SegmentTable, class: Class, now: Instant) -> Self {
        Self { master, table, class, now, alive: Cell::new(None), read: RefCell::default() }
    }

    fn is_alive(&self, mount: MountUid) -> bool {
        if self.alive.get() == Some(mount) {
            return true;
        }
        let alive = self.table.is_live(mount);
        if alive {
            self.alive.set(Some(mount));
        }
        alive
    }

    fn evictability(&self, object: &Object) -> Evictability {
        self.master.evictability(object, |mount| self.is_alive(mount), self.now)
    }

    /// The lease by which an object of this class is evicted now, if it may be:
    /// no reader can hold a right on its bytes.
    pub(super) fn candidate(&self, object: &Object) -> Option<Instant> {
        self.lease(self.evictability(object), object)
    }

    fn lease(&self, of: Evictability, object: &Object) -> Option<Instant> {
        let lease = self.class.lease(of)?;
        (lease <= self.now && !self.master.may_be_read(object, self.now)).then_some(lease)
    }

    /// False for a member of a group of which some member may be read.
    fn is_free(&self, shard: &Shard, object: &Object) -> bool {
        let Some(group) = object.group() else { return true };
        let read = |o: &Object| self.master.may_be_read(o, self.now);
        let mut known = self.read.borrow_mut();
        let is_read = known.entry(Arc::clone(group)).or_insert_with(|| shard.group_members(group).any(read));
        !*is_read
    }

    /// Counts the next objects of a shard; true when it was all of them.
    pub(super) fn count(&self, shard: &Shard, pass: &mut Pass, stats: &mut EvictionStats) -> bool {
        let Pass { base, counted, step, at, .. } = pass;
        let Step::Count(census) = step else { return true };
        let looked_before = stats.looked_at;
        while stats.looked_at - looked_before < limits::LOOKS_PER_HOLD as u64 {
            let Some(objects) = shard.next_objects(at) else { return true };
            for object in objects {
                stats.looked_at += 1;
                let of = self.evictability(object);
                if base.is_none() {
                    *counted += u64::from(of != Evictability::Never);
                }
                if let Some(lease) = self.lease(of, object).filter(|_| self.is_free(shard, object)) {
                    census.count(lease);
                }
            }
        }
        false
    }

    /// Keys of the next objects that are old enough, at most as many as are
    /// wanted; true when there are no more behind them.
    pub(super) fn old_keys(
        &self,
        shard: &Shard,
        at: &mut Cursor,
        mut cut: Cut,
        wanted: usize,
        stats: &mut EvictionStats,
    ) -> (Vec<Box<[u8]>>, bool) {
        let mut keys = Vec::new();
        let looked_before = stats.looked_at;
        while keys.len() < wanted.min(limits::EVICT_SLICE)
            && stats.looked_at - looked_before < limits::LOOKS_PER_HOLD as u64
        {
            let Some(objects) = shard.next_objects(at) else { return (keys, true) };
            for object in objects {
                stats.looked_at += 1;
                let old = self.candidate(object).filter(|_| self.is_free(shard, object));
                if keys.len() < wanted && old.is_some_and(|lease| cut.take(lease)) {
                    keys.push(object.key().into());
                }
            }
        }
        (keys, false)
    }

    /// Keys that go when this object goes: its own, or those of all members of
    /// its group that may go, or none while a member may be read (SEMANTICS 4.2).
    pub(super) fn companions(&self, shard: &Shard, object: &Object) -> Vec<Box<[u8]>> {
        let Some(group) = object.group() else { return vec![object.key().into()] };
        if shard.group_members(group).any(|o| self.master.may_be_read(o, self.now)) {
            return Vec::new();
        }
        let safe = |o: &&Object| match self.evictability(o) {
            Evictability::PlainFrom(_) => true,
            Evictability::SoftPinnedFrom(_) => self.master.times.eviction.soft_pinned,
            Evictability::Never => false,
        };
        shard.group_members(group).filter(safe).map(|o| o.key().into()).collect()
    }
}
