//! SEMANTICS section 8: groups. Rule R21: attempts. BatchReplicaClear.

use super::objects::grouped;
use super::*;

#[test]
fn s8_87_grouped_keys_are_found_by_key_and_routes_vanish() {
    let b = bench(1);
    for key in ["a", "b", "c"] {
        b.put_with(key, 8, grouped("G"));
    }
    b.put("d", 8);
    assert_eq!(b.store.routes().len(), 3);
    assert!(["a", "b", "c"].iter().all(|k| b.place(k).2 == HomeId::of_group(b"G")));
    assert_eq!(b.start_with(A, "a", 8, grouped("H")), Err(ObjectAlreadyExists), "a key is in one group");
    assert_eq!(b.start(A, "a", 8), Err(ObjectAlreadyExists));
    assert_eq!(b.start_with(A, "d", 8, grouped("H")), Err(ObjectAlreadyExists));
    assert!(["a", "b", "c", "d"].iter().all(|k| b.get(k).is_ok()));
    assert_eq!(b.remove("b", true), Ok(()));
    assert_eq!((b.exist("a"), b.exist("b"), b.exist("c")), (Ok(true), Ok(false), Ok(true)));
    assert_eq!((b.remove("a", true), b.remove_matching("c", true)), (Ok(()), Ok(1)));
    assert_eq!(b.store.routes().len(), 0);
    b.start(A, "a", 8).expect("free again");
    b.start_with(A, "w", 8, grouped("G")).expect("room");
    assert_eq!((b.revoke(A, "w"), b.store.routes().len()), (Ok(()), 0));
    b.replay_agrees();
}

#[test]
fn s8_88_a_lease_near_its_end_is_renewed_for_the_whole_group() {
    let mut b = bench(1);
    for key in ["a", "b"] {
        b.put_with(key, 8, grouped("G"));
    }
    b.put_with("other", 8, grouped("H"));
    b.get("a").expect("complete");
    assert_eq!(b.remove("b", false), Err(ObjectHasLease), "its peer was read");
    assert_eq!(b.remove("other", false), Ok(()));
    b.sleep(TTL / 4);
    b.get("a").expect("complete");
    b.sleep(TTL * 3 / 4);
    assert_eq!(b.remove("b", false), Ok(()), "a fresh lease is not spread again");
    b.put_with("b", 8, grouped("G"));
    b.get("a").expect("complete");
    assert_eq!(b.remove("b", false), Err(ObjectHasLease), "but a new member gets it");
    b.sleep(TTL / 2);
    assert_eq!(b.exist("a"), Ok(true));
    b.sleep(TTL / 2);
    assert_eq!(b.remove("b", false), Err(ObjectHasLease), "half over: spread");
}

#[test]
fn batch_replica_clear_takes_only_the_writer_s_unread_objects() {
    let mut b = bench(2);
    for key in ["mine", "read", "both"] {
        b.put_with(key, 8, replicas(2));
    }
    b.start(B, "theirs", 8).expect("room");
    assert_eq!(b.end(B, "theirs"), Ok(()));
    b.start(A, "open", 8).expect("room");
    b.get("read").expect("complete");
    let cleared = b.clear(A, &["mine", "none", "", "theirs", "read", "open", "mine"], "");
    assert_eq!(cleared, keys(&["mine"]));
    assert!(b.clear(A, &["both"], "nowhere").is_empty());
    let from = b.log.tail();
    let both = b.get("both").expect("complete").replicas;
    let on = |name: &str| both.iter().find(|r| r.segment.name == name).expect("there").id;
    assert!(b.clear(A, &["both"], "host-1").is_empty(), "leased");
    b.sleep(2 * TTL);
    assert_eq!(b.clear(A, &["both", "open"], "host-1"), keys(&["both"]));
    let drop = Op::DropReplica { key: b"default\0both", id: on("host-1"), release: Release::Now };
    b.logged(from, &[drop]);
    assert_eq!(b.get("both").map(|l| l.replicas[0].id), Ok(on("host-2")));
    b.sleep(2 * TTL);
    assert!(b.clear(A, &["both"], "host-1").is_empty(), "nothing is left there");
    assert_eq!(b.clear(A, &["both"], "host-2"), keys(&["both"]), "the last one takes the object along");
    assert_eq!(b.get("both"), Err(ObjectNotFound));
    b.replay_agrees();
}

/// G7: the removal of a grouped key is in the group's home, and the key is then
/// looked for in its own. Whatever tells that it is gone waits for the removal.
#[test]
fn what_left_its_group_is_gone_only_once_that_is_committed() {
    let gone = |b: &Bench, at: Seq| {
        let items = vec![EndItem { key: keys(&["k"]).remove(0), checksum: None }];
        let revoked = Request::PutRevoke { client: A, keys: keys(&["k"]), replica_type: ReplicaType::All };
        let ended = Request::PutEnd { client: A, items, replica_type: ReplicaType::All };
        let cleared = Request::BatchReplicaClear { keys: keys(&["k"]), client: A, segment: String::new() };
        let key = keys(&["k"]).remove(0);
        let copied = Request::CopyRevoke { client: A, key };
        let looks = [
            get(&["k"]),
            exist(&["k"]),
            exist(&["other", "k"]),
            remove(&["k"], true),
            ended,
            revoked,
            cleared,
        ];
        for look in looks.into_iter().chain([copied]) {
            let done = b.run(&look);
            assert!(done.depends_on >= at && !done.appended, "{look:?}: {} of {at}", done.depends_on);
        }
    };
    for put in [false, true] {
        let b = bench(1);
        if put {
            b.put_with("k", 8, grouped("G"));
            assert_eq!(b.remove("k", true), Ok(()));
        } else {
            b.start_with(A, "k", 8, grouped("G")).expect("room");
            assert_eq!(b.revoke(A, "k"), Ok(()));
        }
        let at = b.log.tail();
        gone(&b, at);
        gone(&lenders::fail_over(&b), at);
        b.store.derive().expect("sound");
        gone(&b, at);
    }
    let b = bench(1);
    b.put_with("k", 8, grouped("G"));
    assert_eq!(b.remove_all(true), 1);
    gone(&b, b.log.tail());
    let b = segments::short(1);
    b.put_with("k", 8, grouped("G"));
    assert_eq!(b.unmount(1), Ok(()));
    assert!(b.maintain() > 0);
    gone(&b, b.log.tail());
}

/// R21: two threads of one client on one key.
#[test]
fn an_end_is_charged_to_the_oldest_preempted_attempt_of_its_client() {
    let mut b = bench(1);
    b.start(A, "k", 8).expect("thread 1");
    b.sleep(DISCARD + 1);
    b.start(A, "k", 8).expect("thread 2");
    let from = b.log.tail();
    assert_eq!(b.end(A, "k"), Err(InvalidWrite), "thread 1, late");
    b.logged(from, &[Op::Resolve { key: b"default\0k", since: Seq(from.0 - 3) }]);
    assert_eq!(b.exist("k"), Ok(false), "what thread 2 is writing is not shown");
    assert_eq!((b.end(A, "k"), b.exist("k")), (Ok(()), Ok(true)));
    b.replay_agrees();
}

#[test]
fn a_late_revoke_frees_nothing_of_the_next_attempt() {
    let mut b = bench(1);
    b.start(A, "k", MIB).expect("thread 1");
    b.sleep(DISCARD + 1);
    b.start(A, "k", MIB).expect("thread 2");
    b.upsert(A, "k", MIB).expect("thread 3");
    let free = b.free_bytes();
    assert_eq!(b.revoke(A, "k"), Ok(()), "thread 1");
    b.sleep(QUARANTINE + 1);
    b.maintain();
    assert_eq!(b.free_bytes(), free, "threads 2 and 3 may be writing still");
    assert_eq!(b.revoke(A, "k"), Err(ObjectNotFound), "thread 2");
    assert_eq!(
        b.end(A, "k"),
        Err(ObjectNotFound),
        "thread 3: a failed put, for it might not have been whole"
    );
    b.start(A, "k", MIB).expect("room");
    assert_eq!(b.end(A, "k"), Ok(()), "all have spoken");
    b.sleep(RELEASE);
    b.maintain();
    assert_eq!(b.free_bytes(), 15 * MIB, "only that one is left");
    b.replay_agrees();
}

/// The revoke is the second thread's, the end the first one's: it would publish
/// what the second one gave up.
#[test]
fn a_revoke_and_an_end_that_cross_publish_nothing() {
    let b = bench(1);
    b.start(A, "k", 8).expect("thread 1");
    b.upsert(A, "k", 8).expect("thread 2");
    assert_eq!(b.revoke(A, "k"), Ok(()), "thread 2, half way");
    assert_eq!(b.end(A, "k"), Err(ObjectNotFound), "thread 1");
    assert_eq!(b.exist("k"), Ok(false));
    b.replay_agrees();
}

#[test]
fn attempts_are_told_apart_by_client_key_and_survive_a_failover_and_a_change_of_group() {
    let b = bench(1);
    b.start_with(A, "k", 8, grouped("G")).expect("thread 1");
    b.upsert_with(A, "k", 8, grouped("")).expect("thread 2, elsewhere");
    b.start(A, "j", 8).expect("room");
    b.upsert(B, "j", 8).expect("preempts");
    let copy = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
    for entry in split_entries(&b.entries_since(Seq::FIRST)) {
        copy.apply(&decode(entry.expect("whole")).expect("own bytes")).expect("fits");
    }
    let mut b = Bench::lead(copy, b.log.clone(), Epoch(2), b.now, b.now, None);
    assert_eq!(b.end(B, "j"), Ok(()), "A's attempt is not B's");
    assert_eq!((b.end(A, "k"), b.end(A, "k")), (Err(InvalidWrite), Ok(())));
    assert_eq!(b.end(A, "j"), Err(IllegalClient), "resolves A's");
    assert_eq!(b.remove("j", true), Ok(()));
    b.start(A, "j", 8).expect("room");
    assert_eq!(b.end(A, "j"), Ok(()));
    // One that its client never resolves is forgotten with the quarantine.
    b.upsert(A, "j", 8).expect("room");
    b.upsert(A, "j", 8).expect("preempts");
    b.sleep(RELEASE);
    b.maintain();
    assert_eq!(b.end(A, "j"), Err(ObjectNotFound), "discarded at the same age");
    b.upsert(A, "j", 8).expect("room");
    assert_eq!(b.end(A, "j"), Ok(()));
    b.replay_agrees();
}

#[test]
fn bad_batches_of_the_new_calls_change_nothing() {
    let b = bench(1);
    b.put("k", 8);
    let (before, tail) = (b.store.recount(), b.log.tail());
    let long = "x".repeat(limits::KEY_BYTES_MAX + 1);
    for key in ["", &long] {
        assert_eq!(b.upsert(A, key, 8), Err(InvalidParams));
        assert_eq!(b.revoke(A, key), Err(InvalidParams));
        assert!(b.clear(A, &[key], "").is_empty());
    }
    assert_eq!(b.upsert(A, "k", 0), Err(InvalidParams));
    assert_eq!(
        b.start_with(A, "n", 8, grouped(&"g".repeat(limits::GROUP_BYTES_MAX + 1))),
        Err(InvalidParams)
    );
    assert_eq!((b.store.recount(), b.log.tail()), (before, tail));
    let key = "x".repeat(limits::KEY_BYTES_MAX);
    let longest = "g".repeat(limits::GROUP_BYTES_MAX);
    b.put_with(&key, 8, grouped(&longest));
    b.replay_agrees();
}

/// Threads that start, read, end and remove the same keys in and out of groups:
/// a key is never in two places, and what was logged replays.
#[test]
fn s8_26_concurrent_starts_reads_and_removals() {
    let b = bench(2);
    let run = |request: &Request| b.master.execute(b.now, WallTime(7), request).response;
    let work = |who: u64| {
        for i in 0..400 {
            let key = ["a", "b", "c"][(i + who as usize) % 3];
            let items = vec![PutItem { key: keys(&[key]).remove(0), size: 8 + who }];
            let config = match (i / 3 + who as usize) % 3 {
                0 => ReplicateConfig::default(),
                1 => grouped("G"),
                _ => grouped("H"),
            };
            let _ = run(&Request::UpsertStart { client: client(who), config, items });
            let _ = run(&end(client(who), key, None));
            let _ = run(&get(&["a", "b", "c"]));
            let _ = run(&match i % 5 {
                0 => Request::RemoveAll { force: true },
                1 => Request::RemoveByRegex { pattern: Bytes::from_static(b"[ab]"), force: true },
                _ => remove(&[key], true),
            });
        }
    };
    std::thread::scope(|s| {
        for who in 1..=4 {
            s.spawn(move || work(who));
        }
    });
    b.sound();
    b.replay_agrees();
    let places: Vec<_> = (0..limits::SHARDS)
        .filter_map(HomeId::from_index)
        .flat_map(|h| b.store.shard(h).read().objects().map(|o| o.key().to_vec()).collect::<Vec<_>>())
        .collect();
    let distinct: std::collections::BTreeSet<_> = places.iter().collect();
    assert_eq!(distinct.len(), places.len(), "a key is in two homes");
    assert_eq!(b.remove_all(true) + b.store.objects(), places.len() as u64);
}

/// A batch looks keys up shard by shard, many at a time; nobody can tell.
#[test]
fn a_batch_reads_what_single_calls_read() {
    let names: Vec<String> = (0..300).map(|n| format!("k{n}")).collect();
    for groups in [false, true] {
        let mut b = bench(2);
        for (n, name) in names.iter().enumerate() {
            match n % 4 {
                0 => drop(b.put(name, 8)),
                1 => drop(b.start(A, name, 8).expect("room")),
                2 if groups => drop(b.put_with(name, 8, grouped("G"))),
                _ => {}
            }
        }
        let mut asked: Vec<&str> = names.iter().map(String::as_str).collect();
        asked.extend(["", "k4", "k4", "k5"]);
        let asked_of = |asked: &[&str]| (b.run(&exist(asked)), b.run(&get(asked)));
        let (found, got) = asked_of(&asked);
        let Response::ExistKey(found) = found.response else { panic!("another answer") };
        let (Response::GetReplicaList(got), depends_on) = (got.response, got.depends_on) else {
            panic!("another answer")
        };
        for (i, name) in asked.iter().enumerate() {
            assert_eq!(code(found[i].clone()), b.exist(name), "{name}, groups: {groups}");
            assert_eq!(code(got[i].clone()), b.get(name), "{name}, groups: {groups}");
        }
        let there = found.iter().filter(|found| matches!(found, Ok(true))).count();
        assert_eq!(there, if groups { 152 } else { 77 });
        assert!(depends_on > uid(2).0.end(), "on what it has read");
        assert_eq!(b.remove("k0", false), Err(ObjectHasLease), "it was read");
        b.sleep(TTL * 2);
        assert_eq!(b.remove("k0", false), Ok(()));
    }
}
