//! Reading: where objects are, and whether they are there. Both grant leases.

use bytes::Bytes;

use super::call::{Call, describe};
use crate::api::{Refusal, ReplicaList};
use crate::store::{Object, SegmentTable, Shard, Sight};
use crate::types::ReplicaStatus;

impl Call<'_> {
    pub(super) fn get(&mut self, table: &SegmentTable, key: &Bytes) -> Result<ReplicaList, Refusal> {
        let (own, key) = self.hash(key)?;
        let (at, shard) = self.master.store.read_key(own, &key);
        self.depend_on_read(&shard);
        let object = shard.get(at, &key).ok_or(Refusal::ObjectNotFound)?;
        let sight = self.sight(table, object);
        if !sight.live {
            return Err(Refusal::ObjectNotFound);
        }
        if !sight.readable {
            return Err(Refusal::ReplicaIsNotReady);
        }
        let lease = self.master.times.read_ttl;
        self.grant_lease(&shard, object);
        let replicas = describe(table, object, |status| status == ReplicaStatus::Complete);
        Ok(ReplicaList { replicas, lease, checksum: object.checksum() })
    }

    pub(super) fn exist(&mut self, table: &SegmentTable, key: &Bytes) -> Result<bool, Refusal> {
        let (own, key) = self.hash(key)?;
        let (at, shard) = self.master.store.read_key(own, &key);
        self.depend_on_read(&shard);
        let Some(object) = shard.get(at, &key) else { return Ok(false) };
        let readable = self.sight(table, object).readable;
        if readable {
            self.grant_lease(&shard, object);
        }
        Ok(readable)
    }

    /// What the segment table leaves of an object. An answer that a dead mount
    /// had a part in depends on its death.
    fn sight(&mut self, table: &SegmentTable, object: &Object) -> Sight {
        let sight = object.sight(table);
        if sight.dead {
            self.depend(table.mark().applied());
        }
        sight
    }

    /// Grants a lease to an object's reader. The other members of its group get
    /// one, too, when its own was half over or somebody came or went since they
    /// last did (SEMANTICS 2.0).
    fn grant_lease(&self, shard: &Shard, object: &Object) {
        let ttl = self.master.times.read_ttl;
        let until = self.now.plus(ttl);
        let half_over = object.lease_until() <= self.now.plus(ttl / 2);
        object.extend_lease(until);
        let Some(group) = object.group() else { return };
        if shard.members().take_changed(group) || half_over {
            shard.group_members(group).for_each(|member| member.extend_lease(until));
        }
    }

    fn depend_on_read(&mut self, shard: &Shard) {
        if !mutant!(ReadNoCommit) {
            self.depend(shard.mark().applied());
        }
    }
}
