//! Locking the homes that one key touches. A key's own shard is also its stripe:
//! whoever starts a write of the key holds it, so two groups cannot both claim
//! the key, and a route read under the lock of the object's home stays true.

use smallvec::SmallVec;

use super::{MetadataStore, Object, Shard};
use crate::sync::{ReadGuard, WriteGuard};
use crate::types::{HomeId, KeyHash};

/// Write locks on the homes that one key touches.
#[derive(Debug)]
pub struct Homes<'s> {
    held: SmallVec<[(HomeId, WriteGuard<'s, Shard>); 1]>,
    /// Where the key itself belongs: its abandoned writes are there.
    pub own: KeyHash,
    /// Where its object is, or would be outside any group.
    pub at: KeyHash,
    /// Where a new object goes.
    pub target: KeyHash,
    /// A new object goes where the key's object is.
    follows: bool,
}

impl Homes<'_> {
    /// One of the locked shards.
    pub fn shard(&mut self, place: KeyHash) -> &mut Shard {
        let held = self.held.iter().position(|(home, _)| *home == place.home);
        invariant!(held.is_some(), "{} is not one of the locked homes", place.home);
        &mut self.held[held.unwrap_or(0)].1
    }

    /// The shard where the key's object is.
    pub fn here(&mut self) -> &mut Shard {
        self.shard(self.at)
    }

    /// The key's object.
    #[must_use]
    pub fn object(&mut self, key: &[u8]) -> Option<&Object> {
        let at = self.at;
        self.shard(at).get(at, key)
    }
}

impl Homes<'_> {
    /// Notes that the key's object is gone: it would now be outside any group.
    pub fn vacate(&mut self) {
        self.at = self.own;
        if self.follows {
            self.target = self.own;
        }
    }
}

impl MetadataStore {
    /// Locks a key's object for reading; also says where it is.
    #[must_use]
    pub fn read_key(&self, own: KeyHash, key: &[u8]) -> (KeyHash, ReadGuard<'_, Shard>) {
        loop {
            let at = self.routes().place(own, key);
            let shard = self.shard(at.home).read();
            if self.routes().place(own, key) == at {
                return (at, shard);
            }
        }
    }

    /// Locks a key for changing what is there.
    #[must_use]
    pub fn lock_key(&self, own: KeyHash, key: &[u8]) -> Homes<'_> {
        self.lock_start(own, key, None)
    }

    /// Locks a key for a new object in this group; empty is none, `None` is where
    /// the key's object is already.
    #[must_use]
    pub fn lock_start(&self, own: KeyHash, key: &[u8], group: Option<&[u8]>) -> Homes<'_> {
        loop {
            let at = self.routes().place(own, key);
            let target = match group {
                None => at,
                Some([]) => own,
                Some(group) => own.within(HomeId::of_group(group)),
            };
            // Nearly all keys are in no group: one lock.
            let held = if own.home == at.home && own.home == target.home {
                smallvec::smallvec![(own.home, self.shard(own.home).write())]
            } else {
                let mut homes: SmallVec<[HomeId; 3]> = [own.home, at.home, target.home].into();
                homes.sort_unstable();
                homes.dedup();
                homes.into_iter().map(|home| (home, self.shard(home).write())).collect()
            };
            if self.routes().place(own, key) == at {
                return Homes { held, own, at, target, follows: group.is_none() };
            }
        }
    }
}
