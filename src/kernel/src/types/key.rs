//! Where a key lives: one xxh3-128 gives the shard and the map hash.

use std::fmt;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_128;

use super::limits::SHARDS;

/// A place that carries its own applied position and digest: a shard of the
/// object map, or the segment table (DESIGN 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HomeId(u16);

impl HomeId {
    /// The segment table, which also holds clients and tasks.
    pub const SEGMENTS: Self = Self(SHARDS as u16);

    /// The home with this number, or `None` when there is none.
    #[must_use]
    pub fn from_index(index: usize) -> Option<Self> {
        (index <= SHARDS).then_some(Self(index as u16))
    }

    /// The shard of a group's objects: by the group alone, so that all members
    /// are under one lock (SEMANTICS 1.1).
    #[must_use]
    pub fn of_group(group: &[u8]) -> Self {
        KeyHash::of(group).home
    }

    /// Its number: shards first, then the segment table.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for HomeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::SEGMENTS { f.write_str("segment table") } else { write!(f, "shard {}", self.0) }
    }
}

/// Hash of `tenant NUL key`. The shard comes from the high half and the map
/// hash is the low half, so that keys of one shard do not share the bits by
/// which the map spreads them (FEASIBILITY pitfall 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash {
    /// The shard that holds the key.
    pub home: HomeId,
    /// Hash in the shard's map; travels as `prefix_hash` in entries.
    pub map: u64,
    /// The other half.
    high: u64,
}

impl KeyHash {
    /// Of what belongs to the segment table.
    pub const SEGMENTS: Self = Self::keyless(HomeId::SEGMENTS);

    /// Of what belongs to a home as a whole, and to no key.
    #[must_use]
    pub const fn keyless(home: HomeId) -> Self {
        Self { home, map: 0, high: 0 }
    }

    /// Hashes a scoped key (see [`scoped_key`]).
    #[must_use]
    pub fn of(scoped: &[u8]) -> Self {
        Self::of_whole(Self::whole(scoped))
    }

    /// All 128 bits of a scoped key's hash: names the key in digests.
    #[must_use]
    pub fn whole(scoped: &[u8]) -> u128 {
        xxh3_128(scoped)
    }

    /// The same as [`of`](Self::of), from all bits.
    #[must_use]
    fn of_whole(h: u128) -> Self {
        let high = (h >> 64) as u64;
        Self { home: HomeId((high >> (64 - SHARDS.trailing_zeros())) as u16), map: h as u64, high }
    }

    /// The same key in another home: that of its group.
    #[must_use]
    pub fn within(self, home: HomeId) -> Self {
        Self { home, ..self }
    }

    /// All 128 bits: names the key in digests.
    #[must_use]
    pub fn name(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.map)
    }
}

/// `tenant NUL key`: the key as it is stored and hashed (SEMANTICS 1.1).
#[must_use]
#[inline(always)]
pub fn scoped_key(tenant: &[u8], key: &[u8]) -> SmallVec<[u8; 128]> {
    let (at, len) = (tenant.len() + 1, tenant.len() + 1 + key.len());
    let mut scoped = [0; 128];
    if len <= scoped.len() {
        // Room that is there already is filled without asking for it.
        scoped[..at - 1].copy_from_slice(tenant);
        scoped[at..len].copy_from_slice(key);
        return SmallVec::from_buf_and_len(scoped, len);
    }
    let mut scoped = SmallVec::with_capacity(len);
    scoped.extend_from_slice(tenant);
    scoped.push(0);
    scoped.extend_from_slice(key);
    scoped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_a_key_is_frozen() {
        // Golden: primary and standby of different versions must agree on homes.
        let h = KeyHash::of(&scoped_key(b"default", b"hello"));
        assert_eq!(h, KeyHash::of(b"default\0hello"), "tenant, NUL, key");
        assert_eq!(format!("{} {:016x}", h.home, h.map), GOLDEN);
    }

    const GOLDEN: &str = "shard 813 195410cf4a3b8449";

    #[test]
    fn keys_of_one_shard_spread_over_its_map() {
        let mut top = [0u32; 128];
        let mut n = 0u32;
        for i in 0..400_000u32 {
            let h = KeyHash::of(&scoped_key(b"default", format!("key-{i}").as_bytes()));
            if h.home.index() == 7 {
                top[(h.map >> 57) as usize] += 1;
                n += 1;
            }
        }
        assert!(n > 250, "{n} keys in one shard of 1024");
        assert!(top.iter().filter(|c| **c > 0).count() > 100, "the map bits of one shard's keys must vary");
    }
}
