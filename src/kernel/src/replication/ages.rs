//! How old the oldest entry is that a copy lacks: when positions of the tail were first seen.

use std::collections::VecDeque;
use std::time::Duration;

use crate::types::{Instant, Seq};

/// Marks kept; more are set further apart, which makes ages coarser and never younger.
const MARKS_MAX: usize = 1024;
/// Least time between two marks.
const SPACING: Duration = Duration::from_millis(1);

/// When the tail was first seen to have passed which positions.
#[derive(Debug, Clone)]
pub(super) struct Ages {
    /// Exclusive: of entries before it nobody here knows the age.
    known_from: Seq,
    /// Ascending: everything before this tail, and not before the earlier mark's, is as old as this.
    marks: VecDeque<(Seq, Instant)>,
    /// Time between two marks at least.
    spacing: Duration,
}

impl Ages {
    /// Entries from `tail` on are seen as they come.
    pub(super) fn from(tail: Seq) -> Self {
        Self { known_from: tail, marks: VecDeque::new(), spacing: SPACING }
    }

    /// The tail is here now, and every copy that counts has everything before `settled`.
    pub(super) fn note(&mut self, now: Instant, tail: Seq, settled: Seq) {
        if tail > self.marks.back().map_or(self.known_from, |(end, _)| *end) {
            self.mark(tail, now);
        }
        while let Some((end, _)) = self.marks.front().filter(|(end, _)| *end <= settled) {
            self.known_from = self.known_from.max(*end);
            self.marks.pop_front();
        }
        if self.marks.is_empty() {
            self.spacing = SPACING;
        }
        if self.marks.len() > MARKS_MAX {
            self.spacing *= 2;
            for (end, at) in std::mem::take(&mut self.marks) {
                self.mark(end, at);
            }
        }
    }

    fn mark(&mut self, end: Seq, at: Instant) {
        match self.marks.back_mut().filter(|(_, earlier)| at.since(*earlier) < self.spacing) {
            Some((last, _)) => *last = end,
            None => self.marks.push_back((end, at)),
        }
    }

    /// The age of the oldest entry that a copy with everything before `applied` lacks: nothing when it
    /// lacks none; `None` when that entry is older than what was seen.
    pub(super) fn behind_for(&self, now: Instant, applied: Seq, tail: Seq) -> Option<Duration> {
        if applied >= tail {
            return Some(Duration::ZERO);
        }
        if applied < self.known_from {
            return None;
        }
        let after = self.marks.partition_point(|(end, _)| *end <= applied);
        // What the next look will see has come since the last one.
        Some(self.marks.get(after).map_or(Duration::ZERO, |(_, at)| now.since(*at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Instant {
        Instant(n * 1_000_000)
    }

    #[test]
    fn the_oldest_entry_that_is_lacking_counts_and_what_was_before_is_unknown() {
        let mut ages = Ages::from(Seq(10));
        ages.note(ms(100), Seq(12), Seq(1));
        ages.note(ms(300), Seq(12), Seq(1));
        ages.note(ms(400), Seq(20), Seq(1));
        let behind = |applied| ages.behind_for(ms(1000), Seq(applied), Seq(20));
        let millis = |n| Some(Duration::from_millis(n));
        assert_eq!(behind(9), None, "nobody saw entry 9 come");
        assert_eq!(
            (behind(10), behind(11), behind(12), behind(19)),
            (millis(900), millis(900), millis(600), millis(600))
        );
        assert_eq!(behind(20), millis(0));
    }

    #[test]
    fn what_all_have_is_forgotten_and_many_marks_make_ages_coarser_not_younger() {
        let mut ages = Ages::from(Seq(1));
        for i in 1..=10_000 {
            ages.note(ms(i), Seq(i + 1), Seq(1));
        }
        assert!(ages.marks.len() <= MARKS_MAX);
        for applied in [1, 500, 5_000, 9_990] {
            let age =
                ages.behind_for(ms(10_000), Seq(applied), Seq(10_001)).expect("known").as_millis() as u64;
            let exact = 10_000 - applied;
            assert!((exact..=exact + 64).contains(&age), "{age} and not {exact}");
        }
        ages.note(ms(10_001), Seq(10_001), Seq(10_001));
        assert!(ages.marks.is_empty());
        assert_eq!(ages.behind_for(ms(10_001), Seq(10_000), Seq(10_001)), None);
    }
}
