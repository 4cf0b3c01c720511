//! Which objects of a shard are unfinished.

use crate::types::Seq;

/// Map hashes of unfinished objects, by the seq of that start, ascending. There are
/// few, and nearly all come at the end: a flat list is cheaper than a tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unfinished(Vec<(Seq, u64)>);

impl Unfinished {
    /// Notes one; another hash of this seq is replaced.
    pub(super) fn insert(&mut self, start: Seq, hash: u64) {
        if self.0.last().is_none_or(|(last, _)| *last < start) {
            return self.0.push((start, hash));
        }
        match self.find(start) {
            Ok(i) => self.0[i].1 = hash,
            Err(i) => self.0.insert(i, (start, hash)),
        }
    }

    /// Takes one out, if it is in.
    pub(super) fn remove(&mut self, start: Seq) {
        if let Ok(i) = self.find(start) {
            self.0.remove(i);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, oldest start first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Seq, u64)> + '_ {
        self.0.iter().copied()
    }

    fn find(&self, start: Seq) -> Result<usize, usize> {
        self.0.binary_search_by_key(&start, |(seq, _)| *seq)
    }
}

impl FromIterator<(Seq, u64)> for Unfinished {
    fn from_iter<I: IntoIterator<Item = (Seq, u64)>>(all: I) -> Self {
        let mut list: Vec<_> = all.into_iter().collect();
        list.sort_unstable();
        Self(list)
    }
}

#[test]
fn it_stays_in_the_order_of_the_starts() {
    let mut list: Unfinished = [(Seq(5), 50), (Seq(9), 90), (Seq(7), 70)].into_iter().collect();
    list.insert(Seq(7), 71);
    list.insert(Seq(2), 20);
    list.remove(Seq(5));
    list.remove(Seq(6));
    assert_eq!(list.iter().collect::<Vec<_>>(), [(Seq(2), 20), (Seq(7), 71), (Seq(9), 90)]);
    list.clear();
    assert_eq!(list, Unfinished::default());
}
