//! Choosing segments: strategy `random` (SEMANTICS 3.1).

use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::Master;
use crate::api::ReplicateConfig;
use crate::store::{Allocators, Mount, OffsetAllocator, SegmentTable};
use crate::types::Region;

impl Master {
    /// Places up to `replica_num` replicas, each on another segment name:
    /// preferred names in order, then a walk from a random start. Best effort:
    /// empty only when nothing could be placed. Changes nothing.
    pub(super) fn place(
        &self,
        table: &SegmentTable,
        allocators: &Allocators,
        config: &ReplicateConfig,
        size: u64,
    ) -> SmallVec<[Region; 1]> {
        let mut regions = SmallVec::new();
        let Some(reserved) = OffsetAllocator::reserved_for(size) else { return regions };
        let mounts: SmallVec<[&Mount; 16]> = table.mounts().collect();
        if mounts.is_empty() {
            return regions;
        }
        let start = (self.random() % mounts.len() as u64) as usize;
        let walk = || (0..mounts.len()).map(|i| mounts[(start + i) % mounts.len()]);
        let preferred =
            config.preferred().iter().flat_map(|name| walk().filter(move |m| m.segment.name == *name));
        let mut used: SmallVec<[&str; 4]> = SmallVec::new();
        for mount in preferred.chain(walk()) {
            if regions.len() == config.replica_num as usize {
                break;
            }
            if used.contains(&mount.segment.name.as_str()) {
                continue;
            }
            if let Some(offset) = allocators.get(mount.uid).and_then(|a| a.find(reserved)) {
                regions.push(Region { mount: mount.uid, offset, reserved });
                used.push(&mount.segment.name);
            }
        }
        regions
    }

    /// Places one replica on a segment name: its mounts in turn from a random
    /// start (SEMANTICS 3.1). Changes nothing.
    pub(super) fn place_on(
        &self,
        table: &SegmentTable,
        allocators: &Allocators,
        name: &str,
        size: u64,
    ) -> Option<Region> {
        let reserved = OffsetAllocator::reserved_for(size)?;
        let named: SmallVec<[&Mount; 4]> = table.mounts().filter(|m| m.segment.name == name).collect();
        let start = (self.random() % named.len().max(1) as u64) as usize;
        (0..named.len()).map(|i| named[(start + i) % named.len()].uid).find_map(|mount| {
            let offset = allocators.get(mount)?.find(reserved)?;
            Some(Region { mount, offset, reserved })
        })
    }

    /// SplitMix64: enough to spread, and reproducible from the seed.
    pub(super) fn random(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.rng.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
