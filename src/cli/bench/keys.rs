//! The keys of a run: the same on every master, and no other run's.

use std::io::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};

/// Shortest key: every number in it has its place.
pub(super) const LEN_MIN: usize = 32;
/// Longest key that a master accepts (SEMANTICS R18).
pub(super) const LEN_MAX: usize = 4096;

/// Which keys: those of one connection in one round. Round 0 is what is there before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) run: u32,
    pub(super) len: usize,
    pub(super) round: u32,
    pub(super) connection: u32,
}

impl Series {
    /// `count` keys from number `first` on, in one allocation.
    pub(super) fn batch(&self, first: u64, count: usize) -> Vec<Bytes> {
        let mut text = BytesMut::with_capacity(self.len * count).writer();
        let fill = self.len - LEN_MIN;
        for n in first..first + count as u64 {
            // Writing to memory cannot fail. The filling is what keys have in common.
            let _ = write!(
                text,
                "b{:.<fill$}{:08x}-{:03}-{:04}-{n:013}",
                "", self.run, self.round, self.connection
            );
        }
        let mut text = text.into_inner().freeze();
        (0..count).map(|_| text.split_to(self.len)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_long_as_asked_for_and_differ() {
        for len in [LEN_MIN, 60, LEN_MAX] {
            let series = Series { run: u32::MAX, len, round: 999, connection: 9999 };
            let keys = series.batch(9_999_999_999_998, 2);
            assert!(keys.iter().all(|key| key.len() == len), "{keys:?}");
            assert_ne!(keys[0], keys[1]);
            assert_ne!(keys, Series { round: 1, ..series }.batch(9_999_999_999_998, 2));
        }
    }
}
