//! Copy and move: SEMANTICS 2.6; checklist 8.5.56, 8.8.78 to 82.

use super::objects::grouped;
use super::*;
use crate::api::TransferBuffers;
use crate::types::TransferKind;

fn key(name: &str) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}

impl Bench {
    pub(super) fn copy_start(
        &self,
        client: ClientId,
        name: &str,
        source: &str,
        targets: &[&str],
    ) -> Result<TransferBuffers, ErrorCode> {
        let targets = targets.iter().map(|t| (*t).to_owned()).collect();
        match self
            .run(&Request::CopyStart { client, key: key(name), source: source.into(), targets })
            .response
        {
            Response::CopyStart(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn copy_end(&self, client: ClientId, name: &str) -> Result<(), ErrorCode> {
        match self.run(&Request::CopyEnd { client, key: key(name) }).response {
            Response::CopyEnd(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn copy_revoke(&self, client: ClientId, name: &str) -> Result<(), ErrorCode> {
        match self.run(&Request::CopyRevoke { client, key: key(name) }).response {
            Response::CopyRevoke(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn move_start(
        &self,
        client: ClientId,
        name: &str,
        source: &str,
        target: &str,
    ) -> Result<TransferBuffers, ErrorCode> {
        let (source, target) = (source.into(), target.into());
        match self.run(&Request::MoveStart { client, key: key(name), source, target }).response {
            Response::MoveStart(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn move_end(&self, client: ClientId, name: &str) -> Result<(), ErrorCode> {
        match self.run(&Request::MoveEnd { client, key: key(name) }).response {
            Response::MoveEnd(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn move_revoke(&self, client: ClientId, name: &str) -> Result<(), ErrorCode> {
        match self.run(&Request::MoveRevoke { client, key: key(name) }).response {
            Response::MoveRevoke(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    /// A complete object with one replica on host-1.
    pub(super) fn put_on_1(&self, name: &str, size: u64) {
        self.start_with(A, name, size, prefer(&["host-1"])).expect("room");
        assert_eq!(self.end(A, name), Ok(()));
    }

    pub(super) fn hosts(&self, name: &str) -> Vec<String> {
        let list = self.get(name).expect("readable");
        list.replicas.iter().map(|r| r.segment.name.clone()).collect()
    }
}

#[test]
fn s8_78_copy_start_checks_in_order() {
    let b = bench(3);
    assert_eq!(b.copy_start(A, "", "host-1", &["no"]), Err(InvalidParams));
    assert_eq!(b.copy_start(A, "none", "no", &["host-2", "no"]), Err(SegmentNotFound));
    assert_eq!(b.copy_start(A, "none", "no", &["host-2"]), Err(ObjectNotFound));
    b.start_with(A, "open", 8, prefer(&["host-1"])).expect("room");
    assert_eq!(b.copy_start(A, "open", "host-1", &["host-2"]), Err(ReplicaNotFound), "not complete");
    b.put_on_1("k", MIB);
    assert_eq!(b.copy_start(A, "k", "host-2", &["host-3"]), Err(ReplicaNotFound));
    b.put("fill", 8);
    b.start_with(A, "full", 16 * MIB, prefer(&["host-3"])).expect("room");
    let (tail, free) = (b.log.tail(), b.free_bytes());
    assert_eq!(b.copy_start(A, "k", "host-1", &["host-2", "host-3"]), Err(NoAvailableHandle), "all or none");
    assert_eq!((b.log.tail(), b.free_bytes()), (tail, free));
    b.copy_start(A, "k", "host-1", &["host-2"]).expect("room");
    assert_eq!(
        b.copy_start(A, "k", "host-2", &["host-3"]),
        Err(ObjectHasReplicationTask),
        "before the source"
    );
    assert_eq!(b.copy_start(A, "k", "host-1", &["no"]), Err(SegmentNotFound), "before the object");
}

#[test]
fn s8_78_targets_that_hold_a_replica_are_skipped_and_the_end_shows_all() {
    let b = bench(3);
    b.put_on_1("k", MIB);
    let from = b.log.tail();
    let done = b.copy_start(B, "k", "host-1", &["host-1", "host-2", "host-3", "host-2"]).expect("room");
    let names: Vec<_> = done.targets.iter().map(|r| (r.segment.name.as_str(), r.status)).collect();
    assert_eq!(names, [("host-2", ReplicaStatus::Processing), ("host-3", ReplicaStatus::Processing)]);
    assert_eq!((done.source.segment.name.as_str(), done.source.status), ("host-1", ReplicaStatus::Complete));
    assert_eq!(b.hosts("k"), ["host-1"], "readers go on, and see complete replicas only");
    assert_eq!(b.copy_end(B, "k"), Ok(()));
    assert_eq!(b.hosts("k"), ["host-1", "host-2", "host-3"]);
    let k = b"default\0k";
    let (kind, source) = (TransferKind::Copy, done.source.id);
    let to = regions(&done.targets);
    b.logged(
        from,
        &[
            Op::TransferStart { key: k, client: B, kind, source, regions: to },
            Op::TransferEnd { key: k, release: Release::Now },
        ],
    );
    let none = b.copy_start(B, "k", "host-1", &["host-2", "host-3"]).expect("a task all the same");
    assert_eq!(none.targets, []);
    assert_eq!(b.copy_start(B, "k", "host-1", &["host-2"]), Err(ObjectHasReplicationTask));
    assert_eq!(b.copy_end(B, "k"), Ok(()));
    assert_eq!(b.hosts("k").len(), 3);
    b.replay_agrees();
}

#[test]
fn s8_79_copy_end_checks_in_order() {
    let b = bench(2);
    assert_eq!(b.copy_end(A, "none"), Err(ObjectNotFound));
    b.put_on_1("k", 8);
    assert_eq!(b.copy_end(A, "k"), Err(ObjectNoReplicationTask));
    b.move_start(A, "k", "host-1", "host-2").expect("room");
    assert_eq!(b.copy_end(B, "k"), Err(IllegalClient), "before the kind");
    assert_eq!(b.copy_end(A, "k"), Err(InvalidParams), "it is a move");
    assert_eq!(b.copy_revoke(A, "k"), Err(InvalidParams));
    assert_eq!(b.move_end(A, "k"), Ok(()));
    assert_eq!(b.move_end(A, "k"), Err(ObjectNoReplicationTask), "not idempotent");
}

#[test]
fn s8_80_a_revoked_copy_drops_its_targets_after_a_while_and_unpins() {
    let mut b = bench(2);
    b.put_on_1("k", MIB);
    assert_eq!(b.copy_revoke(A, "k"), Err(ObjectNoReplicationTask));
    b.copy_start(A, "k", "host-1", &["host-2"]).expect("room");
    assert_eq!(b.copy_revoke(B, "k"), Err(IllegalClient));
    assert_eq!(b.copy_revoke(A, "k"), Ok(()));
    assert_eq!((b.hosts("k"), b.free_bytes()), (vec!["host-1".into()], 30 * MIB));
    b.now = Instant(b.now.plus(TIMES.revoke_quarantine).0 - 1);
    assert_eq!((b.maintain(), b.free_bytes()), (0, 30 * MIB));
    b.now = Instant(b.now.0 + 1);
    assert_eq!((b.maintain(), b.free_bytes()), (1, 31 * MIB));
    assert_eq!(b.remove("k", true), Ok(()), "nothing is pinned");
    b.replay_agrees();
}

#[test]
fn s8_81_move_checks_in_order_and_leaves_exactly_the_target() {
    let mut b = bench(2);
    b.put_on_1("k", MIB);
    assert_eq!(b.move_start(A, "k", "no", "no"), Err(SegmentNotFound));
    assert_eq!(b.move_start(A, "none", "host-1", "host-1"), Err(InvalidParams), "before the object");
    assert_eq!(b.move_start(A, "none", "host-1", "host-2"), Err(ObjectNotFound));
    assert_eq!(b.move_start(A, "k", "host-2", "host-1"), Err(ReplicaNotFound));
    let done = b.move_start(A, "k", "host-1", "host-2").expect("room");
    let before = b.get("k").expect("readable while it moves");
    assert_eq!(b.move_end(A, "k"), Ok(()));
    let after = b.get("k").expect("readable");
    assert_eq!(after.replicas.iter().map(|r| r.id).collect::<Vec<_>>(), [done.targets[0].id]);
    assert_ne!(before.replicas, after.replicas);
    assert_eq!(b.free_bytes(), 30 * MIB, "late readers: the source waits");
    b.sleep(RELEASE - 1);
    assert_eq!(b.maintain(), 0);
    b.sleep(1);
    assert_eq!((b.maintain(), b.free_bytes()), (1, 31 * MIB));
    b.replay_agrees();
}

#[test]
fn s8_81_a_move_to_where_a_replica_is_has_no_target() {
    let b = bench(2);
    b.start_with(A, "k", 8, replicas(2)).expect("room");
    assert_eq!(b.end(A, "k"), Ok(()));
    let done = b.move_start(A, "k", "host-1", "host-2").expect("a task all the same");
    assert_eq!(done.targets, []);
    assert_eq!(b.move_end(A, "k"), Ok(()));
    assert_eq!(b.hosts("k"), ["host-2"]);
}

#[test]
fn s8_82_a_move_whose_target_is_gone_is_given_up_and_pins_nothing() {
    let eviction = EvictionRules { ratio: 1.0, ..NO_EVICTION };
    let mut b = bench_with(MasterTimes { eviction, ..TIMES }, 2);
    b.start_with(A, "k", 8, replicas(2)).expect("room");
    assert_eq!(b.end(A, "k"), Ok(()));
    b.move_start(A, "k", "host-1", "host-2").expect("no target to write");
    b.sleep(1);
    assert_eq!(b.start(A, "new", 1 << 40), Err(NoAvailableHandle));
    assert_eq!(b.maintain(), 1, "the replica that is not pinned is evicted");
    assert_eq!(b.move_end(A, "k"), Err(ReplicaIsGone));
    assert_eq!(b.hosts("k"), ["host-1"], "the source stays");
    assert_eq!(b.move_end(A, "k"), Err(ObjectNoReplicationTask));
    assert_eq!(b.move_revoke(A, "k"), Err(ObjectNoReplicationTask));
    b.move_start(A, "k", "host-1", "host-2").expect("a new one may begin");
    assert_eq!(b.move_revoke(A, "k"), Ok(()));
    b.replay_agrees();
}

#[test]
fn s8_56_sources_and_targets_survive_eviction() {
    let eviction = EvictionRules { ratio: 1.0, ..NO_EVICTION };
    let mut b = bench_with(MasterTimes { eviction, ..TIMES }, 2);
    b.put_on_1("copied", 8);
    b.put_on_1("moved", 8);
    b.put_on_1("other", 8);
    b.copy_start(A, "copied", "host-1", &["host-2"]).expect("room");
    b.move_start(A, "moved", "host-1", "host-2").expect("room");
    b.sleep(1);
    assert_eq!(b.start(A, "new", 1 << 40), Err(NoAvailableHandle));
    assert_eq!((b.maintain(), b.exist("other")), (1, Ok(false)));
    assert_eq!((b.copy_end(A, "copied"), b.move_end(A, "moved")), (Ok(()), Ok(())));
    assert_eq!((b.hosts("copied").len(), b.hosts("moved")), (2, vec!["host-2".into()]));
    b.replay_agrees();
}

#[test]
fn while_a_transfer_runs_other_calls_answer_as_mooncake() {
    let b = bench(2);
    b.put_on_1("k", 8);
    b.copy_start(A, "k", "host-1", &["host-2"]).expect("room");
    assert_eq!(b.remove("k", true), Err(ReplicaIsNotReady), "targets are being written");
    assert_eq!(b.start(B, "k", 8), Err(ObjectAlreadyExists));
    assert_eq!(b.end(A, "k"), Err(InvalidWrite), "no write is in progress");
    assert_eq!(b.copy_end(A, "k"), Ok(()));
    b.copy_start(A, "k", "host-1", &["host-2"]).expect("no targets");
    assert_eq!(b.end(A, "k"), Ok(()), "complete");
    assert_eq!(b.remove("k", true), Err(ObjectHasReplicationTask));
    assert_eq!(b.copy_revoke(A, "k"), Ok(()));
    assert_eq!(b.remove("k", true), Ok(()));
}

#[test]
fn s8_39_an_upsert_during_a_copy_or_move_is_refused() {
    let b = bench(2);
    b.put_on_1("k", 8);
    b.copy_start(A, "k", "host-1", &["host-2"]).expect("room");
    let (before, tail) = (b.store.recount(), b.log.tail());
    assert_eq!(b.upsert(B, "k", 8), Err(ObjectHasReplicationTask), "same size");
    assert_eq!(b.upsert(B, "k", 9), Err(ObjectHasReplicationTask), "another size");
    assert_eq!(b.upsert_with(B, "k", 8, grouped("G")), Err(InvalidParams), "the group comes first");
    assert_eq!((b.store.recount(), b.log.tail()), (before, tail));
    assert_eq!(b.copy_end(A, "k"), Ok(()));
    b.move_start(A, "k", "host-1", "host-2").expect("no target");
    assert_eq!(b.upsert(B, "k", 8), Err(ObjectHasReplicationTask), "without targets too");
    assert_eq!(b.move_revoke(A, "k"), Ok(()));
    b.upsert(B, "k", 8).expect("nothing runs");
    b.replay_agrees();
}

#[test]
fn removals_of_many_skip_what_is_copied() {
    let b = bench(2);
    for name in ["open", "whole"] {
        b.put_on_1(name, 8);
    }
    b.copy_start(A, "open", "host-1", &["host-2"]).expect("room");
    b.copy_start(A, "whole", "host-1", &["host-1"]).expect("no target");
    assert_eq!((b.remove_all(false), b.remove_all(true), b.remove_matching(".", true)), (0, 0, Ok(0)));
    assert_eq!(b.clear(A, &["open", "whole"], "host-1"), Vec::<Bytes>::new());
    assert_eq!(b.clear(A, &["open", "whole"], ""), Vec::<Bytes>::new());
    assert_eq!(b.revoke(A, "open"), Err(InvalidWrite), "its write has ended");
    assert_eq!((b.copy_end(A, "open"), b.copy_end(A, "whole")), (Ok(()), Ok(())));
    assert_eq!(b.remove_all(true), 2);
    b.replay_agrees();
}

#[test]
fn grouped_objects_are_copied_and_discarded_where_their_group_is() {
    let mut b = bench(2);
    b.put_with("k", MIB, ReplicateConfig { preferred_segment: "host-1".into(), ..grouped("G") });
    b.copy_start(A, "k", "host-1", &["host-2"]).expect("room");
    assert_eq!(b.copy_end(A, "k"), Ok(()));
    assert_eq!(b.hosts("k").len(), 2);
    b.move_start(A, "k", "host-1", "host-2").expect("no target");
    assert_eq!(b.move_end(A, "k"), Ok(()));
    assert_eq!(b.hosts("k"), ["host-2"]);
    b.move_start(A, "k", "host-2", "host-1").expect("room");
    b.start_with(A, "w", 8, grouped("G")).expect("room");
    b.sleep(RELEASE);
    b.maintain();
    assert_eq!((b.move_end(A, "k"), b.end(A, "w")), (Err(ObjectNoReplicationTask), Err(ObjectNotFound)));
    assert_eq!((b.remove("k", true), b.store.routes().len()), (Ok(()), 0));
    b.replay_agrees();
}

#[test]
fn handing_out_bytes_is_byte_critical_and_positions_are_those_read() {
    let b = bench(2);
    b.put_on_1("k", 8);
    let (source, targets) = ("host-1".to_owned(), vec!["host-2".to_owned()]);
    let copy = Request::CopyStart { client: A, key: key("k"), source, targets };
    let done = b.run(&copy);
    assert!(done.bytes_depend_on == done.depends_on && done.depends_on == b.log.tail());
    let again = b.run(&copy);
    assert!(again.bytes_depend_on == Seq::FIRST && again.depends_on == done.depends_on);
    b.put("j", 8);
    let end = b.run(&Request::CopyEnd { client: B, key: key("k") });
    assert_eq!(end.depends_on, done.depends_on, "not on what happened elsewhere");
}

#[test]
fn a_transfer_survives_a_takeover_and_its_time_starts_again() {
    let mut b = bench(2);
    b.put_on_1("k", MIB);
    b.put_on_1("j", MIB);
    b.copy_start(A, "k", "host-1", &["host-2"]).expect("room");
    b.copy_start(A, "j", "host-1", &["host-2"]).expect("room");
    b.sleep(RELEASE - 1);
    let mut b = b.takeover(300);
    b.sleep(RELEASE - 1);
    assert_eq!(b.maintain(), 0);
    assert_eq!(b.copy_end(A, "k"), Ok(()));
    b.sleep(1);
    assert_eq!((b.maintain(), b.copy_end(A, "j")), (1, Err(ObjectNoReplicationTask)));
    assert_eq!((b.hosts("k").len(), b.hosts("j").len(), b.free_bytes()), (2, 1, 29 * MIB));
    b.replay_agrees();
}

#[test]
fn bad_transfers_are_refused_and_change_nothing() {
    let b = bench(2);
    b.put_on_1("k", 8);
    let (before, tail) = (b.store.recount(), b.log.tail());
    let many = vec!["host-2"; limits::REPLICAS_MAX + 1];
    let long = "x".repeat(limits::KEY_BYTES_MAX + 1);
    assert_eq!(b.copy_start(A, "k", "host-1", &many), Err(InvalidParams));
    assert_eq!(b.copy_start(A, &long, "host-1", &["host-2"]), Err(InvalidParams));
    assert_eq!(b.move_start(A, &long, "host-1", "host-2"), Err(InvalidParams));
    for end in [Bench::copy_end, Bench::copy_revoke, Bench::move_end, Bench::move_revoke] {
        assert_eq!(end(&b, A, ""), Err(InvalidParams));
    }
    assert_eq!((b.store.recount(), b.log.tail()), (before, tail));
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Put(usize, u32),
    Open(usize),
    Read(usize),
    Remove(usize),
    Copy(usize, usize, usize),
    Move(usize, usize, usize),
    End(usize, bool),
    Revoke(usize, bool),
    Task(usize, usize),
    Fetch,
    Sleep(u64),
    Arm,
    Maintain,
    Takeover,
}

const KEYS: [&str; 3] = ["a", "b", "c"];
const HOSTS: [&str; 3] = ["host-1", "host-2", "host-3"];

fn step() -> impl Strategy<Value = Step> {
    let (k, h) = (0..KEYS.len(), 0..HOSTS.len());
    prop_oneof![
        4 => (k.clone(), 1..3u32).prop_map(|(k, n)| Step::Put(k, n)),
        1 => k.clone().prop_map(Step::Open),
        2 => k.clone().prop_map(Step::Read),
        1 => k.clone().prop_map(Step::Remove),
        3 => (k.clone(), h.clone(), h.clone()).prop_map(|(k, s, t)| Step::Copy(k, s, t)),
        3 => (k.clone(), h.clone(), h.clone()).prop_map(|(k, s, t)| Step::Move(k, s, t)),
        4 => (k.clone(), any::<bool>()).prop_map(|(k, c)| Step::End(k, c)),
        1 => (k.clone(), any::<bool>()).prop_map(|(k, c)| Step::Revoke(k, c)),
        1 => (k, h).prop_map(|(k, t)| Step::Task(k, t)),
        1 => Just(Step::Fetch),
        3 => prop_oneof![Just(1u64), Just(TTL), Just(2 * TTL), Just(RELEASE / 2)].prop_map(Step::Sleep),
        1 => Just(Step::Arm),
        2 => Just(Step::Maintain),
        1 => Just(Step::Takeover),
    ]
}

/// Somebody may read or write these bytes until then.
struct Told {
    at: (u64, u64),
    until: Instant,
}

/// Handed-out bytes are under nobody's right.
fn hand_out(told: &[Told], now: Instant, to: &[ReplicaDescriptor]) {
    for r in to {
        let clash = |t: &&Told| t.until > now && r.address < t.at.0 + t.at.1 && t.at.0 < r.address + r.size;
        assert!(!told.iter().any(|t| clash(&t)), "bytes under a right were handed out: {r:?}");
    }
}

fn play(b: &mut Bench, told: &mut Vec<Told>, step: &Step) {
    match *step {
        Step::Put(k, n) => {
            if let Ok(to) = b.start_with(A, KEYS[k], MIB, replicas(n)) {
                hand_out(told, b.now, &to);
                // Ends are charged to preempted writes of this client first.
                while b.end(A, KEYS[k]) == Err(InvalidWrite) {}
                assert_eq!(b.end(A, KEYS[k]), Ok(()));
            }
        }
        Step::Open(k) => {
            if let Ok(to) = b.start(A, KEYS[k], MIB) {
                hand_out(told, b.now, &to);
                // Nobody ends it: its writer may go on until the release time.
                let until = b.now.plus(TIMES.put_release);
                told.extend(to.iter().map(|r| Told { at: (r.address, r.size), until }));
            }
        }
        Step::Read(k) => {
            if let Ok(list) = b.get(KEYS[k]) {
                let until = b.now.plus(list.lease);
                told.extend(list.replicas.iter().map(|r| Told { at: (r.address, r.size), until }));
            }
        }
        Step::Remove(k) => drop(b.remove(KEYS[k], true)),
        Step::Copy(k, s, t) => {
            if let Ok(done) = b.copy_start(A, KEYS[k], HOSTS[s], &[HOSTS[t]]) {
                hand_out(told, b.now, &done.targets);
            }
        }
        Step::Move(k, s, t) => {
            if let Ok(done) = b.move_start(A, KEYS[k], HOSTS[s], HOSTS[t]) {
                hand_out(told, b.now, &done.targets);
            }
        }
        Step::End(k, copy) => {
            let end = if copy { Bench::copy_end } else { Bench::move_end };
            let _ = end(b, A, KEYS[k]);
        }
        Step::Revoke(k, copy) => {
            let revoke = if copy { Bench::copy_revoke } else { Bench::move_revoke };
            let _ = revoke(b, A, KEYS[k]);
        }
        Step::Task(k, t) => {
            let targets = vec![HOSTS[t].to_owned()];
            b.run(&Request::CreateCopyTask { key: key(KEYS[k]), targets });
        }
        Step::Fetch => drop(b.run(&Request::FetchTasks { client: A, max: 2 })),
        Step::Sleep(millis) => b.sleep(millis),
        Step::Arm => assert_eq!(b.start(A, "large", 1 << 40), Err(NoAvailableHandle)),
        Step::Maintain => drop(b.maintain()),
        Step::Takeover => {
            let copy = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
            for entry in split_entries(&b.entries_since(Seq::FIRST)) {
                copy.apply(&decode(entry.expect("whole")).expect("own bytes")).expect("fits");
            }
            let epoch = Epoch(b.master.epoch().0 + 1);
            let hold_until = b.now.plus(up(TIMES.read_ttl));
            let start = MasterStart { epoch, since: b.now, hold_until, seed: 7, sabotage: None };
            *b = Bench::lead_with(b.config.clone(), copy, b.log.clone(), &start);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each step is audited; after it all the replay agrees, and time alone
    /// brings every byte back that no complete object owns.
    #[test]
    fn random_transfers_evictions_and_takeovers_replay_and_leak_nothing(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let eviction = EvictionRules { ratio: 0.3, ..NO_EVICTION };
        let mut b = bench_with(MasterTimes { eviction, ..TIMES }, 3);
        let mut told = Vec::new();
        for step in &steps {
            play(&mut b, &mut told, step);
        }
        b.replay_agrees();
        for _ in 0..3 {
            b.sleep(2 * RELEASE);
            b.maintain();
        }
        let homes = (0..limits::SHARDS).filter_map(HomeId::from_index);
        let owned: u64 = homes.map(|h| {
            let shard = b.store.shard(h).read();
            assert!(shard.objects().all(|o| o.unfinished().is_none()));
            shard.objects().flat_map(|o| o.replicas().map(|r| r.region.reserved)).sum::<u64>()
        }).sum();
        prop_assert_eq!((b.store.recount().limbo, b.free_bytes()), (0, 48 * MIB - owned));
        b.replay_agrees();
    }
}
