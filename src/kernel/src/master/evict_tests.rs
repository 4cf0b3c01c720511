//! Eviction and discard: SEMANTICS 4.1, 4.2, 4.4; checklist 8.2 and 8.5.

use super::objects::grouped;
use super::*;
use crate::api::SoftPinAction;

fn evicting(ratio: f64, high_watermark: f64, segments: u64) -> Bench {
    let eviction = EvictionRules { ratio, high_watermark, soft_pinned: true };
    bench_with(MasterTimes { eviction, ..TIMES }, segments)
}

impl Bench {
    /// Without the audit of `run`: for many calls.
    fn quick(&self, request: &Request) -> Response {
        self.master.execute(self.now, WallTime(7), request).response
    }

    /// Puts `k0`, `k1`, ... one millisecond apart.
    fn fill(&mut self, n: usize, size: u64) {
        for i in 0..n {
            let key = format!("k{i}");
            let Response::PutStart(r) = self.quick(&start(A, &key, size, replicas(1))) else { panic!() };
            assert!(r[0].is_ok(), "{key}: {:?}", r[0]);
            self.sleep(1);
            assert_eq!(self.quick(&end(A, &key, None)), Response::PutEnd(vec![Ok(())]));
        }
    }

    /// A write that fits nowhere, so that eviction is needed.
    fn arm(&self) {
        assert_eq!(self.start(A, "too large", 1 << 40), Err(NoAvailableHandle));
    }

    fn armed(&self) -> bool {
        self.master.eviction_needed.load(Ordering::Relaxed)
    }

    /// The numbers of the keys `k...` that are there, without touching leases.
    fn left(&self) -> Vec<usize> {
        let homes = (0..limits::SHARDS).filter_map(HomeId::from_index);
        let mut left: Vec<usize> = homes
            .flat_map(|h| {
                let shard = self.store.shard(h).read();
                shard.objects().map(|o| String::from_utf8_lossy(o.key()).into_owned()).collect::<Vec<_>>()
            })
            .filter_map(|k| k.strip_prefix("default\0k")?.parse().ok())
            .collect();
        left.sort_unstable();
        left
    }

    /// One step of maintenance.
    fn step(&self) -> usize {
        let logged = self.master.maintain(self.now, WallTime(7));
        self.sound();
        logged
    }
}

#[test]
fn s8_49_puts_continue_when_memory_is_full_of_expired_objects() {
    let mut b = evicting(0.05, 0.9, 2);
    let mut refused = 0;
    for i in 0..400 {
        let request = start(A, &format!("k{i}"), MIB / 2, replicas(1));
        b.sleep(5);
        let Response::PutStart(r) = b.quick(&request) else { panic!() };
        if r[0].is_err() {
            refused += 1;
            assert!(b.step() > 0, "eviction is armed");
            let Response::PutStart(r) = b.quick(&request) else { panic!() };
            assert!(r[0].is_ok(), "put {i} after eviction: {:?}", r[0]);
        }
        assert_eq!(b.quick(&end(A, &format!("k{i}"), None)), Response::PutEnd(vec![Ok(())]));
    }
    assert!(refused > 0 && b.left().len() <= 64);
    assert!(b.left().contains(&399));
    b.replay_agrees();
}

#[test]
fn above_the_watermark_eviction_needs_nobody_to_ask() {
    let mut b = evicting(0.05, 0.5, 1);
    b.fill(16, MIB / 2);
    assert_eq!(b.step(), 0, "at the watermark is not above it");
    b.fill_more(1);
    assert_eq!(b.step(), 2, "17 objects at 1/32 above and 5 %: ceil(17 * 0.08125)");
    assert_eq!(b.left(), (2..17).collect::<Vec<_>>());
}

impl Bench {
    fn fill_more(&mut self, n: usize) {
        for i in 16..16 + n {
            self.put(&format!("k{i}"), MIB / 2);
        }
    }
}

#[test]
fn s8_50_leased_objects_are_never_evicted_while_leased() {
    let mut b = evicting(1.0, 1.0, 1);
    b.fill(20, 8);
    for i in 0..10 {
        b.exist(&format!("k{i}")).expect("read");
    }
    b.arm();
    assert_eq!((b.step(), b.left()), (10, (0..10).collect::<Vec<_>>()));
    b.arm();
    b.sleep(TTL);
    assert_eq!((b.step(), b.armed()), (0, true), "the readers' clocks may be slow (PROTOCOL A2)");
    b.sleep(20);
    assert_eq!((b.step(), b.armed()), (10, false));
    assert_eq!((b.left(), b.free_bytes()), (vec![], 16 * MIB), "what is evicted is free at once");
    b.replay_agrees();
}

#[test]
fn s8_51_exactly_the_oldest_go() {
    for (n, ratio, gone) in [(400, 0.05, 20), (250, 0.10, 25), (50, 0.8, 40), (10, 0.01, 1), (7, 1.0, 7)] {
        let mut b = evicting(ratio, 1.0, 1);
        b.fill(n, 8);
        b.arm();
        assert_eq!(b.step(), gone);
        assert_eq!(b.left(), (gone..n).collect::<Vec<_>>(), "{n} objects, ratio {ratio}");
        assert_eq!((b.step(), b.armed()), (0, false), "once");
        b.replay_agrees();
    }
}

#[test]
fn reads_and_ends_move_an_object_to_the_back() {
    let mut b = evicting(0.5, 1.0, 1);
    b.fill(4, 8);
    b.exist("k0").expect("read");
    b.start(A, "k9", 8).expect("room");
    b.sleep(2 * TTL);
    assert_eq!(b.end(A, "k9"), Ok(()));
    b.arm();
    assert_eq!((b.step(), b.left()), (3, vec![0, 9]), "ceil(5 * 0.5) of k1 k2 k3 k0 k9");
}

#[test]
fn s8_52_with_target_equal_to_the_lower_bound_the_count_is_exact() {
    // Half is used, a quarter may be: above = 0.25 = target = lower.
    let mut b = evicting(0.0, 0.25, 1);
    b.fill(128, 64 * 1024);
    assert_eq!((b.step(), b.left()), (32, (32..128).collect::<Vec<_>>()));
    assert_eq!(b.master.eviction_stats().attempted, 1);
}

#[test]
fn s8_54_what_is_blocked_during_a_pass_is_replaced() {
    let mut b = evicting(0.01, 1.0, 1);
    let n = limits::EVICT_VISITS_PER_STEP + 5_000;
    b.fill(n, 8);
    b.arm();
    let want = n.div_ceil(100);
    let mut read = Vec::new();
    let mut evicted = 0;
    for round in 0..1_000 {
        evicted += b.master.maintain(b.now, WallTime(7));
        if b.master.eviction_stats().successful == 1 {
            break;
        }
        // The oldest that are left are read while the pass runs.
        let oldest = b.left().into_iter().filter(|i| !read.contains(i)).take(30).collect::<Vec<_>>();
        if round < 6 {
            for i in &oldest {
                assert_eq!(b.quick(&exist(&[&format!("k{i}")])), Response::ExistKey(vec![Ok(true)]));
            }
            read.extend(oldest);
        }
    }
    let left = b.left();
    assert_eq!((evicted, left.len()), (want, n - want), "exactly as many as without them");
    assert!(read.len() > 30 && read.iter().all(|i| left.contains(i)), "none of them");
    let bound = want + read.len() + 1;
    assert_eq!(left.iter().filter(|i| **i >= bound).count(), n - bound, "and the next oldest instead");
    b.sound();
}

#[test]
fn s8_57_exactly_the_evicted_keys_are_not_found() {
    let mut b = evicting(0.3, 1.0, 2);
    b.fill(10, 8);
    b.arm();
    assert_eq!(b.step(), 3);
    for i in 0..10 {
        let got = b.get(&format!("k{i}"));
        assert_eq!(got.is_ok(), i >= 3, "k{i}");
        assert!(got.is_ok() || got == Err(ObjectNotFound));
    }
    b.start(A, "k0", 8).expect("and can be written again");
}

#[test]
fn all_replicas_of_an_evicted_object_go_in_one_op() {
    let mut b = evicting(1.0, 1.0, 2);
    b.start_with(A, "k0", 100, replicas(2)).expect("room");
    assert_eq!(b.end(A, "k0"), Ok(()));
    b.sleep(1);
    b.arm();
    let from = b.log.tail();
    assert_eq!(b.step(), 1);
    b.logged(from, &[Op::Evict { key: b"default\0k0", release: Release::Now }]);
    let stats = b.master.eviction_stats();
    assert_eq!((stats.evicted_keys, stats.evicted_bytes, stats.attempted, stats.successful), (1, 200, 1, 1));
    assert_eq!(b.free_bytes(), 32 * MIB);
}

#[test]
fn unfinished_writes_are_not_evicted() {
    let mut b = evicting(1.0, 1.0, 1);
    b.start(A, "k0", 8).expect("room");
    b.sleep(1);
    b.arm();
    assert_eq!((b.step(), b.left(), b.armed()), (0, vec![0], false), "nothing could ever go: not needed");
    assert_eq!(b.end(A, "k0"), Ok(()));
}

/// A new primary treats what it inherits as leased until the hold is over (PROTOCOL A3).
#[test]
fn inherited_objects_are_not_evicted_before_the_hold_is_over() {
    let mut b = evicting(1.0, 1.0, 1);
    b.fill(10, 8);
    b.sleep(TTL);
    let mut b = b.takeover(300);
    b.put("k10", 8);
    b.arm();
    b.now = Instant(b.master.hold_until().0 - 1);
    assert_eq!((b.step(), b.left()), (1, (0..10).collect::<Vec<_>>()), "only what was born since");
    b.now = b.master.hold_until();
    b.arm();
    assert_eq!((b.step(), b.left()), (10, vec![]));
    b.replay_agrees();
}

#[test]
fn a_pass_that_frees_nothing_stays_armed() {
    let mut b = evicting(0.5, 1.0, 1);
    b.fill(3, 8);
    for i in 0..3 {
        b.exist(&format!("k{i}")).expect("read");
    }
    b.arm();
    assert_eq!((b.step(), b.step(), b.armed()), (0, 0, true));
    let stats = b.master.eviction_stats();
    assert_eq!((stats.attempted, stats.successful), (2, 0));
}

#[test]
fn s8_30_an_expired_write_makes_room_within_one_step() {
    let mut b = evicting(0.05, 0.9, 1);
    for key in ["a", "b"] {
        b.start(A, key, 8 * MIB).expect("room");
    }
    b.now = b.now.plus(TIMES.put_release);
    assert_eq!(b.start(A, "c", 8 * MIB), Err(NoAvailableHandle));
    assert_eq!(b.step(), 2, "wherever the periodic sweep stands");
    b.start(A, "c", 8 * MIB).expect("room again");
    let stats = b.master.eviction_stats();
    assert_eq!((stats.discarded, stats.successful, b.armed()), (2, 1, false));
    b.replay_agrees();
}

#[test]
fn s8_31_eviction_is_needed_only_where_it_could_help() {
    let none = evicting(0.05, 0.9, 0);
    none.arm();
    assert!(!none.armed(), "no segments");
    let b = evicting(0.05, 0.9, 2);
    assert_eq!(b.start_with(A, "k", 1 << 40, replicas(3)), Err(NoAvailableHandle));
    assert!(!b.armed(), "fewer segment names than replicas");
    assert_eq!(b.start_with(A, "k", 1 << 40, replicas(2)), Err(NoAvailableHandle));
    assert!(b.armed());
    assert_eq!(b.start_with(A, "k", 1 << 40, replicas(3)), Err(NoAvailableHandle));
    assert!(b.armed(), "and stays armed");
}

#[test]
fn s8_32_only_the_unfinished_part_of_an_object_is_dropped() {
    let mut b = bench(2);
    let wish = prefer(&["host-1"]);
    b.start_with(A, "k0", MIB, wish).expect("room");
    assert_eq!(b.end(A, "k0"), Ok(()));
    b.copy_start(A, "k0", "host-1", &["host-2"]).expect("room");
    b.now = b.now.plus(TIMES.put_release);
    let from = b.log.tail();
    assert_eq!(b.maintain(), 1);
    b.logged(from, &[Op::Discard { key: b"default\0k0", release: Release::Now }]);
    assert_eq!((b.free_bytes(), b.get("k0").map(|l| l.replicas.len())), (31 * MIB, Ok(1)));
    b.replay_agrees();
}

#[test]
fn s8_33_a_transfer_that_took_too_long_ends_as_not_found_after_eviction() {
    for kind in ["copy", "move"] {
        let mut b = evicting(1.0, 1.0, 2);
        b.start_with(A, "k0", MIB, prefer(&["host-1"])).expect("room");
        assert_eq!(b.end(A, "k0"), Ok(()));
        if kind == "copy" {
            b.copy_start(A, "k0", "host-1", &["host-2"]).expect("room");
        } else {
            b.move_start(A, "k0", "host-1", "host-2").expect("room");
        }
        b.now = b.now.plus(TIMES.put_release);
        b.arm();
        assert_eq!((b.step(), b.left(), b.free_bytes()), (2, vec![], 32 * MIB), "{kind}");
        let late = if kind == "copy" { b.copy_end(A, "k0") } else { b.move_end(A, "k0") };
        assert_eq!(late, Err(ObjectNotFound));
    }
}

#[test]
fn an_unfinished_write_is_discarded_at_the_release_time_of_its_start_also_when_idle() {
    let mut b = bench(1);
    b.start(A, "k0", MIB).expect("room");
    let started = b.now;
    b.start(A, "k1", MIB).expect("room");
    assert_eq!(b.end(A, "k1"), Ok(()));
    b.now = Instant(started.plus(TIMES.put_release).0 - 1);
    assert_eq!((b.maintain(), b.left()), (0, vec![0, 1]));
    b.now = started.plus(TIMES.put_release);
    assert_eq!((b.maintain(), b.left(), b.free_bytes()), (1, vec![1], 15 * MIB));
    assert_eq!(b.end(A, "k0"), Err(ObjectNotFound));
    b.replay_agrees();
}

#[test]
fn an_inherited_write_is_discarded_at_the_release_time_of_the_promotion() {
    let mut b = bench(1);
    b.start(A, "k0", MIB).expect("room");
    b.sleep(RELEASE - 1);
    let mut b = b.takeover(300);
    b.sleep(RELEASE - 1);
    assert_eq!((b.maintain(), b.left()), (0, vec![0]));
    b.sleep(1);
    assert_eq!((b.maintain(), b.left()), (1, vec![]));
    b.replay_agrees();
}

fn soft() -> ReplicateConfig {
    ReplicateConfig { soft_pin_action: SoftPinAction::Enable, ..replicas(1) }
}

fn hard() -> ReplicateConfig {
    ReplicateConfig { with_hard_pin: true, ..replicas(1) }
}

#[test]
fn s8_46_soft_pins_hold_where_their_eviction_is_not_allowed_and_while_they_last() {
    for allowed in [false, true] {
        let eviction = EvictionRules { ratio: 1.0, high_watermark: 1.0, soft_pinned: allowed };
        let mut b = bench_with(MasterTimes { eviction, ..TIMES }, 1);
        b.put_with("k0", 8, soft());
        b.sleep(1);
        b.arm();
        b.step();
        assert_eq!(b.left().is_empty(), allowed);
        b.sleep(PIN);
        b.arm();
        b.step();
        assert_eq!(b.left(), Vec::<usize>::new(), "the pin is over");
    }
}

#[test]
fn s8_48_plain_objects_go_first_then_soft_pinned_ones_and_never_hard_pinned_ones() {
    let mut b = evicting(0.5, 1.0, 1);
    for (key, config) in [("k0", hard()), ("k1", soft()), ("k2", replicas(1))] {
        b.put_with(key, 8, config);
        b.sleep(1);
    }
    for left in [&[0, 1][..], &[0], &[0]] {
        b.arm();
        b.step();
        assert_eq!(b.left(), left);
    }
    assert_eq!(b.remove("k0", false), Ok(()), "a pin is no lease");
    b.replay_agrees();
}

/// Both bounds of the pass are 0.80, the share of the memory that is used.
#[test]
fn s8_53_ten_plain_and_ten_soft_pinned_objects_at_four_fifths() {
    let mut b = evicting(0.0, 0.0, 0);
    assert_eq!(b.mount(A, segment(1, 25 * MIB)), Ok(()));
    for i in 0..20 {
        let config = if i % 2 == 0 { soft() } else { replicas(1) };
        b.put_with(&format!("k{i}"), MIB, config);
        b.sleep(1);
    }
    assert_eq!((b.step(), b.left()), (16, vec![12, 14, 16, 18]));
    b.replay_agrees();
}

#[test]
fn s8_55_a_group_goes_together_or_not_at_all() {
    let mut b = evicting(0.1, 1.0, 1);
    for (key, config) in [
        ("k0", grouped("G")),
        ("k1", grouped("G")),
        ("k2", ReplicateConfig { with_hard_pin: true, ..grouped("G") }),
        ("k3", replicas(1)),
        ("k4", replicas(1)),
    ] {
        b.put_with(key, 8, config);
        b.sleep(1);
    }
    b.start_with(A, "k5", 8, grouped("G")).expect("room");
    let lease = |b: &Bench, key: &[u8]| {
        let (at, shard) = b.store.read_key(KeyHash::of(key), key);
        shard.get(at, key).expect("there").extend_lease(b.now.plus(TIMES.read_ttl));
    };
    lease(&b, b"default\0k1");
    b.arm();
    assert_eq!((b.step(), b.left()), (1, vec![0, 1, 2, 4, 5]), "a leased member blocks its group");
    b.sleep(2 * TTL);
    lease(&b, b"default\0k2");
    b.arm();
    assert_eq!((b.step(), b.left()), (1, vec![0, 1, 2, 5]), "one that is pinned too");
    b.sleep(2 * TTL);
    b.arm();
    assert_eq!((b.step(), b.left()), (2, vec![2, 5]), "what is pinned or unfinished stays");
    assert_eq!((b.end(A, "k5"), b.store.routes().len()), (Ok(()), 2));
    b.replay_agrees();
}
