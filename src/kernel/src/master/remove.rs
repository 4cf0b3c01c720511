//! Removing objects: by key, by pattern, all of them.

use bytes::Bytes;

use super::call::Call;
use super::pattern::Pattern;
use crate::api::Refusal;
use crate::oplog::Op;
use crate::store::{Object, SegmentTable, Shard};
use crate::types::{HomeId, KeyHash, limits};

impl Call<'_> {
    pub(super) fn remove(&mut self, table: &SegmentTable, key: &Bytes, force: bool) -> Result<(), Refusal> {
        let (own, key) = self.hash(key)?;
        let mut homes = self.master.store.lock_key(own, &key);
        self.drop_dead(table, &mut homes, &key);
        self.remove_at(table, homes.at, homes.here(), &key, force)
    }

    fn remove_at(
        &mut self,
        table: &SegmentTable,
        at: KeyHash,
        shard: &mut Shard,
        key: &[u8],
        force: bool,
    ) -> Result<(), Refusal> {
        self.depend(shard.mark().applied());
        let object = shard.get(at, key).ok_or(Refusal::ObjectNotFound)?;
        if !force && self.master.is_leased(object, self.now) {
            return Err(Refusal::ObjectHasLease);
        }
        if !object.is_complete(table) {
            return Err(Refusal::ReplicaIsNotReady);
        }
        if object.transfer().is_some() {
            return Err(Refusal::ObjectHasReplicationTask);
        }
        self.erase(at, shard, key);
        Ok(())
    }

    /// Removes a complete object that is there.
    pub(super) fn erase(&mut self, at: KeyHash, shard: &mut Shard, key: &[u8]) {
        let Some((release, due)) = shard.get(at, key).map(|o| self.master.release(o, self.now)) else {
            return;
        };
        let pos = self.master.log_and_apply(self.wall, at, shard, &Op::Remove { key, release });
        self.wrote(pos);
        self.master.set_due(shard, pos, due);
    }

    pub(super) fn remove_matching(&mut self, pattern: &Bytes, force: bool) -> Result<u64, Refusal> {
        let pattern = Pattern::compile(pattern)?;
        let shards = (0..limits::SHARDS).filter_map(HomeId::from_index);
        Ok(shards.map(|home| self.remove_where(home, force, |o| pattern.matches(o))).sum())
    }

    pub(super) fn remove_all(&mut self, force: bool) -> u64 {
        let shards = (0..limits::SHARDS).filter_map(HomeId::from_index);
        if force {
            return shards.map(|home| self.clear_shard(home)).sum();
        }
        shards.map(|home| self.remove_where(home, force, |_| true)).sum()
    }

    /// Removes the objects of one shard that `wanted` picks, in slices between
    /// which others get the lock. Skips what cannot be removed.
    fn remove_where(&mut self, home: HomeId, force: bool, wanted: impl Fn(&Object) -> bool) -> u64 {
        let table = self.master.store.segments().read();
        self.drop_dead_in(&table, home);
        self.remove_listed(&table, home, force, wanted)
    }

    fn remove_listed(
        &mut self,
        table: &SegmentTable,
        home: HomeId,
        force: bool,
        wanted: impl Fn(&Object) -> bool,
    ) -> u64 {
        let keys = self.list(home, |o| o.unfinished().is_none() && wanted(o));
        let mut removed = 0;
        for slice in keys.chunks(limits::REMOVE_SLICE) {
            let mut shard = self.master.store.shard(home).write();
            for key in slice {
                let at = KeyHash::of(key).within(home);
                removed += u64::from(self.remove_at(table, at, &mut shard, key, force).is_ok());
            }
        }
        removed
    }

    /// Removes every finished object of one shard. Those that may be read go one
    /// by one, because each waits for its own readers; all others in one op.
    fn clear_shard(&mut self, home: HomeId) -> u64 {
        let (master, now) = (self.master, self.now);
        let table = master.store.segments().read();
        self.drop_dead_in(&table, home);
        let read = move |o: &Object| o.unfinished().is_none() && master.unread_from(o) > now;
        let mut removed = self.remove_listed(&table, home, true, read);
        let mut shard = master.store.shard(home).write();
        // Read since then: few.
        for key in keys_of(&shard, read) {
            let at = KeyHash::of(&key).within(home);
            removed += u64::from(self.remove_at(&table, at, &mut shard, &key, true).is_ok());
        }
        let left = shard.objects().filter(|o| o.unfinished().is_none()).count() as u64;
        if left > 0 {
            let op = Op::Clear { shard: home.index() as u16 };
            let pos = master.log_and_apply(self.wall, op.place(), &mut shard, &op);
            self.wrote(pos);
        }
        removed + left
    }

    /// Keys of one shard's objects that `wanted` picks.
    pub(super) fn list(&mut self, home: HomeId, wanted: impl Fn(&Object) -> bool) -> Vec<Box<[u8]>> {
        let shard = self.master.store.shard(home).read();
        self.depend(shard.mark().applied());
        keys_of(&shard, wanted)
    }
}

/// In key order: the order of the map must not reach the log.
fn keys_of(shard: &Shard, wanted: impl Fn(&Object) -> bool) -> Vec<Box<[u8]>> {
    let mut keys: Vec<_> = shard.objects().filter(|o| wanted(o)).map(|o| o.key().into()).collect();
    keys.sort_unstable();
    keys
}
