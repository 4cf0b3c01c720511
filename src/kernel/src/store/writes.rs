//! Ops on objects beyond put, end and remove.

use super::shard::{Regions, Shard};
use super::{ApplyError, Effect, Effects, Object};
use crate::oplog::Release;
use crate::types::{ClientId, LogPos, Region, ReplicaStatus};

impl Shard {
    pub(super) fn upsert_in_place(
        &mut self,
        at: LogPos,
        key: &[u8],
        writer: ClientId,
        pending_pin: Option<u64>,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, Release::Now, |object| {
            if object.transfer.is_some() {
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
        let gone: Vec<Object> = self.objects.extract_if(|o| o.unfinished().is_none()).collect();
        let mut regions: Vec<Region> = Vec::with_capacity(gone.len());
        let mut effects = Effects::new();
        for object in gone {
            self.mark.digest = self.mark.digest.wrapping_sub(self.digester.object(&object));
            regions.extend(object.replicas.iter().map(|r| r.region));
            effects.extend(self.ungroup(&object));
        }
        regions.sort_unstable_by_key(|r| (r.mount, r.offset));
        effects.extend(regions.into_iter().map(Effect::Release));
        effects
    }

    pub(super) fn drop_replica(
        &mut self,
        at: LogPos,
        key: &[u8],
        id: u64,
        release: Release,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, release, |object| {
            if object.transfer.is_some() {
                return Err(ApplyError::TransferRuns);
            }
            let complete = |r: &super::Replica| r.id == id && r.status == ReplicaStatus::Complete;
            let index = object.replicas.iter().position(complete).ok_or(ApplyError::NoReplica(id))?;
            if object.replicas.len() == 1 {
                return Err(ApplyError::NoReplica(id));
            }
            Ok(Regions::from_buf([object.replicas.remove(index).region]))
        })
    }

    /// Takes a removed object out of its group, if it was in one.
    pub(super) fn ungroup(&mut self, object: &Object) -> Option<Effect> {
        let group = object.group()?;
        self.members.leave(group, object.hash);
        Some(Effect::Unroute(object.key.clone()))
    }
}
