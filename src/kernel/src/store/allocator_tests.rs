use proptest::prelude::*;

use super::*;

#[test]
fn s8_76_bins_are_monotonic_and_round_by_an_eighth_at_most() {
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
fn s8_76_fills_to_the_last_byte_and_merges_back() {
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
fn s8_77_what_is_not_free_is_not_given_and_what_is_free_is_not_taken_back() {
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

#[test]
fn s8_76_from_one_byte_to_beyond_four_gib() {
    for size in [1, 2, 7, 4096, (1 << 32) + 12_345, 1 << 40] {
        let mut a = OffsetAllocator::new(size);
        assert_eq!((a.find(size + 1), a.find(u64::MAX), a.find(0)), (None, None, None), "{size}");
        a.carve(0, size).expect("exactly all");
        assert_eq!((a.find(1), a.free_bytes()), (None, 0));
        a.release(0, size).expect("owned");
        a.carve(size - 1, 1).expect("the last byte");
        assert_eq!(a.free_extents(), if size == 1 { Vec::new() } else { vec![(0, size - 1)] });
    }
    let mut a = OffsetAllocator::new(9 << 30);
    let at = [a.find(4 << 30), None].map(|at| at.inspect(|at| a.carve(*at, 4 << 30).expect("free")));
    assert_eq!((at[0], a.find(6 << 30), a.find(5 << 30)), (Some(0), None, Some(4 << 30)));
}

/// Most regions, most gaps: every other byte owned, then all merged again.
#[test]
fn s8_77_any_number_of_gaps_is_rebuilt_and_merged() {
    const N: u64 = 20_000;
    let mut a = OffsetAllocator::new(2 * N);
    for i in 0..N {
        a.carve(2 * i, 1).expect("free");
    }
    assert_eq!((a.free_bytes(), a.find(2)), (N, None));
    assert_eq!(a.free_extents(), (0..N).map(|i| (2 * i + 1, 1)).collect::<Vec<_>>());
    for i in (0..N).rev() {
        a.release(2 * i, 1).expect("owned");
    }
    assert_eq!(a.free_extents(), [(0, 2 * N)]);
}

proptest! {
    /// Random allocate and free against a byte map: no overlap, space is conserved.
    #[test]
    fn s8_76_agrees_with_a_byte_map(size in 1u64..600, ops in proptest::collection::vec((0u64..80, any::<u16>()), 1..200)) {
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

#[test]
fn one_built_around_its_regions_equals_one_carved() {
    let owned = [(0, 5), (5, 3), (20, 10), (90, 10)];
    let built = OffsetAllocator::with_owned(100, &owned).expect("disjoint");
    let mut carved = OffsetAllocator::new(100);
    owned.iter().for_each(|(offset, len)| carved.carve(*offset, *len).expect("free"));
    assert_eq!(built.free_extents(), carved.free_extents());
    assert_eq!((built.free_bytes(), built.size()), (carved.free_bytes(), 100));
    for bad in [&[(0, 5), (4, 3)][..], &[(95, 6)], &[(3, 0)], &[(u64::MAX, 2)]] {
        assert!(OffsetAllocator::with_owned(100, bad).is_err(), "{bad:?}");
    }
}

#[test]
fn owned_bytes_have_no_byte_that_is_free_or_outside() {
    let allocator = OffsetAllocator::with_owned(100, &[(0, 5), (20, 10), (90, 10)]).expect("disjoint");
    let owned = OwnedBytes::of(&allocator);
    for (offset, len) in [(0, 5), (1, 2), (20, 10), (90, 10)] {
        assert!(owned.has(offset, len), "{offset}+{len}");
    }
    // Free from 5 to 20: at its begin, in its midst, at its end, across it, and outside.
    for (offset, len) in [(5, 3), (7, 2), (18, 2), (4, 2), (19, 2), (0, 30), (95, 6), (u64::MAX, 2)] {
        assert!(!owned.has(offset, len), "{offset}+{len}");
    }
    assert!(allocator.is_owned(7, 2), "what the quick look does not see");
}
