//! Upserts, groups and removals of many, where some of the memory is dead.

use super::objects::{grouped, scoped};
use super::segments::short;
use super::*;

fn on(host: &str, config: ReplicateConfig) -> ReplicateConfig {
    ReplicateConfig { preferred_segments: vec![host.into()], ..config }
}

#[test]
fn a_grouped_object_that_dies_leaves_its_group() {
    let b = short(2);
    b.put_with("dead", 8, on("host-1", grouped("G")));
    b.put_with("live", 8, on("host-2", grouped("G")));
    assert_eq!((b.unmount(1), b.store.routes().len()), (Ok(()), 2));
    assert!(b.maintain() > 0);
    assert_eq!((b.store.routes().len(), b.exist("live")), (1, Ok(true)));
    b.replay_agrees();
}

/// An upsert that names no group follows the object; a dead one is not followed.
#[test]
fn a_write_of_a_dead_grouped_key_starts_anew_where_it_is_told_to() {
    let b = short(2);
    let home = |group: &[u8]| HomeId::of_group(group);
    let own = |key: &str| KeyHash::of(&scoped(key)).home;
    for key in ["follow", "same", "other", "none"] {
        b.put_with(key, 8, on("host-1", grouped("G")));
    }
    assert_eq!(b.unmount(1), Ok(()));
    b.upsert(B, "follow", 8).expect("as a put");
    b.upsert_with(B, "same", 8, grouped("G")).expect("as a put");
    b.upsert_with(B, "other", 8, grouped("H")).expect("the dead one's group does not bind");
    b.start(B, "none", 8).expect("replaces what is dead");
    let places = ["follow", "same", "other", "none"].map(|key| b.place(key).2);
    assert_eq!(places, [own("follow"), home(b"G"), home(b"H"), own("none")]);
    assert_eq!((b.store.routes().len(), b.maintain()), (2, 0), "each was purged by its write");
    b.replay_agrees();
}

#[test]
fn an_upsert_sees_only_the_live_replicas() {
    let mut b = short(3);
    b.put_with("k", 8, on("host-1", replicas(2)));
    b.sleep(TTL);
    assert_eq!(b.unmount(1), Ok(()));
    let old = b.get("k").expect("another replica").replicas;
    b.sleep(2 * TTL);
    let new = b.upsert_with(B, "k", 8, replicas(1)).expect("room");
    assert_eq!((new[0].id, new.len(), b.exist("k")), (old[0].id, 1, Ok(false)), "in place of the live one");
    assert_eq!((b.end(B, "k"), b.exist("k")), (Ok(()), Ok(true)));
    b.replay_agrees();
}

/// R13 again: an overwrite in place hands out bytes like a new write does.
#[test]
fn an_upsert_in_place_counts_as_a_hand_out() {
    let mut b = short(0);
    b.config.clients.ttl = None;
    let mut b = b.takeover(0);
    assert_eq!(b.mount(A, segment(1, 16 * MIB)), Ok(()));
    b.put("k", 8);
    b.sleep(RELEASE);
    b.upsert(B, "k", 8).expect("in place");
    assert_eq!((b.unmount(1), b.mount(A, segment(1, 16 * MIB))), (Ok(()), Ok(())));
    b.live(RELEASE - 100);
    assert_eq!(b.start(A, "new", 8), Err(NoAvailableHandle));
    b.live(200);
    assert_eq!(b.start(A, "new", 8).map(|r| r.len()), Ok(1));
}

#[test]
fn removals_of_many_and_patterns_do_not_count_the_dead() {
    let b = short(2);
    for i in 0..10 {
        b.put_with(&format!("k{i}"), 8, on(if i < 4 { "host-1" } else { "host-2" }, replicas(1)));
    }
    b.put_with("half", 8, on("host-1", replicas(2)));
    assert_eq!(b.unmount(1), Ok(()));
    assert_eq!(b.matching("^k").map(|m| m.len()), Ok(6));
    assert_eq!(b.remove_matching("k[0-5]", true), Ok(2));
    assert_eq!(b.clear(A, &["half", "k0"], "host-1"), Vec::<Bytes>::new(), "that copy is gone already");
    assert_eq!(b.remove_all(true), 5);
    assert_eq!(b.store.recount().objects, 3, "the dead that nobody named wait for the sweep");
    assert!(b.maintain() > 0);
    assert_eq!((b.store.recount().objects, b.maintain()), (0, 0));
    b.replay_agrees();
}

/// A whole group is in one shard. Whatever is done with all of it holds that shard for a slice at a time.
#[test]
fn a_full_shard_is_swept_and_cleared_in_slices() {
    const MEMBERS: usize = 300;
    let b = short(2);
    for i in 0..2 * MEMBERS {
        let host = if i < MEMBERS { "host-1" } else { "host-2" };
        let config = on(host, grouped("G"));
        for call in [start(A, &format!("k{i}"), 8, config), end(A, &format!("k{i}"), None)] {
            assert!(b.master.execute(b.now, WallTime(7), &call).appended);
        }
    }
    let slices = |from: Seq| {
        let named = b.named_since(from);
        assert!(named.iter().all(|n| *n < 2 * limits::NAMED_SLICE), "{named:?}");
        (named.iter().sum::<usize>(), named.len())
    };
    assert_eq!(b.unmount(1), Ok(()));
    let from = b.log.tail();
    assert!(b.maintain() > 0);
    let (purged, entries) = slices(from);
    assert!(purged == MEMBERS && entries >= MEMBERS / (2 * limits::NAMED_SLICE), "{entries} entries");
    let from = b.log.tail();
    assert_eq!((b.matching("^k").map(|m| m.len()), b.remove_matching("^k", false)), (Ok(MEMBERS), Ok(0)));
    assert_eq!((b.remove_all(false), slices(from)), (0, (0, 0)), "the pattern granted leases");
    let mut b = b;
    b.sleep(2 * TTL);
    let from = b.log.tail();
    assert_eq!(b.remove_all(true), MEMBERS as u64);
    let (cleared, entries) = (b.named_since(from).iter().sum::<usize>(), b.named_since(from).len());
    assert!(cleared == MEMBERS && entries >= MEMBERS / (2 * limits::NAMED_SLICE), "{entries} entries");
    assert_eq!((b.store.recount().objects, b.store.routes().len(), b.maintain()), (0, 0, 0));
    b.replay_agrees();
}

#[test]
fn revoke_and_end_of_a_dead_write_find_nothing_and_half_a_write_may_end() {
    let b = short(2);
    b.start_with(A, "dead", 8, prefer(&["host-1"])).expect("room");
    b.start_with(A, "half", 8, replicas(2)).expect("room");
    assert_eq!(b.unmount(1), Ok(()));
    assert_eq!((b.revoke(A, "dead"), b.end(A, "dead")), (Err(ObjectNotFound), Err(ObjectNotFound)));
    assert_eq!(b.end(A, "half"), Ok(()));
    assert_eq!(b.get("half").map(|l| l.replicas.len()), Ok(1));
    b.replay_agrees();
}

/// R21, H1b, H1e: the death of the memory that a write went to does not make its
/// client forget that it wrote there.
#[test]
fn a_write_whose_memory_died_still_takes_its_end_or_revoke() {
    for (swept, group) in [(false, ""), (true, ""), (false, "G"), (true, "G")] {
        let began = || {
            let b = short(2);
            b.start_with(A, "k", MIB, on("host-1", grouped(group))).expect("room");
            assert_eq!(b.unmount(1), Ok(()));
            if swept {
                b.maintain();
            }
            b.start_with(A, "k", MIB, grouped(group)).expect("thread 2, elsewhere");
            b
        };
        let mut b = began();
        let free = b.free_bytes();
        assert_eq!(b.revoke(A, "k"), Ok(()), "thread 1, whose transfer failed");
        b.live(QUARANTINE + 100);
        assert_eq!(b.free_bytes(), free, "thread 2 may be writing still");
        assert_eq!(b.end(A, "k"), Err(ObjectNotFound), "a failed put is better than half of one");
        b.replay_agrees();
        let b = began();
        assert_eq!(b.end(A, "k"), Err(InvalidWrite), "thread 1, late");
        assert_eq!(b.exist("k"), Ok(false), "what thread 2 is writing is not shown");
        assert_eq!((b.end(A, "k"), b.exist("k")), (Ok(()), Ok(true)));
        b.replay_agrees();
    }
}

/// Nobody asks for it again: it goes at the age at which every write is given up.
#[test]
fn a_write_whose_memory_died_is_discarded_at_its_age() {
    let mut b = short(2);
    b.start_with(A, "k", MIB, prefer(&["host-1"])).expect("room");
    assert_eq!(b.unmount(1), Ok(()));
    assert_eq!((b.maintain(), b.store.recount().objects), (0, 1), "its client may speak of it");
    assert_eq!((b.exist("k"), b.remove_all(true), b.matching("k")), (Ok(false), 0, Ok(vec![])));
    b.live(RELEASE + 2_000);
    let left = b.store.recount();
    assert_eq!((left.objects, left.limbo), (0, 0));
    b.replay_agrees();
}
