//! Removing objects: by key, by pattern, all of them.

use bytes::Bytes;

use super::call::Call;
use super::pattern::Pattern;
use crate::api::Refusal;
use crate::oplog::Op;
use crate::store::{Cursor, Object, SegmentTable, Shard};
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
        let object = self.found(shard.get(at, key))?;
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
    /// which others get the locks. Skips what cannot be removed.
    fn remove_where(&mut self, home: HomeId, force: bool, wanted: impl Fn(&Object) -> bool) -> u64 {
        let keys = self.list(home, |_, o| o.unfinished().is_none() && wanted(o));
        let mut removed = 0;
        for slice in keys.chunks(limits::REMOVE_SLICE) {
            let table = self.master.store.segments().read();
            let mut shard = self.master.store.shard(home).write();
            removed +=
                slice.iter().map(|key| self.remove_listed(&table, home, &mut shard, key, force)).sum::<u64>();
        }
        removed
    }

    /// Removes an object that was found by looking at all: how many went. What is
    /// dead is none, and waits for the sweep.
    fn remove_listed(
        &mut self,
        table: &SegmentTable,
        home: HomeId,
        shard: &mut Shard,
        key: &[u8],
        force: bool,
    ) -> u64 {
        let at = KeyHash::of(key).within(home);
        self.depend(shard.mark().applied());
        if shard.get(at, key).is_none_or(|o| !o.sight(table).live) {
            return 0;
        }
        u64::from(self.remove_at(table, at, shard, key, force).is_ok())
    }

    /// Removes every finished object of one shard, in slices.
    fn clear_shard(&mut self, home: HomeId) -> u64 {
        let (mut at, mut removed, mut more) = (Cursor::default(), 0, true);
        while more {
            let table = self.master.store.segments().read();
            let lock = self.master.store.shard(home);
            let found;
            {
                let shard = lock.read();
                // What another call removed, or a death, is not there to be removed here.
                self.depend(shard.mark().applied());
                self.depend(table.mark().applied());
                (found, more) = shard.pick(&mut at, limits::NAMED_SLICE, |o| {
                    (o.unfinished().is_none() && o.sight(&table).live).then(|| o.hash())
                });
            }
            if !found.is_empty() {
                removed += self.clear_some(&table, home, &mut lock.write(), found);
            }
        }
        removed
    }

    /// The same for these objects. Those that may be read go one by one, because
    /// each waits for its own readers; all others in one op.
    fn clear_some(
        &mut self,
        table: &SegmentTable,
        home: HomeId,
        shard: &mut Shard,
        mut found: Vec<u64>,
    ) -> u64 {
        found.sort_unstable();
        self.depend(shard.mark().applied());
        let (master, now) = (self.master, self.now);
        let goes = |o: &Object| o.unfinished().is_none() && master.unread_from(o) <= now;
        let (unread, read): (Vec<u64>, Vec<u64>) =
            found.into_iter().partition(|hash| shard.with_hash(*hash).all(goes));
        let keys: Vec<Box<[u8]>> =
            read.iter().flat_map(|hash| shard.with_hash(*hash)).map(|o| o.key().into()).collect();
        let mut removed = 0;
        for key in keys {
            removed += self.remove_listed(table, home, shard, &key, true);
        }
        let gone: usize = unread.iter().map(|hash| shard.with_hash(*hash).count()).sum();
        if gone > 0 {
            let op = Op::Clear { shard: home.index() as u16, objects: unread };
            let pos = master.log_and_apply(self.wall, op.place(), shard, &op);
            self.wrote(pos);
        }
        removed + gone as u64
    }

    /// Keys of one shard's objects that `wanted` picks, in key order: the order in
    /// which they are found must not reach the log.
    pub(super) fn list(
        &mut self,
        home: HomeId,
        wanted: impl Fn(&SegmentTable, &Object) -> bool,
    ) -> Vec<Box<[u8]>> {
        let (mut keys, mut at, mut more) = (Vec::new(), Cursor::default(), true);
        while more {
            let table = self.master.store.segments().read();
            let shard = self.master.store.shard(home).read();
            // What is left out may be so because of a death.
            self.depend(table.mark().applied());
            self.depend(shard.mark().applied());
            let mut found;
            (found, more) =
                shard.pick(&mut at, usize::MAX, |o| wanted(&table, o).then(|| Box::from(o.key())));
            keys.append(&mut found);
        }
        keys.sort_unstable();
        keys
    }
}
