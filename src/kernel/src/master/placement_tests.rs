//! SEMANTICS 8.7: strategies.

use super::segments::id;
use super::*;

fn with(placement: Placement, segments: impl IntoIterator<Item = SegmentSpec>) -> Bench {
    let store = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
    let log = OpLogManager::new(LogLimits::default());
    let start = MasterStart { epoch: Epoch(1), since: ms(1), hold_until: ms(1), seed: 7, sabotage: None };
    let b = Bench::lead_with(MasterConfig { placement, ..TIMES.into() }, store, log, &start);
    for s in segments {
        assert_eq!(b.mount(A, s), Ok(()));
    }
    b
}

fn on_host(n: u64, host: &str, size: u64) -> SegmentSpec {
    SegmentSpec { host_id: host.into(), ..segment(n, size) }
}

fn from(host: &str) -> ReplicateConfig {
    ReplicateConfig { host_id: host.into(), ..ReplicateConfig::default() }
}

/// The segment that the one replica went to.
fn placed(b: &Bench, key: &str, size: u64, config: ReplicateConfig) -> Result<u64, ErrorCode> {
    b.start_with(B, key, size, config).map(|r| r[0].segment.id.0.first)
}

#[test]
fn s8_72_in_every_strategy_preferred_names_come_first() {
    for placement in [Placement::Random, Placement::FreeRatioFirst, Placement::LocalFirst] {
        let b = with(placement, (1..=5).map(|n| on_host(n, &format!("h{n}"), 16 * MIB)));
        for i in 0..10 {
            let wish = ReplicateConfig { host_id: "h2".into(), ..prefer(&["nowhere", "host-4"]) };
            assert_eq!(placed(&b, &format!("k{i}"), 8, wish), Ok(4), "{placement:?}");
        }
    }
}

#[test]
fn s8_74_free_ratio_first_spreads_towards_emptier_segments() {
    let b = with(Placement::FreeRatioFirst, [segment(1, 8 * MIB), segment(2, 16 * MIB), segment(3, 4 * MIB)]);
    assert_eq!(placed(&b, "a", 8 * MIB, prefer(&["host-2"])), Ok(2));
    assert_eq!(placed(&b, "b", MIB, prefer(&["host-1"])), Ok(1));
    for i in 0..4 {
        assert_eq!(placed(&b, &format!("c{i}"), MIB / 8, ReplicateConfig::default()), Ok(3), "{i}");
    }
    let next: Vec<_> = (0..6)
        .map(|i| placed(&b, &format!("d{i}"), MIB / 8, ReplicateConfig::default()).expect("room"))
        .collect();
    assert!(next.contains(&1) && next.contains(&3) && !next.contains(&2), "as empty as each other: {next:?}");
    assert_eq!(placed(&b, "big", 6 * MIB, ReplicateConfig::default()).map(|n| n < 3), Ok(true), "what fits");
    let two = b.start_with(A, "two", 8, replicas(2)).expect("room");
    assert_ne!(two[0].segment.id, two[1].segment.id);
}

#[test]
fn free_ratio_counts_all_segments_of_a_name_and_looks_at_six_a_replica() {
    let twin = SegmentSpec { name: "host-1".into(), ..segment(9, 8 * MIB) };
    let b = with(Placement::FreeRatioFirst, [segment(1, 8 * MIB), twin, segment(2, 16 * MIB)]);
    assert_eq!(placed(&b, "a", 8 * MIB, prefer(&["host-2"])), Ok(2));
    for i in 0..8 {
        let n = placed(&b, &format!("k{i}"), MIB, ReplicateConfig::default()).expect("room");
        assert!(n == 1 || n == 9 || i == 7, "host-1 is emptier: {n} {i}");
    }
    let many = with(Placement::FreeRatioFirst, (1..=40).map(|n| segment(n, 8 * MIB)));
    assert_eq!(placed(&many, "full", 8 * MIB, prefer(&["host-17"])), Ok(17));
    for i in 0..39 {
        let n = placed(&many, &format!("k{i}"), 8 * MIB, ReplicateConfig::default()).expect("room somewhere");
        assert_ne!(n, 17);
    }
    assert_eq!(placed(&many, "last", 1, ReplicateConfig::default()), Err(NoAvailableHandle));
}

#[test]
fn s8_75_local_first_goes_round_the_hosts_from_the_writer_s() {
    let specs = [(1, "b"), (2, "d"), (3, "a"), (4, "c"), (5, "b")];
    let b = with(Placement::LocalFirst, specs.map(|(n, host)| on_host(n, host, 2 * MIB)));
    let mut on_b = [placed(&b, "1", 2 * MIB, from("b")), placed(&b, "2", 2 * MIB, from("b"))];
    on_b.sort_unstable_by_key(|n| *n.as_ref().unwrap_or(&0));
    assert_eq!(on_b, [Ok(1), Ok(5)], "the writer's host first");
    assert_eq!(placed(&b, "3", MIB, from("b")), Ok(4), "full: the next host in order");
    let wish = ReplicateConfig { host_id: "c".into(), ..prefer(&["host-3"]) };
    assert_eq!(placed(&b, "4", MIB, wish), Ok(3), "explicit wishes first");
    assert_eq!(placed(&b, "5", MIB, from("bb")), Ok(4), "an unknown host: the next greater");
    assert_eq!(placed(&b, "6", MIB, from("zz")), Ok(3), "and round the end");
    assert_eq!(placed(&b, "7", MIB, from("zz")), Ok(2), "a, b and c are full");
    assert_eq!(
        b.start_with(B, "8", 8, ReplicateConfig { host_id: "a".into(), ..replicas(2) }).map(|r| r.len()),
        Ok(1)
    );
}

#[test]
fn local_first_spreads_keys_over_a_host_and_knows_the_writer_s_host() {
    let specs = (1..=4).map(|n| on_host(n, "near", 16 * MIB)).chain([on_host(9, "far", 16 * MIB)]);
    let b = with(Placement::LocalFirst, specs);
    let seen: std::collections::BTreeSet<u64> =
        (0..40).filter_map(|i| placed(&b, &format!("k{i}"), 8, from("near")).ok()).collect();
    assert_eq!(seen, [1, 2, 3, 4].into());
    assert_eq!(b.remount(B, &[on_host(20, "far", 1)]), Ok(()));
    let n = placed(&b, "own", 8, ReplicateConfig::default());
    assert_eq!(n, Ok(9), "B lends at `far`, so it writes there");
}

/// A walk is bounded, but looks at a hundred names.
#[test]
fn s8_73_a_walk_tries_up_to_a_hundred_names() {
    let small = (1..=60).map(|n| segment(n, 8));
    let b = with(Placement::Random, small.chain([segment(99, MIB)]));
    for i in 0..20 {
        assert_eq!(placed(&b, &format!("k{i}"), 1024, ReplicateConfig::default()), Ok(99));
    }
}

#[test]
fn s8_76_a_name_s_other_segment_is_tried_when_the_first_is_full() {
    let twin = SegmentSpec { name: "host-1".into(), ..segment(2, MIB) };
    let b = with(Placement::Random, [segment(1, MIB), twin]);
    let mut used = [placed(&b, "a", MIB, replicas(2)), placed(&b, "b", MIB, replicas(1))];
    used.sort_unstable_by_key(|n| *n.as_ref().unwrap_or(&0));
    assert_eq!(used, [Ok(1), Ok(2)]);
    assert_eq!(placed(&b, "c", 1, replicas(1)), Err(NoAvailableHandle));
    assert_eq!((b.unmount(1), placed(&b, "c", 1, replicas(1))), (Ok(()), Err(NoAvailableHandle)));
    assert_eq!(b.store.segments().read().pools().len(), 1);
    assert_eq!(
        b.store.segments().read().mounted(id(2)).map(crate::store::Mount::status),
        Some(crate::types::SegmentStatus::Ok)
    );
}

#[test]
fn strategies_have_the_names_that_operators_know() {
    let named = ["random", "free_ratio_first", "local_first"].map(|s| s.parse::<Placement>().ok());
    assert_eq!(
        named,
        [Some(Placement::Random), Some(Placement::FreeRatioFirst), Some(Placement::LocalFirst)]
    );
    let text = "cxl".parse::<Placement>().expect_err("not offered").to_string();
    assert_eq!(
        text,
        "allocation strategy `cxl` is not valid: expected `random`, `free_ratio_first` or `local_first`"
    );
}
