//! The unowned bytes of one mount, in two parts: what a GRANT has recorded, and
//! what is allocated from as ever. Both are functions of the homes.
//!
//! What is owned is wholly inside of one recorded range, or outside of all: a range is
//! granted while nobody owns any of it, and a quarantined one is carried as it is.

use std::collections::BTreeMap;

use super::ranges::Ranges;
use super::{OffsetAllocator, RegionError};
use crate::types::ByteRange;

/// Unowned bytes of one mount.
#[derive(Debug)]
pub struct Space {
    free: OffsetAllocator,
    /// Ends of what is recorded by starts, as it was granted.
    recorded: BTreeMap<u64, u64>,
    /// What is recorded and unowned.
    aside: Ranges,
}

impl Space {
    /// All of `size` bytes free, and nothing recorded.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { free: OffsetAllocator::new(size), recorded: BTreeMap::new(), aside: Ranges::default() }
    }

    /// What these owners, in ascending order, and these records leave.
    ///
    /// # Errors
    /// As [`OffsetAllocator::with_owned`].
    pub(super) fn with_owned(
        size: u64,
        owned: &[(u64, u64)],
        recorded: &[ByteRange],
    ) -> Result<Self, RegionError> {
        let recorded: BTreeMap<u64, u64> = recorded.iter().map(|r| (r.offset, r.offset + r.len)).collect();
        if recorded.is_empty() {
            return Ok(Self { free: OffsetAllocator::with_owned(size, owned)?, ..Self::new(0) });
        }
        let mut aside = Ranges::default();
        recorded.iter().for_each(|(start, end)| aside.add(*start, *end));
        let mut taken: Vec<(u64, u64)> = recorded.iter().map(|(start, end)| (*start, end - start)).collect();
        for &(offset, len) in owned {
            if !is_within(&recorded, offset) {
                taken.push((offset, len));
            } else if !aside.take(offset, offset.saturating_add(len)) {
                return Err(RegionError::NotFree { offset, len });
            }
        }
        taken.sort_unstable();
        Ok(Self { free: OffsetAllocator::with_owned(size, &taken)?, recorded, aside })
    }

    /// What is allocated from as ever: unowned and not recorded.
    #[must_use]
    pub fn free(&self) -> &OffsetAllocator {
        &self.free
    }

    /// Bytes not owned.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.free.free_bytes() + self.aside.bytes()
    }

    /// Bytes of the whole mount.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.free.size()
    }

    /// Unowned extents, those that are recorded behind the others: for comparison
    /// with a rebuild.
    #[must_use]
    pub fn free_extents(&self) -> Vec<(u64, u64)> {
        let mut all = self.free.free_extents();
        all.extend(self.aside.iter());
        all
    }

    /// False when some of these bytes are unowned, or are outside of the segment; O(log n),
    /// and looks at the borders only.
    #[must_use]
    pub fn is_owned(&self, offset: u64, len: u64) -> bool {
        let clear = || offset.checked_add(len).is_some_and(|end| self.aside.is_clear_of(offset, end));
        self.free.is_owned(offset, len) && (self.recorded.is_empty() || clear())
    }

    /// Takes exactly these bytes, which must be unowned.
    ///
    /// # Errors
    /// [`RegionError::NotFree`]; nothing is changed then.
    pub fn carve(&mut self, offset: u64, len: u64) -> Result<(), RegionError> {
        if !is_within(&self.recorded, offset) {
            return self.free.carve(offset, len);
        }
        let taken = offset.checked_add(len).is_some_and(|end| self.aside.take(offset, end));
        if taken { Ok(()) } else { Err(RegionError::NotFree { offset, len }) }
    }

    /// Gives exactly these bytes back, which must be owned.
    ///
    /// # Errors
    /// [`RegionError::NotOwned`]; nothing is changed then.
    pub fn release(&mut self, offset: u64, len: u64) -> Result<(), RegionError> {
        let Some((_, end)) = self.recorded.range(..=offset).next_back().filter(|(_, end)| offset < **end)
        else {
            return self.free.release(offset, len);
        };
        let stop = offset.checked_add(len).filter(|stop| len > 0 && stop <= end);
        let stop = stop.filter(|stop| self.aside.is_clear_of(offset, *stop));
        let stop = stop.ok_or(RegionError::NotOwned { offset, len })?;
        self.aside.add(offset, stop);
        Ok(())
    }

    /// Records these ranges in place of those before. Unowned bytes that are recorded
    /// no more are free; a new range must be.
    ///
    /// # Errors
    /// [`RegionError::NotFree`] for a new range that is not; nothing is changed then.
    pub fn grant(&mut self, ranges: &[ByteRange]) -> Result<(), RegionError> {
        let fresh = || ranges.iter().filter(|r| !is_within(&self.recorded, r.offset));
        let fresh: Vec<ByteRange> = fresh().copied().collect();
        for (i, r) in fresh.iter().enumerate() {
            if let Err(why) = self.free.carve(r.offset, r.len) {
                for r in &fresh[..i] {
                    self.free.release(r.offset, r.len)?;
                }
                return Err(why);
            }
        }
        let now = ranges.iter().map(|r| (r.offset, r.offset + r.len)).collect();
        let before = std::mem::replace(&mut self.recorded, now);
        // A range that is carried as it is costs nothing, whatever is in it.
        for (start, end) in before {
            if self.recorded.get(&start) == Some(&end) {
                continue;
            }
            for (start, end) in self.aside.cut(start, end) {
                self.settle(start, end)?;
            }
        }
        fresh.iter().for_each(|r| self.aside.add(r.offset, r.offset + r.len));
        Ok(())
    }

    /// Puts unowned bytes where they belong by what is recorded now.
    fn settle(&mut self, mut start: u64, end: u64) -> Result<(), RegionError> {
        while start < end {
            let around = self.recorded.range(..=start).next_back().filter(|(_, e)| start < **e);
            let stop = if let Some((_, stop)) = around {
                let stop = end.min(*stop);
                self.aside.add(start, stop);
                stop
            } else {
                let stop = self.recorded.range(start..end).next().map_or(end, |(s, _)| *s);
                self.free.release(start, stop - start)?;
                stop
            };
            start = stop;
        }
        Ok(())
    }
}

fn is_within(recorded: &BTreeMap<u64, u64>, offset: u64) -> bool {
    !recorded.is_empty() && recorded.range(..=offset).next_back().is_some_and(|(_, end)| offset < *end)
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod tests;
