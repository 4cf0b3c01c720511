//! Choosing segments (SEMANTICS 3.1).

use crate::sync::atomic::Ordering;
use std::cmp::Reverse;

use smallvec::SmallVec;

use super::window::{self, OfMounts};
use super::{Master, Placement};
use crate::api::ReplicateConfig;
use crate::store::{Allocators, OffsetAllocator, Pool, SegmentTable};
use crate::types::{ClientId, Instant, MountUid, Region, Seq, limits};

/// What is to be placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    /// How many replicas, and where if possible.
    pub(super) config: &'a ReplicateConfig,
    /// Bytes of the value.
    pub(super) size: u64,
    /// Who will write it.
    pub(super) writer: ClientId,
    /// Spreads keys over the names of one host.
    pub(super) spread: u64,
    pub(super) now: Instant,
}

/// What was placed.
pub(super) struct Placed {
    pub(super) regions: SmallVec<[Region; 1]>,
    /// All of it is of windows, and may be told of once everything before is committed.
    pub(super) safe_from: Option<Seq>,
    /// Mounts whose windows are half used.
    pub(super) low: SmallVec<[MountUid; 1]>,
}

/// Replicas placed so far, each on another segment name.
struct Placing<'a> {
    table: &'a SegmentTable,
    allocators: &'a Allocators,
    reserved: u64,
    wanted: usize,
    random: u64,
    /// In async mode.
    windows: Option<&'a mut OfMounts>,
    placed: Placed,
    used: SmallVec<[&'a str; 4]>,
}

impl Master {
    /// Places up to `replica_num` replicas: preferred names in order, then as
    /// configured. Best effort: empty only when nothing could be placed. Changes
    /// nothing but notes on the mounts that something in them is handed out, and
    /// windows: what is placed is to be logged.
    pub(super) fn place(&self, table: &SegmentTable, allocators: &Allocators, wish: &Wish<'_>) -> Placed {
        let mut windows = self.windows.as_ref().map(|w| w.of_mounts().lock());
        let windows = windows.as_deref_mut();
        let safe_from = windows.is_some().then_some(Seq::FIRST);
        let placed = Placed { regions: SmallVec::new(), safe_from, low: SmallVec::new() };
        let Some(reserved) = OffsetAllocator::reserved_for(wish.size) else { return placed };
        let (wanted, random) = (wish.config.replica_num as usize, self.random());
        let used = SmallVec::new();
        let mut placing = Placing { table, allocators, reserved, wanted, random, windows, placed, used };
        placing.preferred(wish.config.preferred());
        match self.placement {
            // What is to be together begins near its writer.
            Placement::Random if wish.config.prefer_alloc_in_same_node => placing.near(wish),
            Placement::Random => {}
            Placement::FreeRatioFirst => placing.emptiest(),
            Placement::LocalFirst => placing.near(wish),
        }
        placing.walk();
        for region in &placing.placed.regions {
            if let Some(mount) = table.mount(region.mount) {
                mount.hand_out(wish.now);
            }
        }
        placing.placed
    }

    /// Places one replica on a segment name: its mounts in turn from a random
    /// start (SEMANTICS 3.1). Changes nothing but the note that it is handed out.
    pub(super) fn place_on(
        &self,
        table: &SegmentTable,
        allocators: &Allocators,
        name: &str,
        size: u64,
        now: Instant,
    ) -> Option<Region> {
        let reserved = OffsetAllocator::reserved_for(size)?;
        let pool = table.pools().named(name)?;
        let n = pool.mounts().len();
        let turn = (self.random() % n as u64) as usize;
        let region = pool.mounts().cycle().skip(turn).take(n).find_map(|mount| {
            let offset = allocators.get(mount)?.free().find(reserved)?;
            Some(Region { mount, offset, reserved })
        })?;
        table.mount(region.mount)?.hand_out(now);
        Some(region)
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

impl<'a> Placing<'a> {
    fn missing(&self) -> usize {
        self.wanted - self.placed.regions.len()
    }

    /// Tries one name: its mounts from a random one on.
    fn attempt(&mut self, pool: &'a Pool) {
        if self.missing() == 0 || self.used.contains(&&*pool.name) {
            return;
        }
        let n = pool.mounts().len();
        let turn = (self.random % n as u64) as usize;
        let region = pool.mounts().cycle().skip(turn).take(n).find_map(|mount| self.region_in(mount));
        if let Some(region) = region {
            self.placed.regions.push(region);
            self.used.push(&pool.name);
        }
    }

    /// A region of the mount's window, else any.
    fn region_in(&mut self, mount: MountUid) -> Option<Region> {
        let (space, reserved) = (self.allocators.get(mount)?, self.reserved);
        let windows = self.windows.as_deref_mut();
        let early =
            windows.and_then(|w| window::take(w, &mut self.placed.low, (mount, space.size()), reserved));
        let (offset, safe_from) = match early {
            Some((offset, from)) => (offset, self.placed.safe_from.map(|f| f.max(from))),
            None => (space.free().find(reserved)?, None),
        };
        self.placed.safe_from = safe_from;
        Some(Region { mount, offset, reserved })
    }

    fn preferred(&mut self, names: &[String]) {
        for pool in names.iter().filter_map(|name| self.table.pools().named(name)) {
            self.attempt(pool);
        }
    }

    /// Up to `max` names, from a random one on.
    fn some(&self, max: usize) -> impl Iterator<Item = &'a Pool> + use<'a> {
        let pools = self.table.pools().all();
        let start = if pools.is_empty() { 0 } else { (self.random % pools.len() as u64) as usize };
        pools.iter().cycle().skip(start).take(max.min(pools.len()))
    }

    fn walk(&mut self) {
        for pool in self.some(limits::PLACEMENT_TRIES_MAX) {
            if self.missing() == 0 {
                break;
            }
            self.attempt(pool);
        }
    }

    /// Six candidates for each missing replica, the emptiest first.
    fn emptiest(&mut self) {
        let mut candidates: Vec<&'a Pool> = self.some(self.missing().saturating_mul(6)).collect();
        candidates.sort_by_cached_key(|pool| Reverse(self.free_ratio(pool)));
        for pool in candidates {
            self.attempt(pool);
        }
    }

    /// Free share of a name's bytes, in 2^-32.
    fn free_ratio(&self, pool: &Pool) -> u64 {
        let of_pool = pool.mounts().filter_map(|uid| self.allocators.get(uid));
        let (free, size) = of_pool.fold((0u128, 0u128), |(free, size), a| {
            (free + u128::from(a.free_bytes()), size + u128::from(a.size()))
        });
        (free << 32).checked_div(size).unwrap_or(0) as u64
    }

    /// A single replica near its writer: on its host, else on the next.
    fn near(&mut self, wish: &Wish<'_>) {
        if self.wanted != 1 {
            return;
        }
        let table = self.table;
        let known = || table.client(wish.writer).map_or("", |c| c.host.as_str());
        let host = if wish.config.host_id.is_empty() { known() } else { &wish.config.host_id };
        for pool in table.pools().from_host(host, wish.spread) {
            if self.missing() == 0 {
                break;
            }
            self.attempt(pool);
        }
    }
}
