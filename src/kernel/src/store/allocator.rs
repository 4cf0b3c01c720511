//! Which bytes of each mount are free. Derived: a function of the regions that
//! objects and limbo own, so no digest covers it.
//!
//! Two-level bins over *free* extents only; a live allocation costs nothing
//! here, because the object knows its region.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use super::Effect;
use crate::types::{MountUid, Region};

/// Bits of a bin's mantissa: eight bins between two powers of two.
const MANTISSA_BITS: u32 = 3;
const BINS: usize = 64 << MANTISSA_BITS;

/// A region that does not fit the allocator's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// The mount is not there.
    #[error("mount {0} is not mounted")]
    NoMount(crate::types::LogPos),
    /// Part of the range is owned, or outside the segment.
    #[error("bytes {offset}+{len} are not free")]
    NotFree {
        /// Bytes from the segment's base.
        offset: u64,
        /// Length.
        len: u64,
    },
    /// Part of the range is free already, or outside the segment.
    #[error("bytes {offset}+{len} are not owned")]
    NotOwned {
        /// Bytes from the segment's base.
        offset: u64,
        /// Length.
        len: u64,
    },
}

/// Extent by one of its ends. Only the sorted view and lookups by key leave it.
type Offsets = HashMap<u64, u32, BuildHasherDefault<OffsetHasher>>;

/// Multiplicative hash of an offset: the same on every run.
#[derive(Debug, Default)]
struct OffsetHasher(u64);

impl Hasher for OffsetHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u64(u64::from(*b));
        }
    }

    fn write_u64(&mut self, n: u64) {
        let mixed = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// Free space of one mount.
#[derive(Debug)]
pub struct OffsetAllocator {
    size: u64,
    free: u64,
    extents: Vec<Extent>,
    /// Slots of `extents` not in use.
    spare: Vec<u32>,
    bins: Vec<Vec<u32>>,
    /// One bit for each bin that is not empty.
    occupied: [u64; BINS / 64],
    by_start: Offsets,
    by_end: Offsets,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    start: u64,
    len: u64,
    /// Index in its bin.
    at: u32,
}

/// Bin of the largest bin size that is not above `len`.
fn bin_down(len: u64) -> usize {
    let top = 63 - len.leading_zeros();
    if top <= MANTISSA_BITS {
        return len as usize;
    }
    let shift = top - MANTISSA_BITS;
    let mantissa = (len >> shift) & ((1 << MANTISSA_BITS) - 1);
    (((shift + 1) as usize) << MANTISSA_BITS) + mantissa as usize
}

fn bin_size(bin: usize) -> u64 {
    if bin < 2 << MANTISSA_BITS {
        return bin as u64;
    }
    let shift = (bin >> MANTISSA_BITS) - 1;
    ((1 << MANTISSA_BITS) + (bin as u64 & ((1 << MANTISSA_BITS) - 1))) << shift
}

impl OffsetAllocator {
    /// All of `size` bytes free.
    #[must_use]
    pub fn new(size: u64) -> Self {
        let mut a = Self {
            size,
            free: 0,
            extents: Vec::new(),
            spare: Vec::new(),
            bins: vec![Vec::new(); BINS],
            occupied: [0; BINS / 64],
            by_start: Offsets::default(),
            by_end: Offsets::default(),
        };
        if size > 0 {
            a.insert(0, size);
        }
        a
    }

    /// All of `size` bytes free but for these, each an offset and a length, in
    /// ascending order: one pass, where carving them one by one would search.
    ///
    /// # Errors
    /// [`RegionError::NotFree`] for one that overlaps another or has no such bytes.
    pub fn with_owned(size: u64, owned: &[(u64, u64)]) -> Result<Self, RegionError> {
        let mut a = Self { size, ..Self::new(0) };
        let mut free_from = 0;
        for &(offset, len) in owned {
            let end = offset.checked_add(len).filter(|end| len > 0 && *end <= size && offset >= free_from);
            let end = end.ok_or(RegionError::NotFree { offset, len })?;
            if free_from < offset {
                a.insert(free_from, offset - free_from);
            }
            free_from = end;
        }
        if free_from < size {
            a.insert(free_from, size - free_from);
        }
        Ok(a)
    }

    /// What is reserved for a value of `size` bytes: rounded up to a bin size,
    /// so that a freed region fits the next of its kind exactly. `None` for 0
    /// and for sizes that no segment can hold.
    #[must_use]
    #[inline]
    pub fn reserved_for(size: u64) -> Option<u64> {
        if size == 0 || size > 1 << 62 {
            return None;
        }
        let bin = bin_down(size);
        let down = bin_size(bin);
        Some(if down == size { size } else { bin_size(bin + 1) })
    }

    /// Where `reserved` bytes would be placed, or `None` when no free extent
    /// holds them. Changes nothing: [`carve`](Self::carve) does.
    #[must_use]
    pub fn find(&self, reserved: u64) -> Option<u64> {
        if reserved == 0 || reserved > self.free {
            return None;
        }
        let first = bin_down(reserved);
        if bin_size(first) == reserved {
            return self.first_occupied(first).map(|bin| self.newest(bin).start);
        }
        // Not a bin size: only larger bins are certain to hold it.
        self.first_occupied(first + 1).map(|bin| self.newest(bin).start)
    }

    fn newest(&self, bin: usize) -> &Extent {
        &self.extents[self.bins[bin][self.bins[bin].len() - 1] as usize]
    }

    fn first_occupied(&self, from: usize) -> Option<usize> {
        let mut word = from / 64;
        let mut bits = *self.occupied.get(word)? & (u64::MAX << (from % 64));
        loop {
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros() as usize);
            }
            word += 1;
            bits = *self.occupied.get(word)?;
        }
    }

    /// Takes exactly these bytes, which must be free.
    ///
    /// # Errors
    /// [`RegionError::NotFree`]; nothing is changed then.
    pub fn carve(&mut self, offset: u64, len: u64) -> Result<(), RegionError> {
        let not_free = RegionError::NotFree { offset, len };
        let end = offset.checked_add(len).filter(|_| len > 0).ok_or(not_free)?;
        let id = self.holding(offset, end).ok_or(not_free)?;
        let Extent { start, len: whole, .. } = self.extents[id as usize];
        if start == offset && len < whole {
            self.shorten(id, len);
            return Ok(());
        }
        self.remove(id);
        if start < offset {
            self.insert(start, offset - start);
        }
        if end < start + whole {
            self.insert(end, start + whole - end);
        }
        Ok(())
    }

    /// The free extent that holds `offset..end`. In log order the region nearly
    /// always starts an extent; the scan is for anything else.
    fn holding(&self, offset: u64, end: u64) -> Option<u32> {
        let holds = |e: &Extent| e.start <= offset && end <= e.start + e.len;
        if let Some(id) = self.by_start.get(&offset) {
            return holds(&self.extents[*id as usize]).then_some(*id);
        }
        self.by_start.values().copied().find(|id| holds(&self.extents[*id as usize]))
    }

    /// Gives exactly these bytes back, which must be owned, merging neighbours.
    ///
    /// # Errors
    /// [`RegionError::NotOwned`]; nothing is changed then.
    pub fn release(&mut self, offset: u64, len: u64) -> Result<(), RegionError> {
        let not_owned = RegionError::NotOwned { offset, len };
        let end = offset.checked_add(len).filter(|e| len > 0 && *e <= self.size).ok_or(not_owned)?;
        if self.by_start.contains_key(&offset) || self.by_end.contains_key(&end) {
            return Err(not_owned);
        }
        let (mut start, mut stop) = (offset, end);
        if let Some(id) = self.by_end.get(&offset).copied() {
            start = self.extents[id as usize].start;
            self.remove(id);
        }
        if let Some(id) = self.by_start.get(&end).copied() {
            stop = end + self.extents[id as usize].len;
            self.remove(id);
        }
        self.insert(start, stop - start);
        Ok(())
    }

    /// False when these bytes border on the inside of a free extent, or are outside
    /// of the segment: somebody else may be given them. O(1); [`OwnedBytes`] misses no free byte.
    #[must_use]
    pub fn is_owned(&self, offset: u64, len: u64) -> bool {
        let end = offset.checked_add(len).filter(|end| *end <= self.size);
        end.is_some_and(|end| !self.by_start.contains_key(&offset) && !self.by_end.contains_key(&end))
    }

    fn insert(&mut self, start: u64, len: u64) {
        let extent = Extent { start, len, at: 0 };
        let id = if let Some(id) = self.spare.pop() {
            self.extents[id as usize] = extent;
            id
        } else {
            self.extents.push(extent);
            self.extents.len() as u32 - 1
        };
        self.enter_bin(id, bin_down(len));
        self.by_start.insert(start, id);
        self.by_end.insert(start + len, id);
        self.free += len;
    }

    /// Takes the first `len` bytes of an extent that has more: what nearly every write does.
    fn shorten(&mut self, id: u32, len: u64) {
        let Extent { start, len: whole, .. } = self.extents[id as usize];
        let (old, new) = (bin_down(whole), bin_down(whole - len));
        // Also in the same bin it is the newest again, as one that is put in anew.
        self.leave_bin(id, old);
        self.extents[id as usize] = Extent { start: start + len, len: whole - len, at: 0 };
        self.enter_bin(id, new);
        self.by_start.remove(&start);
        self.by_start.insert(start + len, id);
        self.free -= len;
    }

    fn enter_bin(&mut self, id: u32, bin: usize) {
        self.extents[id as usize].at = self.bins[bin].len() as u32;
        self.bins[bin].push(id);
        self.occupied[bin / 64] |= 1 << (bin % 64);
    }

    fn leave_bin(&mut self, id: u32, bin: usize) {
        let at = self.extents[id as usize].at;
        self.bins[bin].swap_remove(at as usize);
        if let Some(moved) = self.bins[bin].get(at as usize) {
            self.extents[*moved as usize].at = at;
        }
        if self.bins[bin].is_empty() {
            self.occupied[bin / 64] &= !(1 << (bin % 64));
        }
    }

    fn remove(&mut self, id: u32) {
        let Extent { start, len, .. } = self.extents[id as usize];
        self.leave_bin(id, bin_down(len));
        self.by_start.remove(&start);
        self.by_end.remove(&(start + len));
        self.spare.push(id);
        self.free -= len;
    }

    /// Bytes not owned.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.free
    }

    /// Bytes of the whole mount.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of the process's own memory that this takes, used or not. O(bins).
    #[must_use]
    pub fn memory(&self) -> usize {
        let ids = self.spare.capacity() + self.bins.iter().map(Vec::capacity).sum::<usize>();
        size_of::<Self>()
            + self.extents.capacity() * size_of::<Extent>()
            + ids * size_of::<u32>()
            + self.bins.capacity() * size_of::<Vec<u32>>()
            + self.by_start.allocation_size()
            + self.by_end.allocation_size()
    }

    /// Free extents in ascending order, for comparison with a rebuild.
    #[must_use]
    pub fn free_extents(&self) -> Vec<(u64, u64)> {
        let mut all: Vec<_> =
            self.by_start.iter().map(|(s, id)| (*s, self.extents[*id as usize].len)).collect();
        all.sort_unstable();
        all
    }
}

/// Which bytes of a mount are owned, exactly: made in time proportional to its free extents, asked in O(log n).
#[derive(Debug)]
pub(super) struct OwnedBytes {
    size: u64,
    /// Begins and ends, ascending.
    free: Vec<(u64, u64)>,
}

impl OwnedBytes {
    pub(super) fn of(allocator: &OffsetAllocator) -> Self {
        let free = allocator.free_extents().into_iter().map(|(start, len)| (start, start + len)).collect();
        Self { size: allocator.size, free }
    }

    /// True when all these bytes lie in the segment, and none is free.
    pub(super) fn has(&self, offset: u64, len: u64) -> bool {
        let Some(end) = offset.checked_add(len).filter(|end| *end <= self.size) else { return false };
        let behind = self.free.partition_point(|(_, free_end)| *free_end <= offset);
        self.free.get(behind).is_none_or(|(free, _)| *free >= end)
    }
}

/// The allocators of all mounts, in mount order.
#[derive(Debug, Default)]
pub struct Allocators {
    by_mount: BTreeMap<MountUid, OffsetAllocator>,
}

impl Allocators {
    pub(super) fn of(by_mount: BTreeMap<MountUid, OffsetAllocator>) -> Self {
        Self { by_mount }
    }

    /// The allocator of a mount.
    #[must_use]
    pub fn get(&self, uid: MountUid) -> Option<&OffsetAllocator> {
        self.by_mount.get(&uid)
    }

    /// All of them, in mount order.
    pub fn iter(&self) -> impl Iterator<Item = (MountUid, &OffsetAllocator)> {
        self.by_mount.iter().map(|(uid, a)| (*uid, a))
    }

    /// Bytes of the process's own memory that they take. O(mounts).
    #[must_use]
    pub fn memory(&self) -> usize {
        self.by_mount.values().map(OffsetAllocator::memory).sum()
    }

    /// Takes all these regions, or none.
    ///
    /// # Errors
    /// When one of them is not free; nothing is changed then.
    pub fn carve_all(&mut self, regions: &[Region]) -> Result<(), RegionError> {
        for (i, r) in regions.iter().enumerate() {
            let allocator = self.by_mount.get_mut(&r.mount).ok_or(RegionError::NoMount(r.mount.0));
            if let Err(why) = allocator.and_then(|a| a.carve(r.offset, r.reserved)) {
                self.release_all(&regions[..i]);
                return Err(why);
            }
        }
        Ok(())
    }

    /// Gives back what [`carve_all`](Self::carve_all) took.
    pub fn release_all(&mut self, regions: &[Region]) {
        for r in regions {
            let given = self.by_mount.get_mut(&r.mount).map(|a| a.release(r.offset, r.reserved));
            invariant!(given == Some(Ok(())), "a region that was just taken cannot be given back: {r:?}");
        }
    }

    /// Carries out what an op says. What is freed on a dead mount is nobody's
    /// any more (PROTOCOL K4).
    ///
    /// # Errors
    /// When a region does not fit; earlier effects of the op stay.
    pub fn perform(&mut self, effects: &[Effect]) -> Result<(), RegionError> {
        for effect in effects {
            match effect {
                Effect::Open(uid, size) => {
                    self.by_mount.insert(*uid, OffsetAllocator::new(*size));
                }
                Effect::Close(uid) => {
                    self.by_mount.remove(uid);
                }
                Effect::Carve(r) => {
                    let allocator = self.by_mount.get_mut(&r.mount).ok_or(RegionError::NoMount(r.mount.0))?;
                    allocator.carve(r.offset, r.reserved)?;
                }
                Effect::Release(r) => {
                    if let Some(allocator) = self.by_mount.get_mut(&r.mount) {
                        allocator.release(r.offset, r.reserved)?;
                    }
                }
                // Group routes are another index.
                Effect::Route(..) | Effect::Unroute(..) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "allocator_tests.rs"]
mod tests;
