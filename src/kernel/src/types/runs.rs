//! Which entries one request appended.

use smallvec::SmallVec;

use super::Seq;

/// Seqs in ascending order, as runs: requests that execute at the same time may
/// have appended in between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeqRuns(SmallVec<[(Seq, u32); 2]>);

impl SeqRuns {
    /// Adds the next seq; it must be above all before it.
    pub fn push(&mut self, seq: Seq) {
        match self.0.last_mut() {
            Some((first, count)) if first.0 + u64::from(*count) == seq.0 => *count += 1,
            _ => self.0.push((seq, 1)),
        }
    }

    /// True when nothing was appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first seq, if there is one.
    #[must_use]
    pub fn first(&self) -> Option<Seq> {
        self.0.first().map(|(first, _)| *first)
    }

    /// The last seq, if there is one.
    #[must_use]
    pub fn last(&self) -> Option<Seq> {
        self.0.last().map(|(first, count)| Seq(first.0 + u64::from(*count) - 1))
    }

    /// The runs: first seq and number of seqs.
    pub fn runs(&self) -> impl Iterator<Item = (Seq, u32)> + '_ {
        self.0.iter().copied()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Seq> + '_ {
        self.0.iter().flat_map(|(first, count)| (first.0..first.0 + u64::from(*count)).map(Seq))
    }
}

#[test]
fn neighbours_are_one_run() {
    let mut runs = SeqRuns::default();
    assert!(runs.is_empty() && runs.first().is_none() && runs.last().is_none());
    for seq in [3, 4, 5, 9, 11, 12] {
        runs.push(Seq(seq));
    }
    assert_eq!(runs.0.as_slice(), [(Seq(3), 3), (Seq(9), 1), (Seq(11), 2)]);
    assert_eq!(runs.iter().map(|s| s.0).collect::<Vec<_>>(), [3, 4, 5, 9, 11, 12]);
    assert_eq!((runs.first(), runs.last()), (Some(Seq(3)), Some(Seq(12))));
}
