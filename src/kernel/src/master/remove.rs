//! Removing objects.

use bytes::Bytes;

use super::call::Call;
use crate::api::Refusal;
use crate::oplog::{LimboKind, Op, Release};
use crate::store::{SegmentTable, Shard};
use crate::types::{Instant, KeyHash};

impl Call<'_> {
    pub(super) fn remove(&mut self, table: &SegmentTable, key: &Bytes, force: bool) -> Result<(), Refusal> {
        let (hash, key) = self.hash(key)?;
        let master = self.master;
        let mut shard = master.store.shard(hash.home).write();
        self.depend(shard.mark().applied());
        let object = shard.get(hash, &key).ok_or(Refusal::ObjectNotFound)?;
        if !self.sight(table, object).live {
            return Err(Refusal::ObjectNotFound);
        }
        if !force && master.is_leased(object, self.now) {
            return Err(Refusal::ObjectHasLease);
        }
        if !object.is_complete(table) {
            return Err(Refusal::ReplicaIsNotReady);
        }
        let unread_from = master.unread_from(object);
        self.take_out(hash, &key, &mut shard, unread_from);
        Ok(())
    }

    /// Removes an object whose readers are all gone from `unread_from` on.
    pub(super) fn take_out(&mut self, hash: KeyHash, key: &[u8], shard: &mut Shard, unread_from: Instant) {
        let master = self.master;
        let free_now = unread_from <= self.now || mutant!(FreeNowAlways);
        let release = if free_now { Release::Now } else { Release::Limbo(LimboKind::Read) };
        let op = Op::Remove { key, release };
        let pos = master.log_and_apply(self.wall, hash, shard, &op);
        self.wrote(pos);
        if !free_now {
            master.set_due(shard, pos, unread_from);
        }
    }
}
