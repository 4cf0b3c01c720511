//! Which leases are the oldest, found by counting: memory does not grow with
//! the number of objects, and each look at a shard is short.

use crate::types::Instant;

/// log2 of the bins that one count divides its range into.
const BITS: u32 = 16;
/// log2 of a bin's width, in nanoseconds, that is not divided further: a quarter
/// of a millisecond is no age.
const FINE: u32 = 18;

/// Counts of leases in equal bins of one range. Repeated on narrower ranges it
/// finds the lease below which the wanted number lies, to a fraction of a millisecond.
#[derive(Debug)]
pub(super) struct Census {
    /// First lease that is counted; those below are among the wanted already.
    low: u64,
    /// log2 of a bin's width in nanoseconds.
    shift: u32,
    /// How many lie below `low`, by the counts before.
    below: u64,
    bins: Vec<u32>,
}

/// What is old enough to go: every lease below `before`, and of those from there
/// to `until`, exclusive, as many as `ties` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    before: Instant,
    until: Instant,
    ties: u64,
}

impl Cut {
    /// True for a lease that is old enough; counts it if it is a tie.
    pub(super) fn take(&mut self, lease: Instant) -> bool {
        let tie = lease >= self.before && lease < self.until && self.ties > 0;
        self.ties -= u64::from(tie);
        tie || lease < self.before
    }
}

impl Census {
    /// Over all leases up to `latest`.
    pub(super) fn until(latest: Instant) -> Self {
        let shift = (u64::BITS - latest.0.leading_zeros()).saturating_sub(BITS);
        Self { low: 0, shift, below: 0, bins: vec![0; 1 << BITS] }
    }

    /// Counts one lease, if it is in the range.
    pub(super) fn count(&mut self, lease: Instant) {
        let Some(above) = lease.0.checked_sub(self.low) else { return };
        if let Some(bin) = self.bins.get_mut((above >> self.shift) as usize) {
            *bin = bin.saturating_add(1);
        }
    }

    /// How many were counted so far, those below the range included.
    pub(super) fn total(&self) -> u64 {
        self.below + self.bins.iter().map(|n| u64::from(*n)).sum::<u64>()
    }

    /// The cut below which `wanted` lie, or all if they are fewer. `None` when
    /// it lies inside one bin: the range is that bin now, count again.
    pub(super) fn cut(&mut self, wanted: u64) -> Option<Cut> {
        let mut below = self.below;
        for (bin, n) in self.bins.iter().enumerate() {
            let (start, n) = (self.low + ((bin as u64) << self.shift), u64::from(*n));
            if n > 0 && below + n >= wanted {
                let end = Instant(start.saturating_add(1 << self.shift));
                if below + n == wanted {
                    return Some(Cut { before: end, until: end, ties: 0 });
                }
                if self.shift <= FINE {
                    return Some(Cut { before: Instant(start), until: end, ties: wanted - below });
                }
                (self.low, self.below) = (start, below);
                self.shift = self.shift.saturating_sub(BITS);
                self.bins.fill(0);
                return None;
            }
            below += n;
        }
        let end = (self.bins.len() as u64).saturating_mul(1 << self.shift);
        let end = Instant(self.low.saturating_add(end));
        Some(Cut { before: end, until: end, ties: 0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(leases: &[u64], latest: u64, wanted: u64) -> Cut {
        let mut census = Census::until(Instant(latest));
        for _ in 0..4 {
            leases.iter().for_each(|l| census.count(Instant(*l)));
            if let Some(cut) = census.cut(wanted) {
                return cut;
            }
        }
        panic!("64 bits are narrowed to 18 in 3 counts of 16 bits");
    }

    fn taken(leases: &[u64], mut cut: Cut) -> Vec<u64> {
        let mut taken: Vec<u64> = leases.iter().copied().filter(|l| cut.take(Instant(*l))).collect();
        taken.sort_unstable();
        taken
    }

    #[test]
    fn ties_at_the_cut_are_counted() {
        const MS: u64 = 1_000_000;
        assert_eq!(
            taken(&[5 * MS, 5 * MS, 5 * MS, MS], cut(&[5 * MS, 5 * MS, 5 * MS, MS], 9 * MS, 3)).len(),
            3
        );
        assert_eq!(taken(&[0; 400], cut(&[0; 400], u64::MAX, 20)).len(), 20);
        assert_eq!(taken(&[7, u64::MAX], cut(&[7, u64::MAX], u64::MAX, 1)), [7]);
        assert_eq!(taken(&[MS, 2 * MS, 3 * MS], cut(&[3 * MS, 2 * MS, MS], 3 * MS, 2)), [MS, 2 * MS]);
    }

    proptest! {
        #[test]
        fn the_oldest_are_cut_off(
            spread in 0u32..64, mut leases in proptest::collection::vec(any::<u64>(), 1..300), wanted in 1u64..400,
        ) {
            leases.iter_mut().for_each(|l| *l >>= spread);
            let latest = leases.iter().copied().max().unwrap_or(0);
            let taken = taken(&leases, cut(&leases, latest, wanted));
            leases.sort_unstable();
            prop_assert_eq!(taken.len(), leases.len().min(wanted as usize), "as many as wanted");
            // Each is as old as the one that an exact order has in its place, but for a fraction of a millisecond.
            prop_assert!(taken.iter().zip(&leases).all(|(t, exact)| t - exact < 1 << FINE));
        }
    }
}
