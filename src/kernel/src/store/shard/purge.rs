//! What a shard still holds of dead mounts, and how it lets go of it (PROTOCOL K3).

use std::collections::BTreeSet;

use super::{Object, Replica, Shard};
use crate::store::{Effects, SegmentTable};
use crate::types::{MountUid, Region};

impl Shard {
    /// Dead mounts of which this shard still holds something. Looks at every
    /// object and limbo entry.
    #[must_use]
    pub fn dead_mounts(&self, table: &SegmentTable) -> BTreeSet<MountUid> {
        let replicas = self.objects.iter().flat_map(|o| o.replicas.iter().map(|r| r.region.mount));
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
        let (digester, digest) = (self.digester, &mut self.mark.digest);
        let emptied = self.objects.extract_if(|object| {
            if !object.replicas.iter().any(|r| on(&r.region)) {
                return false;
            }
            *digest = digest.wrapping_sub(digester.object(object));
            object.replicas.retain(|r: &mut Replica| !on(&r.region));
            let left = !object.replicas.is_empty();
            if left {
                *digest = digest.wrapping_add(digester.object(object));
            }
            !left
        });
        let gone: Vec<Object> = emptied.collect();
        self.limbo.retain(|(since, index), limbo| {
            let dropped = on(&limbo.region);
            if dropped {
                *digest = digest.wrapping_sub(digester.limbo(*since, *index, limbo));
            }
            !dropped
        });
        gone.iter().filter_map(|object| self.ungroup(object)).collect()
    }
}
