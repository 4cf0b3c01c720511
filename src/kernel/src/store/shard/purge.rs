//! What a shard still holds of dead mounts, and how it lets go of it (PROTOCOL K3).

use std::collections::BTreeSet;

use super::Shard;
use crate::store::{Effects, Object, SegmentTable};
use crate::types::{MountUid, Region, Seq};

impl Shard {
    /// Dead mounts of which this shard still holds something. Looks at every
    /// object and limbo entry.
    #[must_use]
    pub fn dead_mounts(&self, table: &SegmentTable) -> BTreeSet<MountUid> {
        let replicas = self.objects.iter().flat_map(|o| o.replicas().map(|r| r.region.mount));
        let limbo = self.limbo.values().map(|l| l.region.mount);
        // Neighbours are often on one mount: the last one found alive is not looked up again.
        let mut alive = None;
        let mut dead = BTreeSet::new();
        for uid in replicas.chain(limbo) {
            if Some(uid) == alive {
                continue;
            }
            if table.is_live(uid) {
                alive = Some(uid);
            } else {
                dead.insert(uid);
            }
        }
        dead
    }

    /// Drops everything of one mount. Frees nothing: a dead mount has no allocator.
    pub(super) fn purge(&mut self, mount: MountUid) -> Effects {
        let on = |region: &Region| region.mount == mount;
        let (digester, digest, unfinished) = (self.digester, &mut self.mark.digest, &mut self.unfinished);
        let mut effects = Effects::new();
        let drop = |object: &mut Object| {
            if !object.replicas().any(|r| on(&r.region)) {
                return false;
            }
            *digest = digest.wrapping_sub(digester.object(object));
            let before = object.unfinished();
            object.edit_replicas(|all| all.retain(|r| !on(&r.region)));
            let left = object.replicas().len() > 0;
            if left {
                *digest = digest.wrapping_add(digester.object(object));
            }
            let after = object.unfinished().filter(|_| left);
            if let Some(at) = before.filter(|_| before != after) {
                unfinished.remove(&Seq(at.seq));
            }
            if let Some(at) = after.filter(|_| before != after) {
                unfinished.insert(Seq(at.seq), object.hash());
            }
            !left
        };
        let members = &mut self.members;
        self.objects.sweep(drop, |object| effects.extend(members.ungroup(object, object.hash())));
        self.limbo.retain(|(since, index), limbo| {
            let dropped = on(&limbo.region);
            if dropped {
                *digest = digest.wrapping_sub(digester.limbo(*since, *index, limbo));
            }
            !dropped
        });
        effects
    }
}
