//! Removing objects.

use bytes::Bytes;

use super::call::Call;
use crate::api::Refusal;
use crate::oplog::{LimboKind, Op, Release};

impl Call<'_> {
    pub(super) fn remove(&mut self, key: &Bytes, force: bool) -> Result<(), Refusal> {
        let (hash, key) = self.hash(key)?;
        let master = self.master;
        let mut shard = master.store.shard(hash.home).write();
        self.depend(shard.mark().applied());
        let object = shard.get(hash, &key).ok_or(Refusal::ObjectNotFound)?;
        if !force && master.is_leased(object, self.now) {
            return Err(Refusal::ObjectHasLease);
        }
        if !object.is_complete() {
            return Err(Refusal::ReplicaIsNotReady);
        }
        if object.transfer.is_some() {
            return Err(Refusal::ObjectHasReplicationTask);
        }
        let unread_from = master.unread_from(object);
        let free_now = unread_from <= self.now || mutant!(FreeNowAlways);
        let release = if free_now { Release::Now } else { Release::Limbo(LimboKind::Read) };
        let op = Op::Remove { key: &key, release };
        let pos = master.log_and_apply(self.wall, hash, &mut shard, &op);
        self.wrote(pos);
        if !free_now {
            master.set_due(&mut shard, pos, unread_from);
        }
        Ok(())
    }
}
