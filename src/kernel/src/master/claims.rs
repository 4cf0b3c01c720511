//! Which of the segments that are to be mounted claim what is mounted, or was.

use std::collections::BTreeMap;

use crate::types::{SegmentId, SegmentSpec};

/// Segments that share no bytes, in the order of their addresses and by id.
pub(super) struct Claims<'s> {
    pub(super) segments: &'s [&'s SegmentSpec],
    /// Of each endpoint, where segments begin, and which.
    by_address: BTreeMap<(&'s str, u64), usize>,
    by_id: BTreeMap<SegmentId, usize>,
}

impl<'s> Claims<'s> {
    pub(super) fn of(segments: &'s [&'s SegmentSpec]) -> Self {
        let by_address = segments.iter().enumerate().map(|(i, s)| ((s.te_endpoint.as_str(), s.base), i));
        let by_id = segments.iter().enumerate().map(|(i, s)| (s.id, i));
        Self { segments, by_address: by_address.collect(), by_id: by_id.collect() }
    }

    /// Those that claim some of the bytes of `other`.
    pub(super) fn overlapping<'c>(&'c self, other: &'c SegmentSpec) -> impl Iterator<Item = usize> + 'c {
        let (endpoint, end) = (other.te_endpoint.as_str(), other.base.saturating_add(other.size));
        // They share no bytes, so from the last one downwards the first that is clear of it ends the search.
        let below = self.by_address.range((endpoint, 0)..(endpoint, end)).rev().map(|(_, i)| *i);
        below.take_while(|i| self.segments[*i].overlaps(other))
    }

    /// The same, and the one of its id.
    pub(super) fn claiming<'c>(&'c self, other: &'c SegmentSpec) -> impl Iterator<Item = usize> + 'c {
        let same = self.by_id.get(&other.id).copied().filter(|i| !self.segments[*i].overlaps(other));
        self.overlapping(other).chain(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Uuid;

    fn segment(id: u64, endpoint: &str, base: u64, size: u64) -> SegmentSpec {
        let id = SegmentId(Uuid { first: id, second: 0 });
        let (name, te_endpoint, protocol, host_id) =
            ("host".into(), endpoint.into(), "tcp".into(), String::new());
        SegmentSpec { id, name, base, size, te_endpoint, protocol, host_id }
    }

    /// Gaps and neighbours, two endpoints, and one that is not known: whatever else
    /// there is, the answer is that of a look at every pair.
    #[test]
    fn the_search_finds_what_a_look_at_all_pairs_finds() {
        let own = [
            segment(1, "a", 10, 10),
            segment(2, "a", 20, 5),
            segment(3, "a", 30, 1),
            segment(4, "b", 12, 30),
            segment(5, "", 10, 10),
            segment(6, "", 10, 10),
            segment(7, "a", u64::MAX - 5, 5),
        ];
        let own: Vec<&SegmentSpec> = own.iter().collect();
        let claims = Claims::of(&own);
        let places = ["a", "b", "", "c"].into_iter().flat_map(|endpoint| {
            let ends = (1..45).flat_map(|base| [1, 2, 9, 40].map(|size| (base, size)));
            ends.chain([(u64::MAX - 9, 9), (u64::MAX - 1, 1)]).map(move |at| (endpoint, at))
        });
        let mut met = 0;
        for (n, (endpoint, (base, size))) in places.enumerate() {
            let other = segment(n as u64 % 9, endpoint, base, size);
            let all = |claims: &dyn Fn(&SegmentSpec) -> bool| {
                (0..own.len()).filter(|i| claims(own[*i])).collect::<Vec<_>>()
            };
            let mut found: Vec<usize> = claims.overlapping(&other).collect();
            found.sort_unstable();
            assert_eq!(found, all(&|s| s.overlaps(&other)), "{other:?}");
            let mut found: Vec<usize> = claims.claiming(&other).collect();
            found.sort_unstable();
            assert_eq!(found, all(&|s| s.overlaps(&other) || s.id == other.id), "{other:?}");
            met += found.len();
        }
        assert!(met > 100, "{met}");
    }
}
