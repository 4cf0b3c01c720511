//! Looking at the whole store: counts from scratch, and whether what is
//! derived equals what it derives from. One home at a time, so writes go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::allocator::OwnedBytes;
use super::owned::Owned;
use super::{MetadataStore, OffsetAllocator, RegionError};
use crate::types::{HomeId, MountUid, Region, Seq, limits};

/// Counts of the whole store, taken home by home. Homes may move meanwhile:
/// compare two stores only when both report the same `applied`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recount {
    /// Objects.
    pub objects: u64,
    /// Regions in limbo.
    pub limbo: u64,
    /// Sum of the homes' incremental digests.
    pub digest: u128,
    /// The same computed from scratch.
    pub recount: u128,
    /// Homes whose two digests differ.
    pub damaged: Vec<HomeId>,
    /// Highest exclusive mark among the homes.
    pub applied: Seq,
}

/// How the derived indexes differ from a rebuild.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Two owners of the same bytes, or an owner outside its segment.
    #[error("region {offset}+{reserved} of mount {mount}: {source}")]
    Overlap {
        /// The mount.
        mount: crate::types::LogPos,
        /// Bytes from its base.
        offset: u64,
        /// Length.
        reserved: u64,
        /// Why it does not fit.
        source: RegionError,
    },
    /// The routes of grouped keys differ from those of a rebuild.
    #[error("group routes differ from a rebuild")]
    Routes,
    /// The list of a shard's group members differs from a rebuild.
    #[error("group members of {0} differ from a rebuild")]
    Members(HomeId),
    /// The index of unfinished objects differs from a rebuild.
    #[error("{0}: index of unfinished objects differs from a rebuild")]
    Unfinished(HomeId),
    /// The indexes of tasks differ from a rebuild.
    #[error("indexes of tasks differ from a rebuild")]
    Tasks,
    /// Free extents differ from those of a rebuild.
    #[error("allocator of mount {0} differs from a rebuild")]
    Allocator(crate::types::LogPos),
    /// There are allocators of mounts that do not live.
    #[error("{0} allocators belong to no live mount")]
    DeadAllocators(usize),
    /// The segment table's own indexes differ from those of a rebuild.
    #[error("indexes of the segment table differ from a rebuild")]
    Segments,
}

impl MetadataStore {
    /// Number of objects, home by home.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.shards.iter().map(|s| s.read().len() as u64).sum()
    }

    /// Number of regions in limbo, home by home.
    #[must_use]
    pub fn limbo(&self) -> u64 {
        self.shards.iter().map(|s| s.read().limbo().len() as u64).sum()
    }

    /// Sum of the homes' incremental digests, and the highest mark among them.
    #[must_use]
    pub fn digest(&self) -> (u128, Seq) {
        let all = (0..limits::HOMES).filter_map(HomeId::from_index).map(|h| self.mark(h));
        all.fold((0, Seq::FIRST), |(sum, applied), m| (sum.wrapping_add(m.digest), applied.max(m.applied())))
    }

    /// Counts everything from scratch.
    #[must_use]
    pub fn recount(&self) -> Recount {
        let mut total = Recount { applied: Seq::FIRST, ..Recount::default() };
        for home in (0..limits::HOMES).filter_map(HomeId::from_index) {
            let (mark, recount) = if home == HomeId::SEGMENTS {
                let table = self.segments.read();
                (table.mark(), table.recount())
            } else {
                let shard = self.shard(home).read();
                total.objects += shard.len() as u64;
                total.limbo += shard.limbo().len() as u64;
                (shard.mark(), shard.recount())
            };
            if mark.digest != recount {
                total.damaged.push(home);
            }
            total.digest = total.digest.wrapping_add(mark.digest);
            total.recount = total.recount.wrapping_add(recount);
            total.applied = total.applied.max(mark.applied());
        }
        total
    }

    /// Compares the derived indexes with a rebuild from the homes. Meaningful
    /// while nothing is applied.
    ///
    /// # Errors
    /// The first difference found.
    pub fn audit(&self) -> Result<(), AuditError> {
        self.audit_groups()?;
        let mut owned = {
            let table = self.segments.read();
            if !table.derived_agrees() {
                return Err(AuditError::Segments);
            }
            if !table.tasks().is_indexed() {
                return Err(AuditError::Tasks);
            }
            Owned::none(&table)
        };
        for (index, shard) in self.shards.iter().enumerate() {
            let shard = shard.read();
            if let Some(home) = HomeId::from_index(index).filter(|_| !shard.is_indexed()) {
                return Err(AuditError::Unfinished(home));
            }
            shard.regions().for_each(|region| owned.add(region));
        }
        let rebuilt = owned.into_allocators()?;
        let allocators = self.allocators.lock();
        let dead = allocators.iter().count().saturating_sub(rebuilt.len());
        if dead > 0 {
            return Err(AuditError::DeadAllocators(dead));
        }
        for (uid, fresh) in rebuilt {
            let derived = allocators.get(uid).map(OffsetAllocator::free_extents);
            if derived.as_deref() != Some(&fresh.free_extents()) {
                return Err(AuditError::Allocator(uid.0));
            }
        }
        Ok(())
    }

    /// The same for one home, in time proportional to its size, while entries are
    /// applied elsewhere: its own indexes, and that no byte that it owns is free.
    ///
    /// # Errors
    /// The first difference found.
    pub fn audit_home(&self, home: HomeId) -> Result<(), AuditError> {
        let table = self.segments.read();
        if home == HomeId::SEGMENTS {
            return if table.derived_agrees() { Ok(()) } else { Err(AuditError::Segments) };
        }
        let shard = self.shard(home).read();
        if !shard.is_indexed() {
            return Err(AuditError::Unfinished(home));
        }
        let allocators = self.allocators.lock();
        for Region { mount, offset, reserved } in shard.regions() {
            // Bytes of a dead mount are nobody's.
            let Some(allocator) = allocators.get(mount) else { continue };
            if !allocator.is_owned(offset, reserved) {
                return Err(overlap(Region { mount, offset, reserved }, true));
            }
        }
        Ok(())
    }

    /// Whether what these homes own may be served: each region lies in its segment, is owned, and has no other owner in
    /// any home. A pass over all objects. What goes or comes meanwhile may look like a fault, never the other way round.
    ///
    /// # Errors
    /// The first fault found.
    pub fn audit_owners(&self, homes: &[HomeId]) -> Result<(), AuditError> {
        homes.iter().try_for_each(|home| self.audit_home(*home))?;
        let mut claims: BTreeMap<MountUid, Vec<(u64, u64)>> = BTreeMap::new();
        for home in homes.iter().filter(|home| **home != HomeId::SEGMENTS) {
            let shard = self.shard(*home).read();
            let allocators = self.allocators.lock();
            let mut mounts: BTreeMap<MountUid, Option<OwnedBytes>> = BTreeMap::new();
            for region in shard.regions() {
                let Region { mount, offset, reserved } = region;
                let owned = mounts.entry(mount).or_insert_with(|| allocators.get(mount).map(OwnedBytes::of));
                // Bytes of a dead mount are nobody's.
                let Some(owned) = owned else { continue };
                if !owned.has(offset, reserved) {
                    return Err(overlap(region, true));
                }
                claims.entry(mount).or_default().push((offset, offset + reserved));
            }
        }
        for (mount, claims) in &mut claims {
            claims.sort_unstable();
            if let Some(twice) = claims.windows(2).find(|pair| pair[0].1 > pair[1].0) {
                let (offset, end) = twice[1];
                return Err(overlap(Region { mount: *mount, offset, reserved: end - offset }, false));
            }
        }
        let is_claimed = |region: &Region| {
            let Some(claims) = claims.get(&region.mount) else { return false };
            let behind = claims.partition_point(|(_, end)| *end <= region.offset);
            claims.get(behind).is_some_and(|(start, _)| *start < region.offset + region.reserved)
        };
        for home in (0..limits::SHARDS).filter_map(HomeId::from_index).filter(|home| !homes.contains(home)) {
            if let Some(region) = self.shard(home).read().regions().find(is_claimed) {
                return Err(overlap(region, false));
            }
        }
        Ok(())
    }

    fn audit_groups(&self) -> Result<(), AuditError> {
        let mut routes = BTreeMap::new();
        for home in (0..limits::SHARDS).filter_map(HomeId::from_index) {
            let shard = self.shard(home).read();
            let mut members = BTreeMap::new();
            for (object, group) in shard.objects().filter_map(|o| Some((o, o.group()?))) {
                routes.insert(Box::from(object.key()), home);
                *members.entry((Arc::clone(group), object.hash())).or_default() += 1;
            }
            if shard.members().all() != members {
                return Err(AuditError::Members(home));
            }
        }
        if self.routes().all() == routes { Ok(()) } else { Err(AuditError::Routes) }
    }
}

fn overlap(Region { mount, offset, reserved }: Region, is_free: bool) -> AuditError {
    let source = if is_free {
        RegionError::NotOwned { offset, len: reserved }
    } else {
        RegionError::NotFree { offset, len: reserved }
    };
    AuditError::Overlap { mount: mount.0, offset, reserved, source }
}
