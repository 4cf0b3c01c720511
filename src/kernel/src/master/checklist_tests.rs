//! SEMANTICS section 8, by line, as far as the calls exist.

use super::*;

#[test]
fn s8_01_empty_key_no_length_no_replicas() {
    let b = bench(1);
    assert_eq!(b.start(A, "", 8), Err(InvalidParams));
    assert_eq!(b.start(A, "k", 0), Err(InvalidParams));
    assert_eq!(b.start_with(A, "k", 8, replicas(0)), Err(InvalidParams));
    assert_eq!(b.get("k"), Err(ObjectNotFound));
}

#[test]
fn s8_02_start_hands_out_processing_replicas_on_different_segments() {
    let b = bench(3);
    let placed = b.start_with(A, "k", 1000, replicas(3)).expect("room");
    let mut names: Vec<_> = placed.iter().map(|r| r.segment.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["host-1", "host-2", "host-3"]);
    for r in &placed {
        assert_eq!((r.size, r.status), (1000, ReplicaStatus::Processing));
        assert!(r.address >= r.segment.base && r.address + 1000 <= r.segment.base + r.segment.size);
    }
}

#[test]
fn s8_03_not_ready_before_the_end_complete_after() {
    let b = bench(1);
    let placed = b.start(A, "k", 100).expect("room");
    assert_eq!(b.get("k"), Err(ReplicaIsNotReady));
    assert_eq!(b.end(A, "k"), Ok(()));
    let got = b.get("k").expect("complete");
    let complete: ReplicaDescriptors =
        placed.into_iter().map(|r| ReplicaDescriptor { status: ReplicaStatus::Complete, ..r }).collect();
    assert_eq!((got.replicas, got.lease, got.checksum), (complete, TIMES.read_ttl, None));
}

#[test]
fn s8_04_life_cycle_for_each_replica_count() {
    let mut b = bench(4);
    let all = b.free_bytes();
    for n in 1..=4u32 {
        let placed = b.start_with(A, "k", MIB, replicas(n)).expect("room");
        assert_eq!((placed.len(), b.free_bytes()), (n as usize, all - u64::from(n) * MIB));
        assert_eq!(b.end(A, "k"), Ok(()));
        let shown = b.get("k").expect("complete").replicas;
        let at = |r: &ReplicaDescriptor| (r.id, r.address);
        assert_eq!(shown.iter().map(at).collect::<Vec<_>>(), placed.iter().map(at).collect::<Vec<_>>());
        b.sleep(2 * TTL);
        assert_eq!(b.remove("k", false), Ok(()));
        assert_eq!(b.free_bytes(), all);
    }
    b.replay_agrees();
}

#[test]
fn s8_05_get_of_a_missing_key() {
    assert_eq!(bench(1).get("k"), Err(ObjectNotFound));
}

#[test]
fn s8_06_exists_only_after_the_end() {
    let b = bench(1);
    assert_eq!(b.exist("k"), Ok(false));
    b.start(A, "k", 8).expect("room");
    assert_eq!(b.exist("k"), Ok(false));
    assert_eq!(b.end(A, "k"), Ok(()));
    assert_eq!(b.exist("k"), Ok(true));
}

#[test]
fn s8_07_start_twice() {
    let b = bench(1);
    b.start(A, "k", 8).expect("room");
    assert_eq!(b.start(A, "k", 8), Err(ObjectAlreadyExists));
    assert_eq!(b.end(A, "k"), Ok(()));
    assert_eq!(b.start(A, "k", 8), Err(ObjectAlreadyExists));
}

#[test]
fn s8_08_end_by_another_client_leaves_the_write_alone() {
    let b = bench(1);
    b.start(A, "k", 8).expect("room");
    assert_eq!(b.end(B, "k"), Err(IllegalClient));
    assert_eq!(b.exist("k"), Ok(false));
    assert_eq!(b.end(A, "k"), Ok(()));
    assert_eq!(b.end(B, "k"), Err(IllegalClient), "checked on repeats, too");
}

#[test]
fn s8_09_end_repeated_is_fine_and_changes_nothing() {
    let b = bench(1);
    b.start(A, "k", 8).expect("room");
    assert_eq!(b.end_with(A, "k", Some(5)), Ok(()));
    let before = b.store.digest();
    assert_eq!(b.end_with(A, "k", Some(6)), Ok(()));
    assert_eq!(b.store.digest(), before);
    assert_eq!(b.get("k").expect("complete").checksum, Some(5));
}

/// Replicas of one object end together, so "no write in progress and an incomplete target" cannot be.
#[test]
fn s8_10_end_without_a_write() {
    let b = bench(1);
    assert_eq!(b.end(A, "k"), Err(ObjectNotFound));
    b.put("k", 8);
    assert_eq!(b.remove("k", false), Ok(()));
    assert_eq!(b.end(A, "k"), Err(ObjectNotFound));
}

#[test]
fn s8_13_the_checksum_given_at_the_end_is_returned() {
    let b = bench(1);
    for (key, checksum) in [("a", None), ("b", Some(0)), ("c", Some(u64::MAX))] {
        b.start(A, key, 8).expect("room");
        assert_eq!(b.end_with(A, key, checksum), Ok(()));
        assert_eq!(b.get(key).expect("complete").checksum, checksum);
    }
}

#[test]
fn s8_14_remove_twice_and_a_thousand_times() {
    let mut b = bench(1);
    assert_eq!(b.remove("k", false), Err(ObjectNotFound));
    b.put("k", 8);
    assert_eq!(b.remove("k", false), Ok(()));
    assert_eq!(b.remove("k", false), Err(ObjectNotFound));
    let empty = b.store.recount();
    for i in 0..1000u64 {
        b.sleep(1);
        for request in [start(A, "k", 1 + i * 16, replicas(1)), end(A, "k", None), remove(&["k"], false)] {
            assert!(b.master.execute(b.now, WallTime(7), &request).appended);
        }
    }
    let after = b.store.recount();
    assert_eq!((after.objects, after.limbo, after.digest), (0, 0, empty.digest));
    assert_eq!(b.free_bytes(), 16 * MIB);
    b.sound();
}

#[test]
fn s8_15_remove_under_a_lease() {
    let mut b = bench(1);
    b.put("k", 8);
    b.put("j", 8);
    b.get("k").expect("complete");
    b.get("j").expect("complete");
    assert_eq!(b.remove("k", false), Err(ObjectHasLease));
    assert_eq!(b.remove("k", true), Ok(()));
    b.now = Instant(b.now.plus(TIMES.read_ttl).0 - 1);
    assert_eq!(b.remove("j", false), Err(ObjectHasLease));
    b.now = Instant(b.now.0 + 1);
    assert_eq!(b.remove("j", false), Ok(()));
}

#[test]
fn s8_16_reads_and_existence_checks_grant_the_lease() {
    let b = bench(1);
    for (key, read) in [("a", get(&["a"])), ("b", exist(&["b"]))] {
        b.put(key, 8);
        let _ = b.run(&read);
        assert_eq!(b.remove(key, false), Err(ObjectHasLease));
    }
    b.put("c", 8);
    b.start(A, "d", 8).expect("room");
    assert_eq!((b.exist("d"), b.get("d")), (Ok(false), Err(ReplicaIsNotReady)));
    assert_eq!(b.remove("c", false), Ok(()), "a lease on one key is none on another");
    assert_eq!(b.end(A, "d"), Ok(()));
    assert_eq!(b.remove("d", false), Ok(()), "an answer that says no grants nothing");
}

#[test]
fn s8_17_remove_of_an_unfinished_write() {
    let b = bench(1);
    b.start(A, "k", 8).expect("room");
    assert_eq!(b.remove("k", false), Err(ReplicaIsNotReady));
    assert_eq!(b.remove("k", true), Err(ReplicaIsNotReady));
}

#[test]
fn s8_21_batch_remove_with_missing_and_repeated_keys() {
    let b = bench(1);
    b.put("a", 8);
    b.put("ü/..\u{1}", 8);
    let Response::Remove(r) = b.run(&remove(&["a", "none", "a", "ü/..\u{1}"], false)).response else {
        panic!()
    };
    let codes: Vec<_> = r.into_iter().map(code).collect();
    assert_eq!(codes, [Ok(()), Err(ObjectNotFound), Err(ObjectNotFound), Ok(())]);
    assert_eq!(b.run(&remove(&[], false)).response, Response::Remove(Vec::new()));
}

#[test]
fn s8_22_batches_keep_their_order() {
    let b = bench(1);
    b.put("a", 8);
    b.start(A, "open", 8).expect("room");
    b.put("z", 16);
    let Response::GetReplicaList(r) = b.run(&get(&["z", "none", "open", "a", ""])).response else { panic!() };
    let sizes: Vec<_> = r.into_iter().map(|r| code(r).map(|l| l.replicas[0].size)).collect();
    let no = |e| Err::<u64, _>(e);
    assert_eq!(sizes, [Ok(16), no(ObjectNotFound), no(ReplicaIsNotReady), Ok(8), no(InvalidParams)]);
    let Response::ExistKey(r) = b.run(&exist(&["none", "z", "open", "a"])).response else { panic!() };
    assert_eq!(r, [Ok(false), Ok(true), Ok(false), Ok(true)]);
}

/// Lists of different lengths cannot be expressed here: the door refuses them (s8_23 in tests/it/mooncake_door.rs).
#[test]
fn a_batch_start_handles_its_elements_one_by_one() {
    let b = bench(1);
    let items = [("a", 8), ("", 8), ("b", 0), ("a", 8), ("c", 17 * MIB), ("d", 8)];
    let items = items.map(|(k, size)| PutItem { key: keys(&[k]).remove(0), size }).to_vec();
    let request = Request::PutStart { client: A, config: ReplicateConfig::default(), items };
    let Response::PutStart(r) = b.run(&request).response else { panic!() };
    let codes: Vec<_> = r.into_iter().map(|r| code(r).map(|l| l.len())).collect();
    let no = |e| Err::<usize, _>(e);
    let want =
        [Ok(1), no(InvalidParams), no(InvalidParams), no(ObjectAlreadyExists), no(NoAvailableHandle), Ok(1)];
    assert_eq!(codes, want);
}

/// Without the stock master's counter of partial allocations, which docs/migrating.md names as missing.
#[test]
fn s8_24_fewer_segments_than_replicas_is_success() {
    let b = bench(1);
    assert_eq!(b.start_with(A, "k", 8, replicas(2)).map(|r| r.len()), Ok(1));
    assert_eq!(b.end(A, "k"), Ok(()));
    assert_eq!(b.get("k").map(|l| l.replicas.len()), Ok(1));
}

#[test]
fn s8_25_replicas_of_one_object_never_share_a_segment_name() {
    let b = bench(2);
    let twin = SegmentSpec { name: "host-1".into(), ..segment(3, 16 * MIB) };
    assert_eq!(b.mount(B, twin), Ok(()));
    let wish = ReplicateConfig { replica_num: 3, ..prefer(&["host-1", "host-1"]) };
    for i in 0..20 {
        let placed = b.start_with(A, &format!("k{i}"), 8, wish.clone()).expect("room");
        let names: Vec<_> = placed.iter().map(|r| r.segment.name.as_str()).collect();
        assert_eq!(names, ["host-1", "host-2"]);
    }
}

#[test]
fn s8_28_an_unfinished_write_is_taken_over_after_the_discard_time() {
    let mut b = bench(1);
    let old = b.start(A, "k", 8).expect("room");
    b.sleep(DISCARD);
    assert_eq!(b.start(B, "k", 8), Err(ObjectAlreadyExists), "not at, only after");
    b.now = Instant(b.now.0 + 1);
    let new = b.start(B, "k", 8).expect("preempts");
    assert_ne!(old[0].address, new[0].address);
    assert_eq!(b.end(A, "k"), Err(IllegalClient), "the old writer lost it");
    assert_eq!(b.end(B, "k"), Ok(()));
    assert_eq!(b.get("k").expect("complete").replicas[0].address, new[0].address);
    b.sleep(10 * DISCARD);
    assert_eq!(b.start(A, "k", 8), Err(ObjectAlreadyExists), "what is complete is never preempted");
}

#[test]
fn s8_29_discarded_memory_is_unusable_until_the_release_time_of_its_start() {
    let mut b = bench(1);
    b.put("live", 6 * MIB);
    let started = b.now;
    b.start(A, "k", 6 * MIB).expect("room");
    b.sleep(DISCARD + 1);
    assert_eq!(b.start(B, "k", 6 * MIB), Err(NoAvailableHandle));
    assert_eq!(b.exist("k"), Ok(false));
    b.now = Instant(started.plus(TIMES.put_release).0 - 1);
    assert_eq!((b.maintain(), b.start(B, "k", 6 * MIB)), (0, Err(NoAvailableHandle)));
    b.now = started.plus(TIMES.put_release);
    assert_eq!(b.maintain(), 1);
    b.start(B, "k", 6 * MIB).expect("room again");
    b.replay_agrees();
}

#[test]
fn s8_59_mount_is_idempotent_and_names_conflicts() {
    let b = bench(1);
    let known = segment(1, 16 * MIB);
    let tail = b.log.tail();
    assert_eq!(b.mount(A, known.clone()), Ok(()));
    let other = [
        (B, known.clone()),
        (A, SegmentSpec { base: known.base + 1, ..known.clone() }),
        (A, SegmentSpec { size: known.size + 1, ..known.clone() }),
        (A, SegmentSpec { name: "other".into(), ..known.clone() }),
        (A, SegmentSpec { te_endpoint: "other".into(), ..known.clone() }),
        (A, SegmentSpec { protocol: "rdma".into(), ..known.clone() }),
    ];
    for (client, spec) in other {
        assert_eq!(b.mount(client, spec), Err(SegmentAlreadyExists));
    }
    assert_eq!(b.mount(A, SegmentSpec { base: 0, ..segment(2, 1) }), Err(InvalidParams));
    assert_eq!(b.mount(A, segment(2, 0)), Err(InvalidParams));
    assert_eq!((b.log.tail(), b.store.segments().read().mounts().len()), (tail, 1));
}

#[test]
fn s8_72_preferred_segments_are_tried_first_and_in_order() {
    let b = bench(3);
    let on = |key: &str, size: u64, names: &[&str]| {
        b.start_with(A, key, size, prefer(names)).map(|r| r[0].segment.name.clone())
    };
    for i in 0..10 {
        assert_eq!(on(&format!("a{i}"), 8, &["host-2"]), Ok("host-2".into()));
        assert_eq!(on(&format!("b{i}"), 8, &["nowhere", "host-3", "host-1"]), Ok("host-3".into()));
    }
    assert_eq!(on("fill", 15 * MIB, &["host-3"]), Ok("host-3".into()));
    assert_eq!(on("next", 8 * MIB, &["host-3", "host-1"]), Ok("host-1".into()), "full: the next wish");
    assert_eq!(on("last", 12 * MIB, &["host-3", "host-1"]), Ok("host-2".into()), "full: anywhere");
    let wish = ReplicateConfig { replica_num: 2, ..prefer(&["host-2", "host-1"]) };
    let both = b.start_with(A, "two", 8, wish).expect("room");
    assert_eq!(both.iter().map(|r| r.segment.name.as_str()).collect::<Vec<_>>(), ["host-2", "host-1"]);
}

#[test]
fn s8_73_no_room_is_an_error_and_leaks_nothing() {
    let empty = bench(0);
    assert_eq!(empty.start(A, "k", 8), Err(NoAvailableHandle));
    let b = bench(2);
    let all = b.free_bytes();
    for size in [16 * MIB + 1, 1 << 40, 1 << 62, u64::MAX] {
        assert_eq!(b.start_with(A, "k", size, replicas(2)), Err(NoAvailableHandle));
    }
    b.start_with(A, "fill", 16 * MIB, replicas(2)).expect("exactly all");
    assert_eq!((b.free_bytes(), b.start(A, "k", 1)), (0, Err(NoAvailableHandle)));
    assert_eq!(b.end(A, "fill"), Ok(()));
    assert_eq!(b.remove("fill", false), Ok(()));
    assert_eq!(b.free_bytes(), all);
}
