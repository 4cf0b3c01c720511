//! Ops on objects beyond put, end and remove.

use super::shard::{Named, Regions, Shard};
use super::{ApplyError, Effect, Effects, Object};
use crate::oplog::Release;
use crate::types::{ClientId, LogPos, Region, ReplicaStatus};

impl Shard {
    pub(super) fn upsert_in_place(
        &mut self,
        at: LogPos,
        key: Named<'_>,
        writer: ClientId,
        pending_pin: Option<u64>,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, Release::Now, |object| {
            if object.transfer().is_some() {
                return Err(ApplyError::TransferRuns);
            }
            if !object.all_complete() {
                return Err(ApplyError::ObjectInFlight);
            }
            object.overwrite(at, writer, pending_pin);
            Ok(Regions::new())
        })
    }

    /// Lets every finished object go. The regions are released in their own
    /// order, not in that of the map.
    pub(super) fn clear(&mut self) -> Effects {
        let mut regions: Vec<Region> = Vec::with_capacity(self.len());
        let mut effects = Effects::new();
        let (digester, digest, members) = (self.digester, &mut self.mark.digest, &mut self.members);
        let finished = |object: &mut Object| object.unfinished().is_none();
        self.objects.sweep(finished, |object| {
            *digest = digest.wrapping_sub(digester.object(object));
            regions.extend(object.replicas().map(|r| r.region));
            effects.extend(members.ungroup(object, object.hash()));
        });
        regions.sort_unstable_by_key(|r| (r.mount, r.offset));
        effects.extend(regions.into_iter().map(Effect::Release));
        effects
    }

    pub(super) fn drop_replica(
        &mut self,
        at: LogPos,
        key: Named<'_>,
        id: u64,
        release: Release,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, release, |object| {
            if object.transfer().is_some() {
                return Err(ApplyError::TransferRuns);
            }
            let complete = |r: super::Replica| r.id == id && r.status == ReplicaStatus::Complete;
            let index = object.replicas().position(complete).ok_or(ApplyError::NoReplica(id))?;
            if object.replicas().len() == 1 {
                return Err(ApplyError::NoReplica(id));
            }
            Ok(Regions::from_buf([object.edit_replicas(|all| all.remove(index)).region]))
        })
    }
}
