use proptest::prelude::*;

use super::*;

#[test]
fn bins_are_monotonic_and_round_by_an_eighth_at_most() {
    for len in (1..5000u64).chain((12..62).flat_map(|p| [(1 << p) - 1, 1 << p, (1 << p) + 1])) {
        let down = bin_size(bin_down(len));
        assert!(down <= len, "{len}");
        let up = OffsetAllocator::reserved_for(len).expect("fits");
        assert!(up >= len && up <= len + len / 8 + 1, "{len} -> {up}");
        assert_eq!(OffsetAllocator::reserved_for(up), Some(up), "a bin size is its own");
        assert!(bin_down(len) <= bin_down(len + 1));
    }
    assert_eq!(OffsetAllocator::reserved_for(0), None);
    assert_eq!(OffsetAllocator::reserved_for(u64::MAX), None);
}

#[test]
fn fills_to_the_last_byte_and_merges_back() {
    let mut a = OffsetAllocator::new(64);
    for _ in 0..8 {
        let at = a.find(8).expect("room");
        a.carve(at, 8).expect("free");
    }
    assert_eq!((a.find(1), a.free_bytes()), (None, 0));
    for i in [3, 1, 2, 0, 7, 5, 4, 6] {
        a.release(i * 8, 8).expect("owned");
    }
    assert_eq!(a.free_extents(), [(0, 64)]);
}

#[test]
fn what_is_not_free_is_not_given_and_what_is_free_is_not_taken_back() {
    let mut a = OffsetAllocator::new(100);
    a.carve(10, 20).expect("free");
    for (offset, len) in [(0, 11), (29, 1), (10, 20), (95, 6), (u64::MAX, 2), (0, 0)] {
        assert_eq!(a.carve(offset, len), Err(RegionError::NotFree { offset, len }));
    }
    for (offset, len) in [(0, 10), (30, 70), (90, 20), (5, 0)] {
        assert_eq!(a.release(offset, len), Err(RegionError::NotOwned { offset, len }));
    }
    assert_eq!(a.free_extents(), [(0, 10), (30, 70)]);
}

proptest! {
    /// Random allocate and free against a byte map: no overlap, space is conserved.
    #[test]
    fn agrees_with_a_byte_map(size in 1u64..600, ops in proptest::collection::vec((0u64..80, any::<u16>()), 1..200)) {
        let mut a = OffsetAllocator::new(size);
        let mut owned = vec![false; size as usize];
        let mut live: Vec<(u64, u64)> = Vec::new();
        for (len, pick) in ops {
            if len == 0 || (pick % 3 == 0 && !live.is_empty()) {
                if live.is_empty() { continue }
                let (at, n) = live.swap_remove(usize::from(pick) % live.len());
                a.release(at, n).expect("owned");
                owned[at as usize..(at + n) as usize].fill(false);
            } else {
                let n = OffsetAllocator::reserved_for(len).expect("small");
                if let Some(at) = a.find(n) {
                    let range = at as usize..(at + n) as usize;
                    prop_assert!(!owned[range.clone()].contains(&true), "handed out twice");
                    a.carve(at, n).expect("found free");
                    owned[range].fill(true);
                    live.push((at, n));
                }
            }
            prop_assert_eq!(a.free_bytes(), owned.iter().filter(|o| !**o).count() as u64);
        }
        for (at, n) in live {
            a.release(at, n).expect("owned");
        }
        prop_assert_eq!(a.free_extents(), vec![(0, size)]);
    }
}
