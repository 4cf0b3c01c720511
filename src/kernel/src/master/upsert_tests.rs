//! SEMANTICS section 8: upserts and pins.

use super::objects::{address, grouped, hard, soft};
use super::*;
use crate::store::PinState;

#[test]
fn s8_35_upsert_of_a_new_key_and_of_the_same_size() {
    let b = bench(1);
    let first = b.upsert(A, "k", 100).expect("as put");
    assert_eq!((b.exist("k"), b.end(A, "k"), b.exist("k")), (Ok(false), Ok(()), Ok(true)));
    let mut b = b;
    b.sleep(2 * TTL);
    let from = b.log.tail();
    let second = b.upsert(B, "k", 100).expect("in place");
    b.logged(from, &[Op::UpsertInPlace { key: b"default\0k", client: B, pending_pin: None }]);
    assert_eq!((address(&first), first[0].id), (address(&second), second[0].id));
    assert_eq!(second[0].status, ReplicaStatus::Processing);
    assert_eq!((b.get("k"), b.exist("k")), (Err(ReplicaIsNotReady), Ok(false)));
    assert_eq!((b.end(A, "k"), b.end(B, "k")), (Err(IllegalClient), Ok(())));
    assert_eq!(address(&b.get("k").expect("complete").replicas), address(&second));
    b.replay_agrees();
}

/// Differs from section 8 by R6: under a live lease the value gets new memory.
#[test]
fn s8_35_a_leased_value_is_not_overwritten_in_place() {
    let mut b = bench(1);
    let first = b.put("k", 100);
    b.get("k").expect("complete");
    b.sleep(TTL);
    let second = b.upsert(A, "k", 100).expect("room");
    assert_ne!(address(&first), address(&second), "the reader's clock may be slow");
    assert_eq!((b.end(A, "k"), b.store.recount().limbo), (Ok(()), 1));
    let third = b.upsert(A, "k", 100).expect("room");
    assert_eq!(address(&third), address(&second), "nobody has read this one");
}

#[test]
fn s8_35_an_inherited_value_is_not_overwritten_in_place_during_the_hold() {
    let b = bench(1);
    let first = b.put("k", 100);
    b.put("j", 100);
    let mut b = b.takeover(300);
    assert_ne!(address(&b.upsert(A, "k", 100).expect("room")), address(&first));
    b.now = b.master.hold_until();
    let from = b.log.tail();
    b.upsert(A, "j", 100).expect("in place");
    b.logged(from, &[Op::UpsertInPlace { key: b"default\0j", client: A, pending_pin: None }]);
}

/// In async mode, too, nobody may learn that bytes are being overwritten before the in-sync set knows.
#[test]
fn an_upsert_in_place_waits_for_the_in_sync_set() {
    let b = bench(1);
    b.put("k", 8);
    let items = vec![PutItem { key: keys(&["k"]).remove(0), size: 8 }];
    let done = b.run(&Request::UpsertStart { client: A, config: ReplicateConfig::default(), items });
    assert!(done.byte_critical);
    assert_eq!(done.depends_on, b.log.tail());
}

#[test]
fn s8_36_upsert_of_another_size_gets_new_memory() {
    let mut b = bench(2);
    let first = b.put("k", 100);
    b.get("k").expect("complete");
    let second = b.upsert(B, "k", 5000).expect("room");
    assert_ne!(address(&first), address(&second));
    assert_eq!((b.end(B, "k"), b.store.recount().limbo), (Ok(()), 1), "the old bytes wait for the reader");
    assert_eq!(b.get("k").expect("complete").replicas[0].size, 5000);
    b.sleep(2 * TTL);
    let both = b.upsert_with(B, "k", 5000, replicas(2)).expect("room");
    assert_eq!(both.len(), 2, "another number of replicas is another value");
    assert_eq!((b.upsert(A, "k", 17 * MIB), b.end(B, "k")), (Err(NoAvailableHandle), Err(ObjectNotFound)));
    b.replay_agrees();
}

#[test]
fn s8_36_without_room_the_old_value_is_lost_as_in_stock_masters() {
    let b = bench(1);
    b.put("k", 8);
    assert_eq!(b.upsert(A, "k", 17 * MIB), Err(NoAvailableHandle));
    assert_eq!(b.get("k"), Err(ObjectNotFound));
}

#[test]
fn s8_37_upsert_preempts_a_put_and_an_upsert_at_once() {
    let mut b = bench(1);
    let put = b.start(A, "k", 100).expect("room");
    let first = b.upsert(B, "k", 100).expect("at once");
    assert_ne!(address(&put), address(&first));
    assert_eq!(b.end(A, "k"), Err(IllegalClient));
    assert_eq!(b.end(B, "k"), Ok(()));
    let in_place = b.upsert(A, "k", 100).expect("room");
    assert_eq!(address(&in_place), address(&first));
    let from = b.log.tail();
    let other = b.upsert(B, "k", 100).expect("at once");
    let key = b"default\0k";
    b.logged(
        from,
        &[
            Op::Abandon { key, client: A },
            Op::Preempt { key, release: Release::Limbo(LimboKind::Write) },
            Op::PutStart { key, client: B, size: 100, regions: regions(&other), traits: Traits::default() },
        ],
    );
    assert_eq!((b.end(A, "k"), b.end(B, "k")), (Err(IllegalClient), Ok(())));
    assert_eq!(b.store.recount().limbo, 2);
    b.sleep(RELEASE - 1);
    assert_eq!(b.maintain(), 0, "counted from the preemption, not from the start");
    b.sleep(1);
    assert_eq!(b.maintain(), 2);
    b.replay_agrees();
}

#[test]
fn s8_38_revoke_of_each_kind_of_upsert_leaves_nothing() {
    let mut b = bench(1);
    for (old, new) in [(None, 100), (Some(100), 100), (Some(100), 200)] {
        if let Some(size) = old {
            b.put("k", size);
        }
        b.upsert(B, "k", new).expect("room");
        assert_eq!(b.revoke(B, "k"), Ok(()));
        assert_eq!((b.get("k"), b.revoke(B, "k")), (Err(ObjectNotFound), Err(ObjectNotFound)));
        b.sleep(QUARANTINE);
        b.maintain();
        assert_eq!((b.free_bytes(), b.store.objects()), (16 * MIB, 0));
    }
    b.replay_agrees();
}

#[test]
fn s8_40_a_batch_mixes_absent_same_size_and_other_size() {
    let b = bench(1);
    let same = b.put("same", 8);
    let other = b.put("other", 8);
    let items = [("new", 8), ("same", 8), ("other", 100), ("same", 8), ("", 8)];
    let items = items.map(|(k, size)| PutItem { key: keys(&[k]).remove(0), size }).to_vec();
    let request = Request::UpsertStart { client: A, config: ReplicateConfig::default(), items };
    let Response::UpsertStart(r) = b.run(&request).response else { panic!() };
    let r: Vec<_> = r.into_iter().map(code).collect();
    assert_eq!(address(r[1].as_ref().expect("in place")), address(&same));
    assert_ne!(address(r[2].as_ref().expect("room")), address(&other));
    assert_ne!(address(r[3].as_ref().expect("preempts the one before")), address(&same));
    assert_eq!((r[0].is_ok(), &r[4]), (true, &Err(InvalidParams)));
    b.replay_agrees();
}

#[test]
fn s8_41_upsert_keeps_the_group_and_does_not_change_it() {
    let b = bench(1);
    b.put_with("g", 8, grouped("G"));
    b.put("u", 8);
    let before = b.store.recount();
    for (key, config) in [("g", grouped("H")), ("g", grouped("")), ("u", grouped("G"))] {
        assert_eq!(b.upsert_with(A, key, 100, config), Err(InvalidParams));
        assert_eq!(b.store.recount(), before, "the old value is untouched");
    }
    for config in [ReplicateConfig::default(), grouped("G")] {
        for size in [8, 100, 100] {
            b.upsert_with(A, "g", size, config.clone()).expect("room");
            assert_eq!((b.end(A, "g"), b.place("g").0), (Ok(()), b"G".to_vec()));
        }
    }
    b.upsert_with(A, "u", 8, grouped("")).expect("its own: none");
    b.upsert_with(A, "g", 8, grouped("G")).expect("room");
    b.upsert_with(A, "g", 8, grouped("")).expect("incomplete: may become ungrouped");
    assert!(b.place("g").0.is_empty() && b.store.routes().is_empty());
    b.upsert_with(A, "g", 8, grouped("H")).expect("and grouped");
    assert_eq!((b.place("g").0, b.place("g").2), (b"H".to_vec(), HomeId::of_group(b"H")));
    b.replay_agrees();
}

#[test]
fn s8_42_hard_pin_survives_a_size_changing_upsert() {
    let b = bench(1);
    b.put_with("k", 8, hard());
    b.upsert(A, "k", 100).expect("room");
    assert_eq!((b.end(A, "k"), b.pin("k")), (Ok(()), PinState::Hard));
    b.put("j", 8);
    b.upsert_with(A, "j", 100, hard()).expect("room");
    assert_eq!((b.end(A, "j"), b.pin("j")), (Ok(()), PinState::Hard));
    b.replay_agrees();
}

#[test]
fn s8_43_soft_pin_arguments() {
    let b = bench(1);
    let config = |action: u8, ttl| ReplicateConfig {
        soft_pin_action: action.into(),
        soft_pin_ttl_ms: ttl,
        ..ReplicateConfig::default()
    };
    for (action, ttl) in
        [(3, None), (255, Some(1)), (0, Some(1)), (2, Some(0)), (1, Some(PIN_MAX + 1)), (1, Some(u64::MAX))]
    {
        assert_eq!(b.start_with(A, "k", 8, config(action, ttl)), Err(InvalidParams), "{action} {ttl:?}");
    }
    for (i, (action, ttl)) in
        [(0, None), (1, None), (1, Some(0)), (1, Some(PIN_MAX)), (2, None)].into_iter().enumerate()
    {
        b.put_with(&format!("k{i}"), 8, config(action, ttl));
    }
    use PinState::{None as Loose, Soft};
    assert_eq!([0, 1, 2, 3, 4].map(|i| b.pin(&format!("k{i}"))), [Loose, Soft, Loose, Soft, Loose]);
    let times = MasterTimes { soft_pin_ttl: Duration::from_millis(PIN_MAX + 1), ..TIMES };
    assert!(times.check().is_err_and(|e| e.to_string().contains("soft pin")));
    assert!(MasterTimes { put_release: TIMES.put_discard, ..TIMES }.check().is_err());
    assert_eq!((TIMES.check(), MasterTimes::default().check()), (Ok(()), Ok(())));
}

#[test]
fn s8_43_a_huge_ttl_saturates() {
    let mut b = bench(1);
    b.master.times.soft_pin_ttl_max = Duration::MAX;
    b.put_with("k", 8, soft(Some(u64::MAX)));
    b.now = Instant(u64::MAX - 1);
    assert_eq!(b.pin("k"), PinState::Soft);
}

#[test]
fn s8_44_the_soft_pin_starts_at_the_first_end_and_nothing_moves_it() {
    let mut b = bench(1);
    b.start_with(A, "k", 8, soft(Some(100))).expect("room");
    b.sleep(500);
    assert_eq!(b.pin("k"), PinState::None, "not before it is readable");
    assert_eq!(b.end(A, "k"), Ok(()));
    b.sleep(99);
    assert_eq!((b.end(A, "k"), b.exist("k"), b.pin("k")), (Ok(()), Ok(true), PinState::Soft));
    b.sleep(1);
    assert_eq!(b.pin("k"), PinState::None);
    b.get("k").expect("complete");
    assert_eq!((b.end(A, "k"), b.pin("k")), (Ok(()), PinState::None), "reads do not re-arm it");
    b.replay_agrees();
}

/// All replicas here are memory, so a revoke is never partial: it takes the
/// pending pin with the object.
#[test]
fn s8_45_revoke_takes_the_pending_pin_along() {
    let b = bench(2);
    let two = ReplicateConfig { replica_num: 2, ..soft(None) };
    b.start_with(A, "k", 8, two).expect("room");
    assert_eq!(b.revoke_of(A, "k", ReplicaType::Disk), Ok(()));
    assert_eq!((b.end(A, "k"), b.pin("k")), (Ok(()), PinState::Soft), "a type it has not takes nothing");
    b.start_with(A, "j", 8, soft(None)).expect("room");
    assert_eq!(b.revoke(A, "j"), Ok(()));
    b.put("j", 8);
    assert_eq!(b.pin("j"), PinState::None);
}

#[test]
fn s8_47_changing_the_ttl_invalidates_the_older_deadline() {
    let mut b = bench(1);
    b.put_with("k", 8, soft(Some(100)));
    b.upsert_with(A, "k", 8, soft(Some(1000))).expect("in place");
    assert_eq!(b.end(A, "k"), Ok(()));
    b.sleep(999);
    assert_eq!(b.pin("k"), PinState::Soft);
    b.upsert_with(A, "k", 100, soft(Some(10))).expect("new memory");
    assert_eq!(b.end(A, "k"), Ok(()));
    b.sleep(10);
    assert_eq!(b.pin("k"), PinState::None);
    assert_eq!(b.remove("k", false), Ok(()), "pins do not keep from removing");
    b.put_with("h", 8, hard());
    b.put_with("s", 8, soft(None));
    assert_eq!((b.remove("h", false), b.remove("s", false)), (Ok(()), Ok(())));
    b.replay_agrees();
}

/// A deadline is a field of its object, so nothing is queued and nothing is left.
#[test]
fn s8_47_a_hundred_thousand_changes_of_the_ttl_leave_one_deadline() {
    let mut b = bench(1);
    b.put_with("k", 8, soft(Some(100)));
    let free = b.free_bytes();
    let items = vec![PutItem { key: Bytes::from("k"), size: 8 }];
    let end = end(A, "k", None);
    for n in 0..100_000 {
        let config = soft(Some(100 + n % 7));
        let start = Request::UpsertStart { client: A, config, items: items.clone() };
        let started = b.master.execute(b.now, WallTime(7), &start).response;
        assert!(matches!(&started, Response::UpsertStart(r) if r[0].is_ok()), "{n}: {started:?}");
        let ended = b.master.execute(b.now, WallTime(7), &end).response;
        assert_eq!(ended, Response::PutEnd(vec![Ok(())]), "{n}");
    }
    let r = b.store.recount();
    assert_eq!((r.objects, r.limbo, b.free_bytes()), (1, 0, free), "in place: no bytes wait");
    // 99,999 % 7 is 4: the last one counts, none of the others.
    b.sleep(103);
    assert_eq!(b.pin("k"), PinState::Soft);
    b.sleep(1);
    assert_eq!(b.pin("k"), PinState::None);
    b.replay_agrees();
}

#[test]
fn s8_44_what_an_upsert_does_to_the_soft_pin() {
    use PinState::{None as Loose, Soft};
    let disable = ReplicateConfig { soft_pin_action: SoftPinAction::Disable, ..ReplicateConfig::default() };
    for size in [8, 100] {
        let mut b = bench(1);
        let upsert = |b: &Bench, key: &str, config: ReplicateConfig| {
            b.upsert_with(A, key, size, config).expect("room");
            assert_eq!(b.end(A, key), Ok(()));
            b.pin(key)
        };
        for key in ["keep", "clear", "late"] {
            b.put_with(key, 8, soft(Some(100)));
        }
        b.sleep(50);
        assert_eq!(upsert(&b, "keep", ReplicateConfig::default()), Soft);
        assert_eq!(upsert(&b, "clear", disable.clone()), Loose);
        b.sleep(50);
        assert_eq!(b.pin("keep"), Loose, "with its old deadline");
        assert_eq!(upsert(&b, "late", ReplicateConfig::default()), Loose, "expired");
        b.replay_agrees();
        let b = b.takeover(300);
        assert_eq!(b.pin("clear"), Loose);
    }
}

#[test]
fn soft_pins_of_an_earlier_primary_run_again_at_full_length() {
    let mut b = bench(1);
    b.put_with("k", 8, soft(Some(100)));
    b.sleep(90);
    let copy = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
    for entry in split_entries(&b.entries_since(Seq::FIRST)) {
        copy.apply(&decode(entry.expect("whole")).expect("own bytes")).expect("fits");
    }
    let mut b = Bench::lead(copy, b.log.clone(), Epoch(2), b.now, b.now, None);
    b.sleep(99);
    assert_eq!(b.pin("k"), PinState::Soft);
    b.sleep(1);
    assert_eq!(b.pin("k"), PinState::None);
}

#[test]
fn s8_48_the_default_is_not_pinned() {
    let b = bench(1);
    b.put("k", 8);
    assert_eq!(b.pin("k"), PinState::None);
    assert!(PinState::None < PinState::Soft && PinState::Soft < PinState::Hard);
    let data = ReplicateConfig { data_type: DataType(3), ..ReplicateConfig::default() };
    b.put_with("w", 8, data);
    assert_eq!((b.place("k").1, b.place("w").1), (0, 3));
}
