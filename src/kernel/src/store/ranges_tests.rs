use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SIZE: u64 = 40;

proptest! {
    /// The model is a set of bytes.
    #[test]
    fn it_is_a_set_of_bytes(steps in prop::collection::vec((0u64..SIZE, 1u64..12, 0u8..3), 1..60)) {
        let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
        for (start, len, what) in steps {
            let end = start + len;
            let held: Vec<u64> = (start..end).filter(|b| model.contains(b)).collect();
            prop_assert_eq!(ranges.is_clear_of(start, end), held.is_empty());
            match what {
                0 if held.is_empty() => {
                    ranges.add(start, end);
                    model.extend(start..end);
                }
                1 => {
                    let all = held.len() as u64 == len;
                    prop_assert_eq!(ranges.take(start, end), all);
                    if all {
                        model.retain(|b| !held.contains(b));
                    }
                }
                _ => {
                    let cut: Vec<u64> = ranges.cut(start, end).into_iter().flat_map(|(s, e)| s..e).collect();
                    prop_assert_eq!(&cut, &held);
                    model.retain(|b| !held.contains(b));
                }
            }
            let runs: Vec<(u64, u64)> = ranges.iter().collect();
            let bytes: BTreeSet<u64> = runs.iter().flat_map(|(s, n)| *s..s + n).collect();
            prop_assert_eq!(&bytes, &model);
            prop_assert_eq!(ranges.bytes(), model.len() as u64);
            prop_assert!(runs.windows(2).all(|w| w[0].0 + w[0].1 < w[1].0), "runs that touch are one: {runs:?}");
        }
    }
}

#[test]
fn ranges_that_share_bytes_or_leave_the_segment_are_refused() {
    let range = |offset, len| ByteRange { offset, len };
    let cases: [(&[ByteRange], bool); 6] = [
        (&[], true),
        (&[range(8, 8), range(0, 8), range(90, 10)], true),
        (&[range(0, 9), range(8, 8)], false),
        (&[range(90, 11)], false),
        (&[range(5, 0)], false),
        (&[range(u64::MAX, 2)], false),
    ];
    for (ranges, good) in cases {
        assert_eq!(are_apart(100, ranges.iter()), good, "{ranges:?}");
    }
}
