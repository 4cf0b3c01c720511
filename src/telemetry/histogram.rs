//! Times counted by size, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use standfast_proto::v1;

/// Upper bounds in microseconds, inclusive.
const BOUNDS_US: [u64; 11] = [20, 50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 500_000, 2_500_000];

/// Counts observations; reading while it is written is off by those under way.
#[derive(Debug, Default)]
pub struct Times {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Times {
    /// Counts one.
    pub fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.partition_point(|bound| *bound < us);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn reading(&self) -> v1::Histogram {
        v1::Histogram {
            bounds_us: BOUNDS_US.to_vec(),
            counts: self.counts.iter().map(|c| c.load(Ordering::Relaxed)).collect(),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

/// The same observations with fewer bounds, which must be among its own: what a node's budget of series bears.
#[must_use]
pub(super) fn coarser(times: &v1::Histogram, bounds_us: &[u64]) -> v1::Histogram {
    let mut counts = vec![0; bounds_us.len() + 1];
    for (i, count) in times.counts.iter().enumerate() {
        let bound = times.bounds_us.get(i).copied().unwrap_or(u64::MAX);
        counts[bounds_us.partition_point(|b| *b < bound)] += count;
    }
    v1::Histogram { bounds_us: bounds_us.to_vec(), counts, sum_us: times.sum_us }
}

#[test]
fn a_coarser_histogram_counts_the_same() {
    let times = Times::default();
    for us in [10, 50, 51, 200, 250, 900, 3_000_000] {
        times.note(Duration::from_micros(us));
    }
    let fine = times.reading();
    let coarse = coarser(&fine, &[50, 250, 1_000]);
    assert_eq!((coarse.counts, coarse.sum_us), (vec![2, 3, 1, 1], fine.sum_us));
    assert_eq!(coarser(&fine, &BOUNDS_US), fine);
}

#[test]
fn a_bound_is_inclusive_and_nothing_is_lost_above_the_last() {
    let times = Times::default();
    for us in [0, 20, 21, 2_500_000, 2_500_001, 9_000_000] {
        times.note(Duration::from_micros(us));
    }
    let r = times.reading();
    assert_eq!((r.counts[0], r.counts[1], r.counts[10], r.counts[11]), (2, 1, 1, 2));
    assert_eq!((r.counts.iter().sum::<u64>(), r.sum_us), (6, 14_000_042));
}
