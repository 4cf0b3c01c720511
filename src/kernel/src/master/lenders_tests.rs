//! Lenders that die, return and move: rules R11 to R15, PROTOCOL K2, K3, A7.

use super::segments::{config, id, short};
use super::*;
use crate::api::ClientStatus;

const TTL_CLIENT: u64 = 500;
const RECONNECT: u64 = 300;

/// The next epoch over a copy of the state that only saw the log.
fn fail_over(b: &Bench) -> Bench {
    let copy = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
    for entry in split_entries(&b.entries_since(Seq::FIRST)) {
        copy.apply(&decode(entry.expect("whole")).expect("own bytes")).expect("fits");
    }
    let start = MasterStart {
        epoch: Epoch(b.master.epoch().0 + 1),
        since: b.now,
        hold_until: b.now.plus(up(TIMES.read_ttl)),
        seed: 7,
        sabotage: None,
    };
    Bench::lead_with(b.config.clone(), copy, b.log.clone(), &start)
}

/// R11, H15: a restarted lender has a new id, perhaps a new client, over the same memory.
#[test]
fn r11_a_mount_over_known_memory_proves_the_old_incarnation_dead() {
    let b = short(2);
    b.start_with(A, "k", 8, prefer(&["host-1"])).expect("room");
    assert_eq!(b.end(A, "k"), Ok(()));
    let reborn = SegmentSpec { id: id(7), base: segment(1, 1).base + MIB, ..segment(1, 16 * MIB) };
    let from = b.log.tail();
    assert_eq!(b.mount(B, reborn.clone()), Ok(()));
    b.logged(
        from,
        &[
            Op::SegmentGone { mount: uid(1) },
            Op::MountSegment { client: B, segment: Cow::Borrowed(&reborn), held: true },
        ],
    );
    assert_eq!((b.exist("k"), b.live_mounts()), (Ok(false), 2));
    let apart = [
        SegmentSpec { id: id(8), te_endpoint: "elsewhere:1".into(), ..reborn.clone() },
        SegmentSpec { id: id(9), base: reborn.base + reborn.size, ..reborn.clone() },
        SegmentSpec { id: id(10), te_endpoint: String::new(), ..reborn.clone() },
        SegmentSpec { id: id(11), te_endpoint: String::new(), ..reborn },
    ];
    for (i, s) in apart.into_iter().enumerate() {
        assert_eq!(b.mount(B, s), Ok(()));
        assert_eq!(b.live_mounts(), 3 + i, "a name or an endpoint alone proves nothing");
    }
    b.replay_agrees();
}

/// R12: known clients get a full ttl and an allowance from the takeover on.
#[test]
fn r12_a_takeover_restarts_the_deadlines_of_known_clients() {
    let mut b = short(1);
    assert_eq!(b.mount(B, segment(2, MIB)), Ok(()));
    assert_eq!(b.remount(A, &[segment(1, 16 * MIB)]), Ok(()));
    b.put("k", 8);
    b.live(400);
    let mut b = fail_over(&b);
    b.live(TTL_CLIENT + RECONNECT - 100);
    assert_eq!(b.live_mounts(), 2);
    assert_eq!(b.ping(B), ClientStatus::NeedRemount, "a ping counts, whatever it is told");
    b.live(100);
    assert_eq!((b.live_mounts(), b.store.segments().read().clients().len()), (1, 1));
    assert_eq!(b.ping(A), ClientStatus::NeedRemount);
    b.live(TTL_CLIENT - 100);
    assert_eq!(b.live_mounts(), 0);
    b.live(3 * RELEASE);
    assert_eq!(b.store.recount().digest, 0, "nothing of them is left");
    b.replay_agrees();
}

#[test]
fn need_remount_after_a_takeover_until_the_client_has_said_what_it_lends_and_nothing_waits_for_it() {
    let b = short(1);
    assert_eq!(b.remount(A, &[segment(1, 16 * MIB)]), Ok(()));
    b.put("k", 8);
    let b = fail_over(&b);
    assert_eq!((b.ping(A), b.ping(A)), (ClientStatus::NeedRemount, ClientStatus::NeedRemount));
    assert_eq!(b.get("k").map(|l| l.replicas.len()), Ok(1), "reads go on");
    assert_eq!(b.start(B, "new", 8).map(|r| r.len()), Ok(1), "and puts");
    let tail = b.log.tail();
    assert_eq!(b.remount(A, &[segment(1, 16 * MIB)]), Ok(()));
    assert_eq!((b.ping(A), b.log.tail()), (ClientStatus::Ok, tail), "nothing was missing");
    assert_eq!(fail_over(&b).ping(A), ClientStatus::NeedRemount, "once for each epoch");
}

/// R12, H14: "exists" about what nobody can read would be taken for success.
#[test]
fn r12_a_put_may_replace_what_only_absent_lenders_hold() {
    let b = short(1);
    assert_eq!(b.mount(B, segment(2, 16 * MIB)), Ok(()));
    for (key, host) in [("of-a", "host-1"), ("of-b", "host-2")] {
        b.start_with(A, key, MIB, prefer(&[host])).expect("room");
        assert_eq!(b.end(A, key), Ok(()));
    }
    let mut b = fail_over(&b);
    assert_eq!(b.start(B, "of-a", 8), Err(ObjectAlreadyExists), "nobody is absent yet");
    b.live(400);
    b.ping(B);
    b.live(100);
    assert_eq!(b.start(B, "of-b", 8), Err(ObjectAlreadyExists), "its lender was heard");
    let tail = b.log.tail();
    let new = b.start_with(B, "of-a", 8, prefer(&["host-2"])).expect("replaces");
    let release = if b.now < b.master.hold_until() { Release::Limbo(LimboKind::Read) } else { Release::Now };
    b.logged(
        tail,
        &[
            Op::Remove { key: b"default\0of-a", release },
            Op::PutStart {
                key: b"default\0of-a",
                client: B,
                size: 8,
                regions: placed_on(&new, &b),
                traits: Traits::default(),
            },
        ],
    );
    assert_eq!(b.exist("of-b"), Ok(true));
    b.replay_agrees();
}

fn placed_on(replicas: &[ReplicaDescriptor], b: &Bench) -> smallvec::SmallVec<[Region; 1]> {
    let table = b.store.segments().read();
    let region = |r: &ReplicaDescriptor| Region {
        mount: table.mounted(r.segment.id).expect("mounted").uid,
        offset: r.address - r.segment.base,
        reserved: OffsetAllocator::reserved_for(r.size).expect("small"),
    };
    replicas.iter().map(region).collect()
}

/// A primary that slept heard nobody: it must not punish its clients for that.
#[test]
fn a_primary_that_was_itself_stalled_expires_nobody_for_a_ttl() {
    let mut b = short(1);
    assert_eq!(b.mount(B, segment(2, MIB)), Ok(()));
    b.live(300);
    b.sleep(10 * TTL_CLIENT);
    for _ in 0..limits::SHARDS {
        let _ = b.master.maintain(b.now, WallTime(7));
    }
    assert_eq!(b.live_mounts(), 2);
    b.live(400);
    b.ping(A);
    b.live(100);
    assert_eq!(b.store.segments().read().mounts().map(|m| m.client).collect::<Vec<_>>(), [A]);
}

#[test]
fn without_a_ttl_lenders_never_expire() {
    let mut b = short(1);
    b.config.clients.ttl = None;
    let mut b = b.takeover(0);
    b.live(10 * TTL_CLIENT);
    assert_eq!(b.live_mounts(), 1);
}

/// R13, H11: a writer from before the expiry may still be writing.
#[test]
fn r13_the_memory_of_a_returned_lender_waits_for_writers_and_readers() {
    let mut b = short(1);
    b.put("k", MIB);
    let handed_out = b.now;
    b.live(TTL_CLIENT);
    assert_eq!(b.live_mounts(), 0);
    assert_eq!(b.remount(A, &[segment(1, 16 * MIB)]), Ok(()));
    while b.now.plus(Duration::from_millis(100)) < handed_out.plus(TIMES.put_release) {
        assert_eq!(b.start(B, "new", 8), Err(NoAvailableHandle));
        b.ping(A);
        b.live(100);
    }
    b.live(100);
    assert_eq!(b.start(B, "new", 8).map(|r| r.len()), Ok(1), "remaining, not full, quarantine");
    b.replay_agrees();
}

#[test]
fn r13_unused_memory_is_free_at_once_and_only_read_memory_waits_for_the_lease() {
    let mut b = short(1);
    assert_eq!((b.unmount(1), b.maintain()), (Ok(()), 1));
    assert_eq!(b.mount(A, segment(1, 16 * MIB)), Ok(()));
    b.put("k", 8);
    for _ in 0..RELEASE / 100 {
        b.live(100);
        b.ping(A);
    }
    b.get("k").expect("complete");
    assert_eq!((b.unmount(1), b.mount(A, segment(1, 16 * MIB))), (Ok(()), Ok(())));
    b.live(TTL);
    assert_eq!(b.start(B, "new", 8), Err(NoAvailableHandle), "the lease and its slack");
    b.live(200);
    assert_eq!(b.start(B, "new", 8).map(|r| r.len()), Ok(1));
    b.replay_agrees();
}

/// A7: a successor knows of the hold, and waits again at full length.
#[test]
fn a7_a_hold_and_a_departed_mount_survive_a_takeover() {
    let mut b = short(1);
    assert_eq!(b.mount(B, segment(2, MIB)), Ok(()));
    b.start_with(A, "k", 8, prefer(&["host-1"])).expect("room");
    b.start_with(A, "j", 8, prefer(&["host-2"])).expect("room");
    assert_eq!((b.unmount(1), b.unmount(2)), (Ok(()), Ok(())));
    assert_eq!(b.mount(A, segment(1, 16 * MIB)), Ok(()));
    b.live(300);
    let mut b = fail_over(&b);
    assert_eq!(b.mount(B, segment(2, MIB)), Ok(()));
    let until = b.now.plus(up(TIMES.put_release));
    while b.now.plus(Duration::from_millis(100)) < until {
        assert_eq!(b.start(B, "new", 8), Err(NoAvailableHandle));
        b.live(100);
        b.ping(A);
        b.ping(B);
    }
    b.live(200);
    assert_eq!(b.start_with(B, "new", 8, replicas(2)).map(|r| r.len()), Ok(2));
    b.replay_agrees();
}

/// H29: memory first seen through a re-mount outlived a state that was lost.
#[test]
fn h29_after_an_empty_start_a_returning_segment_waits_and_a_fresh_one_does_not() {
    let mut b = short(0);
    assert_eq!(b.mount(A, segment(1, MIB)), Ok(()));
    assert_eq!(b.start(B, "k", 8).map(|r| r.len()), Ok(1));
    assert_eq!(b.remount(B, &[segment(2, MIB)]), Ok(()));
    assert_eq!(b.start_with(B, "j", 8, prefer(&["host-2"])).map(|r| r[0].segment.id), Ok(id(1)));
    b.now = b.now.plus(up(TIMES.put_release));
    assert_eq!(b.remount(client(3), &[segment(3, MIB)]), Ok(()));
    let late = b.start_with(B, "l", 8, prefer(&["host-3"])).map(|r| r[0].segment.id);
    assert_eq!(late, Ok(id(3)), "by now every such right is over");
}

/// K2, H10: the same segment id again is another mount.
#[test]
fn k2_a_new_mount_of_the_same_id_revives_nothing_even_before_the_sweep() {
    let b = short(1);
    b.put("k", 8);
    assert_eq!((b.unmount(1), b.mount(A, segment(1, 16 * MIB))), (Ok(()), Ok(())));
    assert_eq!((b.exist("k"), b.get("k"), b.store.recount().objects), (Ok(false), Err(ObjectNotFound), 1));
    let b = fail_over(&b);
    assert_eq!((b.exist("k"), b.get("k")), (Ok(false), Err(ObjectNotFound)));
}

/// K3: a write that meets a dead object sweeps it, and the sweep has nothing left to do there.
#[test]
fn k3_an_object_is_purged_once_of_a_mount() {
    let b = short(2);
    b.start_with(A, "k", 8, prefer(&["host-1"])).expect("room");
    assert_eq!((b.end(A, "k"), b.unmount(1)), (Ok(()), Ok(())));
    let from = b.log.tail();
    let new = b.start(B, "k", 8).expect("replaces what is dead");
    let shard = KeyHash::of(b"default\0k").home.index() as u16;
    b.logged(
        from,
        &[
            Op::Purge { shard, mount: uid(1), objects: vec![KeyHash::of(b"default\0k").map] },
            Op::PutStart {
                key: b"default\0k",
                client: B,
                size: 8,
                regions: regions(&new),
                traits: Traits::default(),
            },
        ],
    );
    assert_eq!((b.maintain(), b.end(B, "k"), b.exist("k")), (0, Ok(()), Ok(true)));
    b.replay_agrees();
}

/// K3: a sweep that the old primary did not finish is finished by the new one.
#[test]
fn k3_a_successor_finishes_the_sweep() {
    let b = short(2);
    for i in 0..50 {
        b.start_with(A, &format!("k{i}"), 8, replicas(2)).expect("room");
    }
    assert_eq!(b.unmount(1), Ok(()));
    let b = fail_over(&b);
    assert!(b.maintain() > 30);
    let named = |n: usize| {
        let home = HomeId::from_index(n).expect("a shard");
        let shard = b.store.shard(home).read();
        shard.objects().flat_map(|o| o.replicas().map(|r| r.region.mount)).any(|m| m == uid(1))
    };
    assert!(!(0..limits::SHARDS).any(named));
    assert_eq!((b.store.recount().objects, b.maintain()), (50, 0));
    b.replay_agrees();
}

/// One step of a random history of lenders.
#[derive(Debug, Clone)]
enum Step {
    Mount(u64),
    ReMount(u64),
    Unmount(u64),
    Graceful(u64, u64),
    Ping(u64),
    Start(usize, u64, u32),
    Upsert(usize, u64, u32),
    End(usize),
    Revoke(usize),
    Get(usize),
    RemoveAll(bool),
    Remove(usize, bool),
    Live(u64),
    Stall(u64),
    Takeover,
}

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// So small that memory is reused hard.
const SIZE: u64 = 64;

fn step() -> impl Strategy<Value = Step> {
    let (lender, key) = (1..3u64, 0..KEYS.len());
    let pause = prop_oneof![Just(100u64), Just(300), Just(700), Just(RELEASE / 2)];
    prop_oneof![
        3 => lender.clone().prop_map(Step::Mount),
        3 => lender.clone().prop_map(Step::ReMount),
        1 => lender.clone().prop_map(Step::Unmount),
        1 => (lender.clone(), 0..600u64).prop_map(|(n, g)| Step::Graceful(n, g)),
        4 => lender.prop_map(Step::Ping),
        8 => (key.clone(), prop_oneof![Just(8u64), Just(24)], 1..3u32).prop_map(|(k, s, n)| Step::Start(k, s, n)),
        3 => (key.clone(), prop_oneof![Just(8u64), Just(24)], 1..3u32).prop_map(|(k, s, n)| Step::Upsert(k, s, n)),
        6 => key.clone().prop_map(Step::End),
        1 => key.clone().prop_map(Step::Revoke),
        1 => any::<bool>().prop_map(Step::RemoveAll),
        4 => key.clone().prop_map(Step::Get),
        2 => (key, any::<bool>()).prop_map(|(k, f)| Step::Remove(k, f)),
        4 => pause.clone().prop_map(Step::Live),
        1 => pause.prop_map(Step::Stall),
        1 => Just(Step::Takeover),
    ]
}

/// The lenders' memory and who may touch it, whatever the master believes.
#[derive(Debug, Default)]
struct World {
    /// First address of a write target -> (its length, key, its write's number).
    handed: BTreeMap<u64, (u64, usize, u64)>,
    /// Rights: range, until when, of which write.
    rights: Vec<(u64, u64, Instant, u64)>,
    /// Number of the last write begun of each key.
    begun: BTreeMap<usize, u64>,
    writes: u64,
}

impl World {
    fn start(&mut self, key: usize, replicas: &[ReplicaDescriptor], now: Instant) {
        self.writes += 1;
        self.begun.insert(key, self.writes);
        for r in replicas {
            let end = r.address + r.size;
            let clash =
                self.rights.iter().find(|(a, n, until, _)| *until > now && r.address < a + n && *a < end);
            assert_eq!(clash, None, "bytes under a right are handed out again at {now}");
            self.handed.retain(|a, (n, ..)| end <= *a || *a + *n <= r.address);
            self.handed.insert(r.address, (r.size, key, self.writes));
            self.rights.push((r.address, r.size, now.plus(TIMES.put_release), self.writes));
        }
    }

    fn end(&mut self, key: usize) {
        let ended = self.begun.get(&key).copied();
        self.rights.retain(|(_, _, until, write)| Some(*write) != ended || *until == Instant(0));
    }

    /// The write whose object is gone now was given up by its own writer.
    fn revoke(&mut self, key: usize, now: Instant) {
        let revoked = self.begun.get(&key).copied();
        for (_, _, until, _) in self.rights.iter_mut().filter(|(.., write)| Some(*write) == revoked) {
            *until = (*until).min(now.plus(TIMES.revoke_quarantine));
        }
    }

    fn get(&mut self, key: usize, list: &ReplicaList, now: Instant) {
        for r in &list.replicas {
            let owner = self.handed.get(&r.address).map(|(n, k, w)| (*n, *k, Some(w)));
            assert_eq!(owner, Some((r.size, key, self.begun.get(&key))), "foreign bytes at {now}");
            self.rights.push((r.address, r.size, now.plus(TIMES.read_ttl), 0));
        }
    }
}

/// The last two keys are in a group.
fn wish(key: usize, n: u32) -> ReplicateConfig {
    let group_ids = (key > 2).then(|| vec![Bytes::from_static(b"G")]);
    ReplicateConfig { group_ids, ..replicas(n) }
}

fn play(b: &mut Bench, w: &mut World, step: &Step) {
    let lent = |n: u64| segment(n, SIZE);
    match *step {
        Step::Mount(n) => {
            let _ = b.mount(client(n), lent(n));
        }
        Step::ReMount(n) => assert_eq!(b.remount(client(n), &[lent(n)]), Ok(())),
        Step::Unmount(n) => assert_eq!(b.unmount(n), Ok(())),
        Step::Graceful(n, grace) => {
            let _ = b.graceful(client(n), n, grace);
        }
        Step::Ping(n) => {
            let _ = b.ping(client(n));
        }
        Step::Start(key, size, n) => {
            if let Ok(replicas) = b.start_with(A, KEYS[key], size, wish(key, n)) {
                w.start(key, &replicas, b.now);
            }
        }
        Step::Upsert(key, size, n) => {
            let config = ReplicateConfig { group_ids: None, ..wish(key, n) };
            if let Ok(replicas) = b.upsert_with(A, KEYS[key], size, config) {
                w.start(key, &replicas, b.now);
            }
        }
        Step::Revoke(key) => {
            let there = b.get(KEYS[key]) == Err(ReplicaIsNotReady);
            let revoked = b.revoke(A, KEYS[key]) == Ok(()) && b.get(KEYS[key]) == Err(ObjectNotFound);
            if there && revoked {
                w.revoke(key, b.now);
            }
        }
        Step::RemoveAll(force) => drop(b.remove_all(force)),
        Step::End(key) => {
            if b.end(A, KEYS[key]) == Ok(()) {
                w.end(key);
            }
        }
        Step::Get(key) => {
            if let Ok(list) = b.get(KEYS[key]) {
                w.get(key, &list, b.now);
            }
        }
        Step::Remove(key, force) => {
            let _ = b.remove(KEYS[key], force);
        }
        Step::Live(millis) => b.live(millis),
        Step::Stall(millis) => b.sleep(millis),
        Step::Takeover => *b = fail_over(b),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Lenders come, die, return and are taken over, over memory that is
    /// reused hard: no byte is handed out under a right, none is shown to the
    /// wrong reader, replay equals execution.
    #[test]
    fn random_lives_of_lenders_reuse_nothing_under_a_right(steps in proptest::collection::vec(step(), 1..120)) {
        let mut b = short(0);
        let mut w = World::default();
        for n in 1..3 {
            prop_assert_eq!(b.mount(client(n), segment(n, SIZE)), Ok(()));
        }
        for step in &steps {
            play(&mut b, &mut w, step);
        }
        b.replay_agrees();
        prop_assert_eq!(b.config.clone(), config());
        b.live(2 * RELEASE + 2_000);
        prop_assert_eq!(b.store.recount(), crate::store::Recount { applied: b.log.tail(), ..Default::default() }, "silence ends all");
        b.replay_agrees();
    }
}
