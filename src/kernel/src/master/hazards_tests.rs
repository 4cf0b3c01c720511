//! Hazards of SEMANTICS section 9 that a master alone can show: each of these
//! breaks the stock master around a failover. The others are named in
//! `tests/tidy/hazards.rs`.

use super::lenders::fail_over;
use super::objects::address;
use super::segments::{id, short};
use super::*;

/// Every region that a successor hands out until nothing is left.
fn all_that_is_left(b: &Bench, size: u64) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    while let Ok(replicas) = b.start(B, &format!("filler-{}", all.len()), size) {
        all.push((replicas[0].address, replicas[0].size));
    }
    all
}

fn apart(all: &[(u64, u64)], address: u64, size: u64) -> bool {
    all.iter().all(|(at, len)| at + len <= address || address + size <= *at)
}

#[test]
fn h01_a_write_in_flight_keeps_its_memory_on_the_successor() {
    let b = bench(1);
    let slow = b.start(A, "k", MIB).expect("room");
    let b = fail_over(&b);
    let others = all_that_is_left(&b, MIB);
    assert_eq!(others.len(), 15);
    assert!(apart(&others, slow[0].address, MIB), "nobody else gets what the writer still writes");
    assert_eq!(b.end(A, "k"), Ok(()), "and its writer may end it");
    assert_eq!(b.get("k").map(|list| list.replicas[0].address), Ok(slow[0].address));
}

#[test]
fn h02_revoked_memory_waits_for_packets_that_are_still_under_way() {
    let mut b = bench(1);
    b.start(A, "k", 16 * MIB).expect("room");
    assert_eq!(b.revoke(A, "k"), Ok(()));
    assert_eq!(b.start(B, "j", 16 * MIB), Err(NoAvailableHandle));
    b.sleep(QUARANTINE);
    b.maintain();
    assert_eq!(b.start(B, "j", 16 * MIB).map(|r| r.len()), Ok(1));
}

#[test]
fn h03_an_upsert_in_place_stays_hidden_after_a_failover() {
    let mut b = bench(1);
    let first = b.put("k", MIB);
    b.sleep(2 * TTL);
    let second = b.upsert(A, "k", MIB).expect("in place");
    assert_eq!(address(&first), address(&second));
    let mut b = fail_over(&b);
    assert_eq!((b.get("k"), b.exist("k")), (Err(ReplicaIsNotReady), Ok(false)));
    b.sleep(2 * RELEASE);
    while b.maintain() > 0 {}
    assert_eq!(b.get("k"), Err(ObjectNotFound), "with its writer gone the half written value goes");
}

#[test]
fn h04_the_end_of_an_inherited_upsert_publishes_the_new_value_and_nobody_else_may_end_it() {
    let b = bench(1);
    let old = b.put("k", MIB);
    b.get("k").expect("complete");
    let new = b.upsert(A, "k", 2 * MIB).expect("room for it beside what is being read");
    let b = fail_over(&b);
    assert_eq!((b.end(B, "k"), b.end(A, "k")), (Err(IllegalClient), Ok(())));
    let shown = b.get("k").expect("complete").replicas;
    assert_eq!(address(&shown), address(&new));
    assert_ne!(address(&shown), address(&old));
}

#[test]
fn h05_the_old_value_of_an_abandoned_upsert_is_gone_on_every_copy_before_its_memory_is_used() {
    let mut b = bench(1);
    let old = b.put("k", MIB);
    b.upsert(A, "k", 2 * MIB).expect("room");
    b.sleep(2 * RELEASE);
    while b.maintain() > 0 {}
    let reused = all_that_is_left(&b, MIB);
    assert!(!apart(&reused, old[0].address, MIB), "all of it is used again");
    let b = fail_over(&b);
    assert_eq!(b.exist("k"), Ok(false), "and nobody finds the old value over it");
    b.sound();
}

#[test]
fn h06_memory_is_handed_out_again_only_behind_the_entry_that_freed_it() {
    let b = bench(1);
    b.put("k", 16 * MIB);
    let removed_at = b.log.tail();
    assert_eq!(b.remove("k", true), Ok(()));
    let item = PutItem { key: keys(&["k"]).remove(0), size: 16 * MIB };
    let again =
        b.run(&Request::PutStart { client: A, config: ReplicateConfig::default(), items: vec![item] });
    assert!(matches!(&again.response, Response::PutStart(r) if r[0].is_ok()));
    assert!(again.depends_on > removed_at.next(), "the answer waits for the removal, too");
    // A successor that lacks the end of the log has the object and no write into its memory.
    b.replay_agrees();
}

#[test]
fn h08_a_removed_object_does_not_come_back() {
    let b = bench(1);
    for key in ["one", "all"] {
        b.put(key, MIB);
    }
    assert_eq!(b.remove("one", true), Ok(()));
    let b = fail_over(&b);
    assert_eq!((b.exist("one"), b.exist("all")), (Ok(false), Ok(true)));
    assert_eq!(
        b.start(B, "one", MIB).map(|r| r.len()),
        Ok(1),
        "a new value is not told that the old one exists"
    );
}

#[test]
fn h10_a_key_of_a_dead_lender_is_not_shown_over_memory_that_others_used() {
    let b = short(1);
    b.put("victim", MIB);
    assert_eq!(b.unmount(1), Ok(()));
    assert_eq!(b.mount(A, segment(1, 16 * MIB)), Ok(()));
    let mut b = b;
    b.live(4 * RELEASE);
    assert_eq!(b.mount(A, segment(1, 16 * MIB)), Ok(()));
    b.put("other", MIB);
    assert_eq!(b.remove("other", true), Ok(()), "the only object that overlapped it is gone, and logged");
    let b = fail_over(&b);
    assert_eq!((b.exist("victim"), b.exist("other")), (Ok(false), Ok(false)));
}

/// The stock restore knows segments by name and endpoint, and fails as a whole.
#[test]
fn h12_shared_names_and_several_segments_of_one_client_survive_a_failover() {
    let b = bench(1);
    let same_name =
        SegmentSpec { id: id(5), base: 1 << 40, te_endpoint: "other:1".into(), ..segment(1, MIB) };
    let same_endpoint = SegmentSpec { id: id(6), name: "third".into(), base: 1 << 41, ..segment(1, MIB) };
    assert_eq!((b.mount(B, same_name), b.mount(A, same_endpoint)), (Ok(()), Ok(())));
    b.start_with(A, "k", MIB, prefer(&["third"])).expect("room");
    assert_eq!(b.end(A, "k"), Ok(()));
    let b = fail_over(&b);
    assert_eq!((b.live_mounts(), b.exist("k")), (3, Ok(true)));
    b.sound();
}

/// Stock: all of the used bytes and none of the capacity counted, so everything was evicted.
#[test]
fn h13_a_failover_before_anybody_is_back_evicts_nothing() {
    let eviction = EvictionRules { ratio: 0.1, high_watermark: 0.9, soft_pinned: true };
    let b = bench_with(MasterTimes { eviction, ..TIMES }, 2);
    for i in 0..24 {
        b.put(&format!("k{i}"), MIB);
    }
    let mut b = fail_over(&b);
    b.sleep(2 * RELEASE);
    for _ in 0..10 {
        b.maintain();
    }
    assert!((0..24).all(|i| b.exist(&format!("k{i}")) == Ok(true)));
}

#[test]
fn h23_a_retried_put_is_not_told_that_its_own_lost_attempt_exists() {
    let b = bench(1);
    let lost = b.start(A, "k", MIB).expect("room");
    let b = fail_over(&b);
    let again = b.start(A, "k", MIB).expect("preempts at once");
    assert_ne!(again[0].address, lost[0].address, "what the lost attempt may still write is left alone");
}

/// Replayed entries carry addresses: a copy allocates nothing by itself.
#[test]
fn h27_a_copy_places_nothing_by_itself() {
    let mut b = bench(2);
    for i in 0..20 {
        b.put(&format!("k{i}"), MIB / 2 + i * 4096);
        if i % 3 == 2 {
            assert_eq!(b.remove(&format!("k{}", i / 2), true), Ok(()));
        }
        b.sleep(7);
    }
    let here: Vec<_> = (0..20).map(|i| b.get(&format!("k{i}")).map(|l| address(&l.replicas)).ok()).collect();
    let b = fail_over(&b);
    let there: Vec<_> = (0..20).map(|i| b.get(&format!("k{i}")).map(|l| address(&l.replicas)).ok()).collect();
    assert_eq!(here, there);
}
