//! Groups (PROTOCOL K5). The objects of a group live in the shard of the group,
//! so that one lock covers them. Both indexes here are derived.

use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{Effect, Object};
use crate::sync::{Order, Ranked, RankedRwLock};
use crate::types::{HomeId, KeyHash, LogPos, Seq};

/// Which keys are in groups, and hence not in their own shard. Costs one atomic
/// load while there are no groups.
#[derive(Debug)]
pub struct Routes {
    count: AtomicUsize,
    /// See [`left`](Self::left).
    left: AtomicU64,
    by_key: RankedRwLock<HashTable<Route>>,
}

#[derive(Debug)]
struct Route {
    hash: u64,
    key: Box<[u8]>,
    home: HomeId,
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            count: AtomicUsize::new(0),
            left: AtomicU64::new(0),
            by_key: Ranked::rw(Order::ROUTES, HashTable::new()),
        }
    }
}

impl Routes {
    /// Where the object with this scoped key is, or would be outside any group.
    #[must_use]
    pub fn place(&self, own: KeyHash, key: &[u8]) -> KeyHash {
        if self.count.load(Ordering::Acquire) == 0 {
            return own;
        }
        let by_key = self.by_key.read();
        by_key.find(own.map, |r| *r.key == *key).map_or(own, |r| own.within(r.home))
    }

    /// Exclusive: no key left its group at this position or later. Whoever does not
    /// find a key may see no other trace of its removal. Read it after the look-up.
    #[must_use]
    pub fn left(&self) -> Seq {
        Seq(self.left.load(Ordering::Acquire))
    }

    /// All that is known of what left is that it did so before this.
    pub(super) fn raise_left(&self, upto: Seq) {
        self.left.fetch_max(upto.0, Ordering::AcqRel);
    }

    /// Number of keys in groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// True when no object is in a group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn perform(&self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Route(key, group) => self.set(key, HomeId::of_group(group)),
                Effect::Unroute(key, upto) => self.unset(key, *upto),
                Effect::Carve(_) | Effect::Release(_) | Effect::Open(..) | Effect::Close(_) => {}
            }
        }
    }

    fn set(&self, key: &[u8], home: HomeId) {
        let hash = KeyHash::of(key).map;
        let mut by_key = self.by_key.write();
        match by_key.entry(hash, |r| *r.key == *key, |r| r.hash) {
            Entry::Occupied(mut known) => known.get_mut().home = home,
            Entry::Vacant(vacant) => drop(vacant.insert(Route { hash, key: key.into(), home })),
        }
        self.count.store(by_key.len(), Ordering::Release);
    }

    fn unset(&self, key: &[u8], upto: Seq) {
        let mut by_key = self.by_key.write();
        self.raise_left(upto);
        if let Ok(known) = by_key.find_entry(KeyHash::of(key).map, |r| *r.key == *key) {
            known.remove();
        }
        self.count.store(by_key.len(), Ordering::Release);
    }

    pub(super) fn clear(&self) {
        self.by_key.write().clear();
        self.count.store(0, Ordering::Release);
        self.left.store(0, Ordering::Release);
    }

    /// All routes in key order, for comparison with a rebuild.
    #[must_use]
    pub fn all(&self) -> BTreeMap<Box<[u8]>, HomeId> {
        self.by_key.read().iter().map(|r| (r.key.clone(), r.home)).collect()
    }
}

/// Which objects of one shard are in which group.
#[derive(Debug, Default)]
pub struct Members {
    by_group: BTreeMap<Arc<[u8]>, Group>,
}

#[derive(Debug, Default)]
struct Group {
    /// Map hashes of the members' keys; two keys may share one.
    hashes: BTreeMap<u64, u32>,
    /// Whether somebody came or went since the lease was granted to all. Local.
    changed: AtomicBool,
}

impl Members {
    pub(super) fn join(&mut self, group: &[u8], hash: u64) -> Arc<[u8]> {
        let name = self.by_group.get_key_value(group).map_or_else(|| group.into(), |(g, _)| Arc::clone(g));
        let members = self.by_group.entry(Arc::clone(&name)).or_default();
        *members.hashes.entry(hash).or_default() += 1;
        members.changed.store(true, Ordering::Relaxed);
        name
    }

    fn leave(&mut self, group: &[u8], hash: u64) {
        let Some(members) = self.by_group.get_mut(group) else { return };
        members.changed.store(true, Ordering::Relaxed);
        if let Some(n) = members.hashes.get_mut(&hash) {
            *n -= 1;
            if *n == 0 {
                members.hashes.remove(&hash);
            }
        }
        if members.hashes.is_empty() {
            self.by_group.remove(group);
        }
    }

    /// Takes an object that the op at `at` removed out of its group, if it was in one.
    pub(super) fn ungroup(&mut self, object: &Object, hash: u64, at: LogPos) -> Option<Effect> {
        self.leave(object.group()?, hash);
        Some(Effect::Unroute(object.key().into(), at.end()))
    }

    /// Map hashes of a group's keys, ascending.
    pub fn hashes(&self, group: &[u8]) -> impl Iterator<Item = u64> + '_ {
        self.by_group.get(group).into_iter().flat_map(|g| g.hashes.keys().copied())
    }

    /// True when no object of the shard is in a group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_group.is_empty()
    }

    /// True once after each change of the group's membership.
    #[must_use]
    pub fn take_changed(&self, group: &[u8]) -> bool {
        self.by_group.get(group).is_some_and(|g| g.changed.swap(false, Ordering::Relaxed))
    }

    /// How many keys of each group have which hash, for comparison with a rebuild.
    #[must_use]
    pub fn all(&self) -> BTreeMap<(Arc<[u8]>, u64), u32> {
        let of = |(name, g): (&Arc<[u8]>, &Group)| {
            let name = Arc::clone(name);
            let counts: Vec<_> = g.hashes.iter().map(|(h, n)| ((Arc::clone(&name), *h), *n)).collect();
            counts
        };
        self.by_group.iter().flat_map(of).collect()
    }
}
