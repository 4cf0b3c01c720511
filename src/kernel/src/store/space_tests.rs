use proptest::prelude::*;

use super::*;

const SIZE: u64 = 96;

fn range(offset: u64, len: u64) -> ByteRange {
    ByteRange { offset, len }
}

#[test]
fn what_is_recorded_is_not_allocated_from_and_counts_as_unowned() {
    let mut s = Space::new(SIZE);
    s.grant(&[range(0, 32)]).expect("free");
    assert_eq!((s.free().free_bytes(), s.free_bytes()), (64, 96));
    s.carve(0, 8).expect("recorded, and unowned");
    assert_eq!(s.carve(4, 8), Err(RegionError::NotFree { offset: 4, len: 8 }));
    s.release(0, 8).expect("owned");
    assert_eq!(s.release(0, 8), Err(RegionError::NotOwned { offset: 0, len: 8 }));
    assert_eq!((s.free().free_bytes(), s.free_bytes()), (64, 96), "freed, it stays aside");
    s.grant(&[range(8, 24)]).expect("recorded before");
    assert_eq!(s.free_extents(), [(0, 8), (32, 64), (8, 24)]);
    s.grant(&[]).expect("nothing");
    assert_eq!(s.free_extents(), [(0, 96)]);
}

#[test]
fn a_new_range_that_is_owned_is_refused_and_changes_nothing() {
    let mut s = Space::new(SIZE);
    s.carve(40, 8).expect("free");
    s.grant(&[range(0, 16)]).expect("free");
    let before = s.free_extents();
    for ranges in [&[range(16, 8), range(40, 8)][..], &[range(32, 64)]] {
        assert!(s.grant(ranges).is_err(), "{ranges:?}");
        assert_eq!(s.free_extents(), before);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Take(u64, bool),
    Give(usize),
    /// The first so many bytes of some free extents are new; so much is carried as it is, and the rest shrinks.
    Grant(usize, u64, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..9, any::<bool>()).prop_map(|(len, aside)| Step::Take(len, aside)),
        3 => (0usize..64).prop_map(Step::Give),
        2 => (0usize..3, 1u64..20, any::<bool>()).prop_map(|(n, len, whole)| Step::Grant(n, len, whole)),
    ]
}

/// As a primary grants: what is left unowned of its own ranges, or all of an earlier one's, and free bytes.
fn grant(s: &Space, recorded: &[ByteRange], (n, len): (usize, u64), whole: bool) -> Vec<ByteRange> {
    let mut ranges = Vec::new();
    if whole {
        ranges.extend_from_slice(recorded);
    } else {
        for r in recorded {
            let unowned = s.aside.clone().cut(r.offset, r.offset + r.len);
            ranges.extend(unowned.first().map(|(start, end)| range(*start, end - start)));
        }
    }
    ranges.extend(s.free().free_extents().into_iter().take(n).map(|(at, n)| range(at, n.min(len))));
    ranges
}

proptest! {
    /// Both parts are functions of what is owned and what is recorded, whatever led there.
    #[test]
    fn incremental_equals_rebuilt(steps in prop::collection::vec(step(), 1..80)) {
        let mut s = Space::new(SIZE);
        let (mut owned, mut recorded) = (Vec::<(u64, u64)>::new(), Vec::new());
        for step in steps {
            match step {
                Step::Take(len, aside) => {
                    let from_aside = s.aside.iter().find(|(_, n)| *n >= len).map(|(at, _)| at);
                    // Within one of the ranges: what is handed out never spans two.
                    let fits = |at: &u64| recorded.iter().any(|r: &ByteRange| r.offset <= *at && at + len <= r.offset + r.len);
                    let at = if aside { from_aside.filter(fits) } else { s.free().find(len) };
                    let Some(at) = at else { continue };
                    s.carve(at, len).expect("unowned");
                    owned.push((at, len));
                }
                Step::Give(i) if !owned.is_empty() => {
                    let (at, len) = owned.swap_remove(i % owned.len());
                    s.release(at, len).expect("owned");
                }
                Step::Give(_) => {}
                Step::Grant(n, len, whole) => {
                    recorded = grant(&s, &recorded, (n, len), whole);
                    s.grant(&recorded).expect("recorded before, or free");
                }
            }
            owned.sort_unstable();
            let rebuilt = Space::with_owned(SIZE, &owned, &recorded).expect("apart");
            prop_assert_eq!(s.free_extents(), rebuilt.free_extents());
            prop_assert_eq!(s.free().free_extents(), rebuilt.free().free_extents());
            let taken: u64 = owned.iter().map(|(_, len)| len).sum();
            prop_assert_eq!(s.free_bytes() + taken, SIZE);
            for (at, len) in &owned {
                prop_assert!(s.is_owned(*at, *len));
            }
        }
    }
}
