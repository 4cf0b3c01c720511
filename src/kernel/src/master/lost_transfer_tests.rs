//! Copies, moves, tasks and eviction, where memory dies or is about to be
//! taken back: SEMANTICS 2.6; checklist 8.6.64, 8.8.79, 80 and 82.

use super::segments::{config, short};
use super::*;
use crate::api::ErrorCode::UnavailableInCurrentStatus;
use crate::types::TransferKind;

/// `k` on host-1, host-2 and host-3 is being copied from host-1 to host-4 and host-5.
fn copying() -> Bench {
    let b = short(5);
    let wanted = ReplicateConfig { replica_num: 3, ..prefer(&["host-1", "host-2", "host-3"]) };
    b.put_with("k", 8, wanted);
    b.copy_start(A, "k", "host-1", &["host-4", "host-5"]).expect("room");
    b
}

#[test]
fn s8_64_a_transfer_does_not_keep_an_unmounted_source_visible() {
    for kind in [TransferKind::Copy, TransferKind::Move] {
        let b = short(2);
        b.put_on_1("k", 8);
        match kind {
            TransferKind::Copy => b.copy_start(A, "k", "host-1", &["host-2"]).expect("room"),
            TransferKind::Move => b.move_start(A, "k", "host-1", "host-2").expect("room"),
        };
        assert_eq!(b.unmount(1), Ok(()));
        assert_eq!((b.exist("k"), b.get("k").err()), (Ok(false), Some(ReplicaIsNotReady)), "{kind:?}");
        let end = match kind {
            TransferKind::Copy => b.copy_end(A, "k"),
            TransferKind::Move => b.move_end(A, "k"),
        };
        assert_eq!(end, Err(ReplicaIsGone), "{kind:?}");
        assert_eq!(b.get("k").err(), Some(ObjectNotFound), "nothing that is whole is left");
        b.replay_agrees();
    }
}

#[test]
fn s8_79_an_end_whose_source_or_target_died_gives_up_and_leaves_the_rest_intact() {
    for swept in [false, true] {
        for (gone, left) in [(1, &["host-2", "host-3"][..]), (4, &["host-1", "host-2", "host-3"])] {
            let mut b = copying();
            assert_eq!(b.unmount(gone), Ok(()));
            if swept {
                assert!(b.maintain() > 0, "the purge comes in the middle of the transfer");
            }
            assert_eq!(b.copy_end(A, "k"), Err(ReplicaIsGone), "without host-{gone}");
            assert_eq!(b.hosts("k"), left, "without host-{gone}");
            assert_eq!(b.copy_end(A, "k"), Err(ObjectNoReplicationTask), "it is given up");
            b.sleep(2 * RELEASE);
            b.maintain();
            assert_eq!(b.free_bytes(), 4 * 16 * MIB - 8 * left.len() as u64, "nothing leaks");
            assert_eq!(b.remove("k", true), Ok(()), "and nothing is pinned");
            b.replay_agrees();
        }
    }
}

#[test]
fn s8_80_a_copy_is_revoked_also_without_its_source_and_the_object_goes_when_nothing_is_left() {
    let b = copying();
    assert_eq!(b.unmount(1), Ok(()));
    assert_eq!((b.copy_revoke(A, "k"), b.hosts("k")), (Ok(()), vec!["host-2".into(), "host-3".into()]));
    b.replay_agrees();
    let b = short(2);
    b.put_on_1("k", 8);
    b.copy_start(A, "k", "host-1", &["host-2"]).expect("room");
    assert_eq!(b.unmount(1), Ok(()));
    assert_eq!((b.copy_revoke(A, "k"), b.get("k").err()), (Ok(()), Some(ObjectNotFound)));
    b.start(B, "k", 8).expect("the key is free");
    b.replay_agrees();
}

#[test]
fn s8_82_an_upsert_works_after_a_move_whose_target_died() {
    let mut b = short(3);
    b.put_on_1("k", 8);
    b.move_start(A, "k", "host-1", "host-2").expect("room");
    assert_eq!((b.unmount(2), b.move_end(A, "k")), (Ok(()), Err(ReplicaIsGone)));
    assert_eq!(b.hosts("k"), ["host-1"]);
    b.sleep(2 * TTL);
    b.upsert(B, "k", 8).expect("no leaked pin");
    assert_eq!((b.end(B, "k"), b.exist("k")), (Ok(()), Ok(true)));
    b.replay_agrees();
}

/// The object goes with the mounts of all its replicas, the transfer with it.
#[test]
fn a_transfer_whose_mounts_all_died_is_no_more() {
    let mut b = short(2);
    b.put_on_1("k", 8);
    b.copy_start(A, "k", "host-1", &["host-2"]).expect("room");
    assert_eq!((b.unmount(1), b.unmount(2)), (Ok(()), Ok(())));
    assert_eq!((b.copy_end(A, "k"), b.copy_revoke(A, "k")), (Err(ObjectNotFound), Err(ObjectNotFound)));
    b.sleep(2 * RELEASE);
    b.maintain();
    b.replay_agrees();
}

/// A mount that comes back under the same id is not the target that was handed out.
#[test]
fn a_returned_target_is_not_the_one_that_was_written() {
    let b = short(2);
    b.put_on_1("k", 8);
    b.copy_start(A, "k", "host-1", &["host-2"]).expect("room");
    assert_eq!(b.unmount(2), Ok(()));
    assert_eq!(b.mount(A, segment(2, 16 * MIB)), Ok(()));
    assert_eq!((b.copy_end(A, "k"), b.hosts("k")), (Err(ReplicaIsGone), vec!["host-1".into()]));
    b.replay_agrees();
}

#[test]
fn nothing_is_written_to_a_segment_that_is_about_to_go_but_it_may_be_read_from() {
    let mut b = short(3);
    b.put_on_1("k", 8);
    assert_eq!(b.graceful(A, 2, 200), Ok(()));
    let unavailable = Some(UnavailableInCurrentStatus);
    assert_eq!(b.copy_start(A, "k", "host-1", &["host-2"]).err(), unavailable);
    assert_eq!(b.copy_start(A, "k", "host-1", &["host-3", "host-2"]).err(), unavailable, "all or none");
    assert_eq!(b.move_start(A, "k", "host-1", "host-2").err(), unavailable);
    assert_eq!(b.copy_task("k", &["host-2"]).err(), unavailable);
    assert_eq!(b.move_task("k", "host-1", "host-2").err(), unavailable);
    assert_eq!(b.graceful(A, 1, 200), Ok(()));
    b.copy_start(A, "k", "host-1", &["host-3"]).expect("its source stays readable");
    assert_eq!(b.copy_end(A, "k"), Ok(()));
    b.live(300);
    assert_eq!(b.live_mounts(), 1, "the timers have fired");
    assert_eq!(b.hosts("k"), ["host-3"], "that is what a drain is for");
    assert_eq!(b.copy_start(A, "k", "host-3", &["host-2"]).err(), Some(SegmentNotFound));
    assert_eq!(b.copy_task("k", &["host-2"]).err(), Some(InvalidParams));
    b.replay_agrees();
}

/// The mount of a target that began to leave while it was written still ends well.
#[test]
fn a_target_that_begins_to_leave_may_be_finished() {
    let b = short(2);
    b.put_on_1("k", 8);
    b.copy_start(A, "k", "host-1", &["host-2"]).expect("room");
    assert_eq!((b.graceful(A, 2, 400), b.copy_end(A, "k")), (Ok(()), Ok(())));
    assert_eq!(b.hosts("k").len(), 2);
    b.replay_agrees();
}

fn evicting(ratio: f64, segments: u64) -> Bench {
    let eviction = EvictionRules { ratio, ..NO_EVICTION };
    let config = MasterConfig { times: MasterTimes { eviction, ..TIMES }, ..config() };
    let store = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
    let log = OpLogManager::new(LogLimits::default());
    let start =
        MasterStart { epoch: Epoch(1), since: ms(1_000), hold_until: ms(1_000), seed: 7, sabotage: None };
    let b = Bench::lead_with(config, store, log, &start);
    for n in 1..=segments {
        assert_eq!(b.mount(A, segment(n, 16 * MIB)), Ok(()));
    }
    b
}

/// Dead replicas are nobody's: they are neither counted nor evicted.
#[test]
fn only_live_replicas_are_counted_and_evicted() {
    let b = evicting(0.5, 2);
    for name in ["a", "b"] {
        b.put_on_1(name, 8);
    }
    for name in ["c", "d"] {
        b.put_with(name, 8, prefer(&["host-2"]));
    }
    b.put_with("both", 8, ReplicateConfig { replica_num: 2, ..ReplicateConfig::default() });
    assert_eq!(b.unmount(1), Ok(()));
    assert_eq!(b.start(A, "new", 1 << 40), Err(NoAvailableHandle), "arms eviction");
    b.maintain();
    let stats = b.master.eviction_stats();
    assert_eq!((stats.evicted_keys, stats.evicted_bytes), (2, 16), "half of the three that live, rounded up");
    assert_eq!(b.store.recount().objects, 1, "the dead are purged, not evicted");
    b.replay_agrees();
}

/// Memory that dies while a pass runs takes its candidates with it; the pass ends and harms nobody.
#[test]
fn a_segment_that_dies_during_a_pass_takes_its_candidates_along() {
    let mut b = evicting(0.1, 2);
    let n = limits::EVICT_VISITS_PER_STEP + 2_000;
    for i in 0..n {
        let (name, host) = (format!("k{i}"), if i % 2 == 0 { "host-1" } else { "host-2" });
        let put = [start(A, &name, 8, prefer(&[host])), end(A, &name, None)];
        put.iter().for_each(|call| assert!(b.master.execute(b.now, WallTime(7), call).appended));
    }
    assert_eq!(b.start(A, "new", 1 << 40), Err(NoAvailableHandle), "arms eviction");
    b.sleep(1);
    let _ = b.master.maintain(b.now, WallTime(7));
    let stats = b.master.eviction_stats();
    assert_eq!((stats.attempted, stats.successful), (1, 0), "the pass is under way");
    assert_eq!(b.unmount(1), Ok(()));
    for _ in 0..100 {
        let _ = b.master.maintain(b.now, WallTime(7));
    }
    let stats = b.master.eviction_stats();
    assert_eq!((stats.attempted, stats.successful), (1, 1));
    assert!(stats.evicted_keys <= n.div_ceil(10) as u64, "{stats:?}");
    let left = b.store.recount().objects;
    assert!(
        left + stats.evicted_keys >= n as u64 / 2,
        "{left} left after {stats:?}: the living were many enough"
    );
    b.sound();
    b.replay_agrees();
}
