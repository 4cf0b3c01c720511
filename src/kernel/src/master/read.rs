//! Reading: where objects are, and whether they are there. Both grant leases.

use bytes::Bytes;

use super::call::{Call, describe};
use crate::api::{Refusal, ReplicaList};
use crate::store::{Object, SegmentTable, Shard, Sight};
use crate::types::ReplicaStatus;

impl Call<'_> {
    pub(super) fn get(&mut self, table: &SegmentTable, key: &Bytes) -> Result<ReplicaList, Refusal> {
        let (hash, key) = self.hash(key)?;
        let shard = self.master.store.shard(hash.home).read();
        self.depend_on_read(&shard);
        let object = shard.get(hash, &key).ok_or(Refusal::ObjectNotFound)?;
        let sight = self.sight(table, object);
        if !sight.live {
            return Err(Refusal::ObjectNotFound);
        }
        if !sight.readable {
            return Err(Refusal::ReplicaIsNotReady);
        }
        let lease = self.master.times.read_ttl;
        object.extend_lease(self.now.plus(lease));
        let replicas = describe(table, object, |status| status == ReplicaStatus::Complete);
        Ok(ReplicaList { replicas, lease, checksum: object.checksum })
    }

    pub(super) fn exist(&mut self, table: &SegmentTable, key: &Bytes) -> Result<bool, Refusal> {
        let (hash, key) = self.hash(key)?;
        let shard = self.master.store.shard(hash.home).read();
        self.depend_on_read(&shard);
        let Some(object) = shard.get(hash, &key) else { return Ok(false) };
        let readable = self.sight(table, object).readable;
        if readable {
            object.extend_lease(self.now.plus(self.master.times.read_ttl));
        }
        Ok(readable)
    }

    /// What the segment table leaves of an object. An answer that a dead mount
    /// had a part in depends on its death.
    pub(super) fn sight(&mut self, table: &SegmentTable, object: &Object) -> Sight {
        let sight = object.sight(table);
        if sight.dead {
            self.depend(table.mark().applied());
        }
        sight
    }

    fn depend_on_read(&mut self, shard: &Shard) {
        if !mutant!(ReadNoCommit) {
            self.depend(shard.mark().applied());
        }
    }
}
