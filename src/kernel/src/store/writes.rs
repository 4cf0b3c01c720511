//! Ops on objects beyond put, end and remove.

use smallvec::SmallVec;

use super::shard::{Limbo, Shard};
use super::{ApplyError, Effect, Effects, Object};
use crate::oplog::Release;
use crate::types::{ClientId, KeyHash, LogPos, Region, ReplicaStatus, Seq};

impl Shard {
    pub(super) fn upsert_in_place(
        &mut self,
        at: LogPos,
        key: &[u8],
        writer: ClientId,
        pending_pin: Option<u64>,
    ) -> Result<Effects, ApplyError> {
        let hash = KeyHash::of(key).map;
        let object = self.objects.find_mut(hash, |o| *o.key == *key).ok_or(ApplyError::NoObject)?;
        if !object.all_complete() {
            return Err(ApplyError::ObjectInFlight);
        }
        let before = self.digester.object(object);
        object.overwrite(at, writer, pending_pin);
        let after = self.digester.object(object);
        self.mark.digest = self.mark.digest.wrapping_sub(before).wrapping_add(after);
        Ok(Effects::new())
    }

    /// Lets every complete object go. The regions are released in their own
    /// order, not in that of the map.
    pub(super) fn clear(&mut self) -> Effects {
        let gone: Vec<Object> = self.objects.extract_if(|o| o.all_complete()).collect();
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
        let hash = KeyHash::of(key).map;
        let object = self.objects.find_mut(hash, |o| *o.key == *key).ok_or(ApplyError::NoObject)?;
        let complete = |r: &super::Replica| r.id == id && r.status == ReplicaStatus::Complete;
        let index = object.replicas.iter().position(complete).ok_or(ApplyError::NoReplica(id))?;
        if object.replicas.len() == 1 {
            return Err(ApplyError::NoReplica(id));
        }
        let before = self.digester.object(object);
        let region = object.replicas.remove(index).region;
        let after = self.digester.object(object);
        self.mark.digest = self.mark.digest.wrapping_sub(before).wrapping_add(after);
        Ok(self.let_go_of(Seq(at.seq), SmallVec::from_buf([region]), release))
    }

    /// Frees an op's regions, or puts them into limbo.
    pub(super) fn let_go_of(
        &mut self,
        since: Seq,
        regions: SmallVec<[Region; 1]>,
        release: Release,
    ) -> Effects {
        let mut effects = Effects::new();
        for (index, region) in regions.into_iter().enumerate() {
            let Release::Limbo(kind) = release else {
                effects.push(Effect::Release(region));
                continue;
            };
            let limbo = Limbo { region, kind, due: None };
            let index = index as u8;
            self.mark.digest = self.mark.digest.wrapping_add(self.digester.limbo(since, index, &limbo));
            self.limbo.insert((since, index), limbo);
        }
        effects
    }

    /// Takes a removed object out of its group, if it was in one.
    pub(super) fn ungroup(&mut self, object: &Object) -> Option<Effect> {
        let group = object.group()?;
        self.members.leave(group, object.hash);
        Some(Effect::Unroute(object.key.clone()))
    }
}
