use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::store::{Digester, Replica};
use crate::sync::atomic::AtomicU64;
use crate::types::{
    ClientId, DataType, Epoch, Instant, KeyHash, LogPos, MountUid, Region, ReplicaStatus, Traits, Uuid,
};

fn pos(seq: u64) -> LogPos {
    LogPos { epoch: Epoch(3), seq }
}

fn region(offset: u64, reserved: u64) -> Region {
    Region { mount: MountUid(pos(1)), offset, reserved }
}

fn draft(seq: u64, size: u64) -> Draft {
    let writer = ClientId(Uuid { first: seq, second: 7 });
    Draft::new(pos(seq), writer, size, &[region(seq * 4096, 4096)])
}

fn hash(key: &[u8]) -> u64 {
    KeyHash::of(key).map
}

#[test]
#[cfg(not(feature = "shuttle"))]
fn a_slot_is_a_few_words_and_the_key() {
    assert_eq!(size_of::<AtomicU64>(), 8);
    assert_eq!(size_of::<Object<[u8; 69]>>(), 160, "an object with a key of 60 bytes of a tenant of 7");
    // No byte between the fields and the key is lost in any class.
    assert!(ROOMS.iter().all(|room| (91 + room) % 8 == 0), "{ROOMS:?}");
}

#[test]
fn every_length_of_key_has_its_slot() {
    let mut objects = Objects::new();
    let lengths: BTreeSet<usize> = ROOMS.iter().flat_map(|room| [room - 1, *room, room + 1]).collect();
    let keys: Vec<Vec<u8>> = lengths.iter().filter(|n| **n <= 4_352).map(|n| vec![b'k'; *n]).collect();
    for (i, key) in keys.iter().enumerate() {
        let added = objects.insert(hash(key), key, draft(i as u64 + 1, 100)).expect("new");
        assert_eq!(added.key(), key);
        assert!(objects.insert(hash(key), key, draft(99, 1)).is_none(), "it is there");
    }
    for (i, key) in keys.iter().enumerate() {
        let handle = objects.find(hash(key), key).expect("there");
        assert_eq!(objects.get(handle).expect("there").started(), pos(i as u64 + 1));
        assert_eq!(handle >> CLASS_SHIFT, class_of(key.len()));
    }
    assert_eq!(objects.iter().count(), keys.len());
}

#[test]
fn what_is_given_up_is_used_again_and_an_empty_slab_gives_its_memory_back() {
    let mut objects = Objects::new();
    let key = |n: u64| format!("default\0{n:020}").into_bytes();
    let add =
        |objects: &mut Objects, n| assert!(objects.insert(hash(&key(n)), &key(n), draft(n, 9)).is_some());
    let remove = |objects: &mut Objects, n| {
        let handle = objects.find(hash(&key(n)), &key(n)).expect("there");
        objects.remove(hash(&key(n)), handle);
    };
    (1..=500).for_each(|n| add(&mut objects, n));
    let slots = objects.slabs.k29.slots;
    for n in 501..5_000 {
        remove(&mut objects, n - 500);
        add(&mut objects, n);
    }
    assert_eq!((objects.slabs.k29.slots, slots, objects.len()), (500, 500, 500));
    (4_500..5_000).for_each(|n| remove(&mut objects, n));
    assert_eq!((objects.slabs.k29.slots, objects.slabs.k29.chunks.capacity(), objects.len()), (0, 0, 0));
    assert_eq!(objects.iter().count(), 0);
    add(&mut objects, 1);
    assert_eq!(objects.len(), 1);
}

#[test]
fn a_walk_that_is_put_down_meets_all_that_stay() {
    let mut objects = Objects::new();
    let key = |n: u64| format!("default\0{n}").into_bytes();
    for n in 1..=2_000 {
        objects.insert(hash(&key(n)), &key(n), draft(n, 9)).expect("new");
    }
    let (mut at, mut met, mut n) = (Cursor::default(), BTreeMap::new(), 2_000);
    loop {
        let Some(chunk) = objects.next_chunk(&mut at) else { break };
        for object in chunk {
            *met.entry(object.key().to_vec()).or_insert(0) += 1;
        }
        // Every third of the old ones goes, and as many others come.
        n += 1;
        let gone = key((n - 2_000) * 3);
        if let Some(handle) = objects.find(hash(&gone), &gone) {
            objects.remove(hash(&gone), handle);
        }
        objects.insert(hash(&key(n)), &key(n), draft(n, 9)).expect("new");
    }
    assert!(met.values().all(|times| *times == 1), "none is met twice");
    let stayed = (1..=2_000).map(key).filter(|k| objects.find(hash(k), k).is_some());
    assert!(stayed.into_iter().all(|k| met.contains_key(&k)), "none that stayed is left out");
}

#[test]
fn a_lease_and_the_time_of_the_write_do_not_disturb_each_other() {
    let mut objects = Objects::new();
    let plain = Draft::new(pos(9), ClientId::default(), 4096, &[region(0, 4096)]);
    let pinned = Traits { soft_pin: 5, ..Traits::default() };
    let (wide, none) = (plain.clone().with(&pinned, None), Instant(0));
    objects.insert(hash(b"a"), b"a", plain).expect("new");
    objects.insert(hash(b"b"), b"b", wide).expect("new");
    for key in [b"a", b"b"] {
        let handle = objects.find(hash(key), key).expect("there");
        let o = objects.get_mut(handle).expect("there");
        assert_eq!((o.lease_until(), o.begun(), o.last_used()), (none, none, none));
        o.begin(Instant(50));
        assert_eq!((o.lease_until(), o.begun(), o.last_used()), (none, Instant(50), Instant(50)));
        // A lease may be shorter than that: it is one all the same.
        o.extend_lease(Instant(40));
        o.extend_lease(Instant(30));
        assert_eq!(o.lease_until(), Instant(40), "it only moves forward");
        o.extend_lease(Instant(90));
        assert_eq!((o.lease_until(), o.last_used()), (Instant(90), Instant(90)));
        // A write that ends later does not make the lease shorter.
        o.begin(Instant(70));
        assert!(o.lease_until() >= Instant(90) && o.last_used() >= Instant(90));
        o.extend_lease(Instant::MAX);
        assert!(o.lease_until() > Instant(u64::MAX / 4));
        // Overwritten: unfinished, begun by nobody yet, and the lease lasts.
        o.overwrite(pos(11), ClientId::default(), None);
        assert_eq!((o.begun(), o.started(), o.unfinished()), (none, pos(11), Some(pos(11))));
        assert!(o.lease_until() > Instant(u64::MAX / 4));
        o.begin(Instant(95));
        assert_eq!(o.begun(), Instant(95));
    }
}

fn replica() -> impl Strategy<Value = Replica> {
    let id = prop_oneof![Just(9 << 8), Just(9 << 8 | 1), any::<u64>()];
    let reserved = prop_oneof![Just(4096u64), Just(5000), Just(5120), any::<u64>()];
    let complete =
        any::<bool>().prop_map(|c| if c { ReplicaStatus::Complete } else { ReplicaStatus::Processing });
    (id, reserved, any::<u64>(), any::<u64>(), complete).prop_map(|(id, reserved, offset, epoch, status)| {
        let mount = MountUid(LogPos { epoch: Epoch(epoch), seq: offset ^ 5 });
        Replica { id, region: Region { mount, offset, reserved }, status }
    })
}

proptest! {
    /// What is inline and what is in the extras is nobody's business.
    #[test]
    fn replicas_are_what_was_set(
        size in prop_oneof![Just(4096u64), Just(5000), any::<u64>()],
        sets in proptest::collection::vec(proptest::collection::vec(replica(), 0..4), 1..6),
        summed in any::<Option<u64>>(), hard_pin in any::<bool>(), data_type in any::<u8>(),
    ) {
        let mut objects = Objects::new();
        let replicas: SmallVec<[Replica; 1]> = sets[0].iter().copied().collect();
        let writer = ClientId(Uuid { first: 1, second: u64::MAX });
        let (started, data_type) = (pos(9), DataType(data_type));
        let new = Draft { writer, size, checksum: summed, started, replicas, data_type, hard_pin, extras: None };
        objects.insert(hash(b"k"), b"k", new).expect("new");
        let handle = objects.find(hash(b"k"), b"k").expect("there");
        let o = objects.get_mut(handle).expect("there");
        let digester = Digester::new(&"test".parse().expect("a name"));
        o.begin(Instant(77));
        for set in &sets {
            o.edit_replicas(|all| *all = set.iter().copied().collect());
            prop_assert_eq!(&o.replicas().collect::<Vec<_>>(), set);
            prop_assert_eq!(o.replicas().len(), set.len());
            let rest = (o.writer, o.size, o.checksum(), o.started(), o.hard_pin(), o.data_type, o.begun());
            prop_assert_eq!(rest, (writer, size, summed, started, hard_pin, data_type, Instant(77)));
            let copy = Object::<[u8; 21]>::new(b"k", o.draft());
            prop_assert_eq!(&copy.replicas().collect::<Vec<_>>(), set, "a copy is the same");
            let bare = Object::<[u8; 21]>::new(b"k", Draft { extras: None, ..o.draft() });
            prop_assert_eq!(digester.object(o), digester.object(&bare), "one term, however it is stored");
        }
        let last = sets.last().expect("one").clone();
        o.complete();
        let with = |status| last.iter().map(|r| Replica { status, ..*r }).collect::<Vec<_>>();
        prop_assert_eq!(o.replicas().collect::<Vec<_>>(), with(ReplicaStatus::Complete));
        o.overwrite(pos(10), ClientId::default(), None);
        prop_assert_eq!(o.replicas().collect::<Vec<_>>(), with(ReplicaStatus::Processing));
        prop_assert_eq!((o.checksum(), o.hard_pin()), (None, hard_pin));
    }
}
