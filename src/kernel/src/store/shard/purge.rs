//! Ops that name many objects of a shard by the hashes of their keys: what is on a
//! dead mount goes (PROTOCOL K3), or all that is finished.

use super::Shard;
use crate::store::{Effect, Effects, Object};
use crate::types::{MountUid, Seq};

impl Shard {
    /// Drops replicas of one mount. Frees nothing: a dead mount has no allocator.
    /// What waits in limbo there goes on to wait, and is nobody's then, either.
    pub(super) fn purge(&mut self, mount: MountUid, named: &[u64]) -> Effects {
        let (digester, digest, unfinished) = (self.digester, &mut self.mark.digest, &mut self.unfinished);
        let mut effects = Effects::new();
        let drop = |object: &mut Object| {
            if !object.replicas().any(|r| r.region.mount == mount) {
                return false;
            }
            *digest = digest.wrapping_sub(digester.object(object));
            let before = object.unfinished();
            object.edit_replicas(|all| all.retain(|r| r.region.mount != mount));
            let left = object.replica_count() > 0;
            if left {
                *digest = digest.wrapping_add(digester.object(object));
            }
            let after = object.unfinished().filter(|_| left);
            if let Some(at) = before.filter(|_| before != after) {
                unfinished.remove(Seq(at.seq));
            }
            if let Some(at) = after.filter(|_| before != after) {
                unfinished.insert(Seq(at.seq), object.hash());
            }
            !left
        };
        let members = &mut self.members;
        self.objects.take_out(named, drop, |object| effects.extend(members.ungroup(object, object.hash())));
        effects
    }

    /// Lets those of the objects go that are finished.
    pub(super) fn clear(&mut self, named: &[u64]) -> Effects {
        let mut effects = Effects::new();
        let (digester, digest, members) = (self.digester, &mut self.mark.digest, &mut self.members);
        let finished = |object: &mut Object| object.unfinished().is_none();
        self.objects.take_out(named, finished, |object| {
            *digest = digest.wrapping_sub(digester.object(object));
            effects.extend(object.replicas().map(|r| Effect::Release(r.region)));
            effects.extend(members.ungroup(object, object.hash()));
        });
        effects
    }
}
