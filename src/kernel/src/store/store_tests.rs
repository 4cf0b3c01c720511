use smallvec::smallvec;

use super::*;
use crate::oplog::{LimboKind, Release, codec};
use crate::types::{
    ClientId, CopyId, Epoch, KeyHash, MountUid, SegmentId, SegmentSpec, TaskStatus, Traits, TransferKind,
    Uuid, WallTime,
};

pub(super) fn store() -> MetadataStore {
    MetadataStore::new(&"test".parse().expect("a name"))
}

pub(super) fn apply(store: &MetadataStore, seq: u64, op: &Op<'_>) -> Result<(), ApplyError> {
    let mut bytes = Vec::new();
    codec::Prepared::new(Epoch(1), WallTime(0), op.place(), op).finish(Seq(seq), &mut bytes);
    store.apply(&codec::decode(&bytes).expect("own bytes"))
}

pub(super) fn mount(id: u64) -> Op<'static> {
    let segment = SegmentSpec {
        id: SegmentId(Uuid { first: id, second: 0 }),
        name: format!("host-{id}"),
        base: 1 << 20,
        size: 1000,
        te_endpoint: "e".into(),
        protocol: "tcp".into(),
        host_id: String::new(),
    };
    Op::MountSegment { client: ClientId::default(), segment: std::borrow::Cow::Owned(segment), held: false }
}

pub(super) fn put(key: &'static [u8], offset: u64) -> Op<'static> {
    let region = Region { mount: MountUid(LogPos::new(Epoch(1), Seq(1))), offset, reserved: 8 };
    Op::PutStart {
        key,
        client: ClientId::default(),
        size: 8,
        regions: smallvec![region],
        traits: Traits::default(),
    }
}

pub(super) const K: &[u8] = b"default\0k";
const J: &[u8] = b"default\0j";

pub(super) fn end(key: &'static [u8]) -> Op<'static> {
    Op::PutEnd { key, checksum: Some(7) }
}

#[test]
fn digest_equals_recount_and_derived_equals_rebuild_after_every_op() {
    let s = store();
    let ops = [
        mount(1),
        put(K, 0),
        put(J, 8),
        end(K),
        end(J),
        Op::Remove { key: K, release: Release::Limbo(LimboKind::Read) },
        Op::Remove { key: J, release: Release::Now },
        put(J, 8),
        Op::Preempt { key: J, release: Release::Limbo(LimboKind::Write) },
        Op::Free { shard: KeyHash::of(K).home.index() as u16, since: Seq(6), index: 0 },
    ];
    for (i, op) in ops.iter().enumerate() {
        apply(&s, i as u64 + 1, op).expect("fits");
        let r = s.recount();
        assert_eq!((r.digest, &r.damaged), (r.recount, &Vec::new()), "after {op:?}");
        assert_eq!(s.digest(), (r.digest, r.applied));
        s.audit().expect("derived equals rebuild");
    }
    let r = s.recount();
    assert_eq!((r.objects, r.limbo, r.applied), (0, 1, Seq(11)));
    let left = s.shard(KeyHash::of(J).home).read();
    let kinds: Vec<LimboKind> = left.limbo().map(|(_, _, l)| l.kind).collect();
    assert_eq!(kinds, [LimboKind::Write]);
}

#[test]
fn an_entry_applied_twice_changes_nothing() {
    let s = store();
    for (i, op) in [mount(1), put(K, 0), end(K)].iter().enumerate() {
        apply(&s, i as u64 + 1, op).expect("fits");
        let before = s.recount();
        apply(&s, i as u64 + 1, op).expect("skipped");
        assert_eq!(s.recount(), before);
    }
}

#[test]
fn an_op_that_does_not_fit_is_named_and_changes_nothing() {
    let s = store();
    for (i, op) in [mount(1), put(K, 0), end(K)].iter().enumerate() {
        apply(&s, i as u64 + 1, op).expect("fits");
    }
    let before = s.recount();
    let bad = [
        (put(K, 100), ApplyError::ObjectExists),
        (end(J), ApplyError::NoObject),
        (Op::Remove { key: J, release: Release::Now }, ApplyError::NoObject),
        (Op::Preempt { key: K, release: Release::Limbo(LimboKind::Write) }, ApplyError::ObjectComplete),
        (Op::Free { shard: 3, since: Seq(2), index: 0 }, ApplyError::NoLimbo(Seq(2), 0)),
        (mount(1), ApplyError::SegmentMounted(SegmentId(Uuid { first: 1, second: 0 }))),
    ];
    for (op, why) in bad {
        assert_eq!(apply(&s, 9, &op), Err(why));
        assert_eq!(s.recount(), before);
    }
}

/// An entry that names bytes which are not free is as if it had never come:
/// whoever quarantines it may go on with the next.
#[test]
fn an_entry_with_a_bad_region_changes_nothing() {
    let s = store();
    for (seq, op) in [(1, mount(1)), (2, put(K, 0)), (3, end(K))] {
        apply(&s, seq, &op).expect("fits");
    }
    let uid = |seq| MountUid(LogPos::new(Epoch(1), Seq(seq)));
    let region = |mount, offset, reserved| Region { mount, offset, reserved };
    let not_free = |offset, len| RegionError::NotFree { offset, len };
    let good = region(uid(1), 500, 8);
    let cases = [
        (region(uid(1), 4, 8), not_free(4, 8)),
        (region(uid(1), 996, 8), not_free(996, 8)),
        (region(uid(1), 2000, 8), not_free(2000, 8)),
        (region(uid(1), u64::MAX, 8), not_free(u64::MAX, 8)),
        (region(uid(1), 16, 0), not_free(16, 0)),
        (region(uid(1), 504, 8), not_free(504, 8)),
        (region(uid(7), 16, 8), RegionError::NoMount(uid(7).0)),
    ];
    let client = ClientId::default();
    let state = || {
        let free: Vec<_> = s.allocators().lock().iter().map(|(uid, a)| (uid, a.free_extents())).collect();
        let marks: Vec<_> = (0..limits::HOMES).filter_map(HomeId::from_index).map(|h| s.mark(h)).collect();
        (s.recount(), marks, free, s.routes().all())
    };
    let before = state();
    for (bad, why) in cases {
        let regions = smallvec![good, bad];
        let traits = Traits { group: b"G", ..Traits::default() };
        let (kind, source) = (TransferKind::Copy, 2 << 8);
        let hostile = [
            Op::PutStart { key: J, client, size: 8, regions: regions.clone(), traits },
            Op::TransferStart { key: K, client, kind, source, regions },
        ];
        for op in hostile {
            assert_eq!(apply(&s, 9, &op), Err(ApplyError::Region(why)), "{op:?}");
            assert_eq!(state(), before, "{op:?}");
        }
    }
    // Good bytes of an op that does not fit are free again.
    let (kind, regions) = (TransferKind::Copy, smallvec![good]);
    let no_source = Op::TransferStart { key: K, client, kind, source: 77, regions };
    assert_eq!(apply(&s, 9, &no_source), Err(ApplyError::NoSource(77)));
    assert_eq!(apply(&s, 9, &put(K, 100)), Err(ApplyError::ObjectExists));
    assert_eq!(state(), before);
    s.audit().expect("derived equals rebuild");
    apply(&s, 9, &put(J, 8)).expect("the next one fits");
}

#[test]
fn every_replicated_field_is_in_the_digest() {
    let digest_after = |ops: &[Op<'_>]| {
        let s = store();
        for (i, op) in ops.iter().enumerate() {
            apply(&s, i as u64 + 1, op).expect("fits");
        }
        s.digest().0
    };
    let base = digest_after(&[mount(1), put(K, 0), end(K)]);
    let other_writer = Op::PutStart {
        key: K,
        client: ClientId(Uuid { first: 9, second: 9 }),
        size: 8,
        regions: smallvec![Region { mount: MountUid(LogPos::new(Epoch(1), Seq(1))), offset: 0, reserved: 8 }],
        traits: Traits::default(),
    };
    let variants = [
        digest_after(&[mount(1), put(K, 0)]),
        digest_after(&[mount(1), put(J, 0), end(J)]),
        digest_after(&[mount(1), put(K, 8), end(K)]),
        digest_after(&[mount(1), put(K, 0), Op::PutEnd { key: K, checksum: None }]),
        digest_after(&[mount(1), other_writer, end(K)]),
        digest_after(&[mount(2), put(K, 0), end(K)]),
    ];
    for (i, v) in variants.iter().enumerate() {
        assert_ne!(*v, base, "variant {i} is invisible");
    }
    assert_eq!(digest_after(&[mount(1), put(K, 0), end(K)]), base, "a function of the ops");
    let term = Op::TermStart { node: "a".into(), copy: CopyId(1) };
    assert_eq!(digest_after(&[mount(1), put(K, 0), end(K), term]), base, "a term record is not state");
}

fn put_as(key: &'static [u8], traits: Traits<'static>) -> Op<'static> {
    let Op::PutStart { client, size, regions, .. } = put(key, 0) else { panic!() };
    Op::PutStart { key, client, size, regions, traits }
}

fn digest_of(ops: &[Op<'_>]) -> u128 {
    let s = store();
    for (i, op) in ops.iter().enumerate() {
        apply(&s, i as u64 + 1, op).expect("fits");
        let r = s.recount();
        assert_eq!((r.digest, &r.damaged), (r.recount, &Vec::new()), "after {op:?}");
        s.audit().expect("derived equals rebuild");
    }
    s.digest().0
}

#[test]
fn traits_and_attempts_are_in_the_digest() {
    let base = digest_of(&[mount(1), put(K, 0)]);
    let variants = [
        Traits { data_type: crate::types::DataType(1), ..Traits::default() },
        Traits { hard_pin: true, ..Traits::default() },
        Traits { soft_pin: 5, ..Traits::default() },
        Traits { pending_pin: Some(0), ..Traits::default() },
        Traits { pending_pin: Some(5), ..Traits::default() },
        Traits { group: b"g", ..Traits::default() },
        Traits { group: b"h", ..Traits::default() },
    ];
    let mut seen: std::collections::BTreeSet<u128> =
        variants.iter().map(|t| digest_of(&[mount(1), put_as(K, *t)])).collect();
    seen.insert(base);
    let client = ClientId(Uuid { first: 9, second: 9 });
    seen.insert(digest_of(&[mount(1), put(K, 0), Op::Abandon { key: K, client }]));
    seen.insert(digest_of(&[mount(1), put(K, 0), Op::Abandon { key: K, client: ClientId::default() }]));
    seen.insert(digest_of(&[mount(1), put(K, 0), Op::Abandon { key: J, client }]));
    assert_eq!(seen.len(), variants.len() + 4, "one of them is invisible");
    let resolved =
        [mount(1), put(K, 0), Op::Abandon { key: K, client }, Op::Resolve { key: K, since: Seq(3) }];
    assert_eq!(digest_of(&resolved), base);
    let pinned = Traits { pending_pin: Some(5), ..Traits::default() };
    let cleared = Traits { soft_pin: 3, pending_pin: Some(0), ..Traits::default() };
    let ended = digest_of(&[mount(1), put(K, 0), end(K)]);
    assert_ne!(digest_of(&[mount(1), put_as(K, pinned), end(K)]), ended, "committed");
    assert_eq!(digest_of(&[mount(1), put_as(K, cleared), end(K)]), ended, "cleared");
}

#[test]
fn an_upsert_in_place_and_a_clear_are_in_the_digest() {
    let upsert =
        |first| Op::UpsertInPlace { key: K, client: ClientId(Uuid { first, second: 0 }), pending_pin: None };
    let open = digest_of(&[mount(1), put(K, 0), end(K), upsert(1)]);
    assert_ne!(open, digest_of(&[mount(1), put(K, 0), end(K), upsert(2)]));
    assert_ne!(open, digest_of(&[mount(1), put(K, 0), end(K)]));
    let shard = KeyHash::of(K).home.index() as u16;
    let empty = digest_of(&[mount(1)]);
    let clear = |objects| Op::Clear { shard, objects };
    let k = KeyHash::of(K).map;
    assert_eq!(digest_of(&[mount(1), put(K, 0), end(K), clear(vec![k])]), empty);
    assert_eq!(
        digest_of(&[mount(1), put(K, 0), clear(vec![k])]),
        digest_of(&[mount(1), put(K, 0)]),
        "what is unfinished stays"
    );
    assert_eq!(
        digest_of(&[mount(1), put(K, 0), end(K), clear(vec![k ^ 1])]),
        digest_of(&[mount(1), put(K, 0), end(K)]),
        "what is not named stays"
    );
    let revoke = Op::PutRevoke { key: K, release: Release::Now };
    assert_eq!(digest_of(&[mount(1), put(K, 0), end(K), upsert(1), revoke]), empty);
}

#[test]
fn ops_on_objects_that_do_not_fit_are_named_and_change_nothing() {
    let s = store();
    let client = ClientId::default();
    let ops = [mount(1), put(K, 0), end(K), put(J, 8), Op::Abandon { key: J, client }];
    for (i, op) in ops.iter().enumerate() {
        apply(&s, i as u64 + 1, op).expect("fits");
    }
    let before = s.recount();
    let none = b"default\0none";
    let only = 2 << 8;
    let in_place = |key| Op::UpsertInPlace { key, client, pending_pin: None };
    let drop = |key, id| Op::DropReplica { key, id, release: Release::Now };
    for (op, why) in [
        (Op::PutRevoke { key: K, release: Release::Now }, ApplyError::ObjectComplete),
        (Op::PutRevoke { key: none, release: Release::Now }, ApplyError::NoObject),
        (in_place(J), ApplyError::ObjectInFlight),
        (in_place(none), ApplyError::NoObject),
        (drop(K, only), ApplyError::NoReplica(only)),
        (drop(K, 77), ApplyError::NoReplica(77)),
        (drop(J, 4 << 8), ApplyError::NoReplica(4 << 8)),
        (drop(none, only), ApplyError::NoObject),
        (Op::Resolve { key: J, since: Seq(4) }, ApplyError::NoAttempt(Seq(4))),
        (Op::Resolve { key: K, since: Seq(5) }, ApplyError::NoAttempt(Seq(5))),
    ] {
        assert_eq!(apply(&s, 9, &op), Err(why), "{op:?}");
        assert_eq!(s.recount(), before);
        s.audit().expect("derived equals rebuild");
    }
}

fn transfer(client: u64, kind: TransferKind, source: u64, offsets: &[u64]) -> Op<'static> {
    let mount = MountUid(LogPos::new(Epoch(1), Seq(1)));
    let regions = offsets.iter().map(|offset| Region { mount, offset: *offset, reserved: 8 }).collect();
    Op::TransferStart { key: K, client: ClientId(Uuid { first: client, second: 0 }), kind, source, regions }
}

fn task(
    client: u64,
    kind: TransferKind,
    source: &'static str,
    target: &'static str,
    wall: u64,
) -> Op<'static> {
    let client = ClientId(Uuid { first: client, second: 0 });
    let targets = vec![target.into()];
    Op::TaskCreate { kind, client, key: K, source: source.into(), targets, wall: WallTime(wall) }
}

fn task_id(seq: u64) -> TaskId {
    TaskId(LogPos::new(Epoch(1), Seq(seq)))
}

fn task_end(seq: u64, status: TaskStatus, message: &'static str) -> Op<'static> {
    Op::TaskEnd { task: task_id(seq), status, message: message.into(), wall: WallTime(5) }
}

/// Replica ids are `seq << 8 | index`: the put below is entry 2.
const SOURCE: u64 = 2 << 8;

#[test]
fn transfers_and_what_drops_replicas_keep_digest_and_indexes() {
    let s = store();
    let write = Release::Limbo(LimboKind::Write);
    let ops = [
        mount(1),
        put(K, 0),
        end(K),
        transfer(1, TransferKind::Copy, SOURCE, &[8, 16]),
        Op::TransferRevoke { key: K, release: write },
        transfer(1, TransferKind::Copy, SOURCE, &[24]),
        Op::TransferEnd { key: K, release: Release::Now },
        transfer(1, TransferKind::Move, SOURCE, &[32]),
        Op::Evict { key: K, release: Release::Now },
        Op::TransferEnd { key: K, release: write },
        transfer(1, TransferKind::Copy, 8 << 8, &[40]),
        Op::Discard { key: K, release: Release::Now },
        Op::Evict { key: K, release: Release::Now },
        put(K, 48),
        Op::Discard { key: K, release: Release::Now },
    ];
    for (i, op) in ops.iter().enumerate() {
        apply(&s, i as u64 + 1, op).expect("fits");
        let r = s.recount();
        assert_eq!((r.digest, &r.damaged), (r.recount, &Vec::new()), "after {op:?}");
        s.audit().expect("derived equals rebuild");
    }
    let r = s.recount();
    assert_eq!((r.objects, r.limbo), (0, 3), "two targets and the source of the move");
}

#[test]
fn ops_of_transfers_and_tasks_that_do_not_fit_change_nothing() {
    let s = store();
    let ops = [mount(1), put(K, 0), end(K), put(J, 8), task(1, TransferKind::Copy, "a", "b", 1)];
    for (i, op) in ops.iter().enumerate() {
        apply(&s, i as u64 + 1, op).expect("fits");
    }
    let refused = |at: u64, bad: Vec<(Op<'static>, ApplyError)>| {
        let before = s.recount();
        for (op, why) in bad {
            assert_eq!(apply(&s, at, &op), Err(why), "{op:?}");
            assert_eq!(s.recount(), before);
            s.audit().expect("derived equals rebuild");
        }
    };
    let now = Release::Now;
    let many: Vec<u64> = (0..64).map(|i| 100 + 8 * i).collect();
    let unknown = Op::TaskFetch { tasks: vec![task_id(5), task_id(4)], wall: WallTime(1) };
    let twice = Op::TaskFetch { tasks: vec![task_id(5), task_id(5)], wall: WallTime(1) };
    refused(
        90,
        vec![
            (Op::Evict { key: J, release: now }, ApplyError::NothingEvictable),
            (Op::Evict { key: b"default\0x", release: now }, ApplyError::NoObject),
            (Op::Discard { key: K, release: now }, ApplyError::ObjectComplete),
            (transfer(1, TransferKind::Copy, 9, &[16]), ApplyError::NoSource(9)),
            (transfer(1, TransferKind::Copy, SOURCE, &many), ApplyError::TooManyReplicas(65)),
            (Op::TransferEnd { key: K, release: now }, ApplyError::NoTransfer),
            (Op::TransferRevoke { key: K, release: now }, ApplyError::NoTransfer),
            (unknown, ApplyError::TaskNotPending(task_id(4))),
            (twice, ApplyError::TaskNotPending(task_id(5))),
            (task_end(4, TaskStatus::Failed, ""), ApplyError::TaskNotOpen(task_id(4))),
        ],
    );
    apply(&s, 91, &transfer(1, TransferKind::Move, SOURCE, &[])).expect("fits");
    apply(&s, 92, &task_end(5, TaskStatus::Failed, "")).expect("fits");
    refused(
        93,
        vec![
            (transfer(1, TransferKind::Copy, SOURCE, &[16]), ApplyError::TransferRuns),
            (end(K), ApplyError::TransferRuns),
            (
                Op::UpsertInPlace { key: K, client: ClientId::default(), pending_pin: None },
                ApplyError::TransferRuns,
            ),
            (Op::DropReplica { key: K, id: SOURCE, release: now }, ApplyError::TransferRuns),
            (Op::Evict { key: K, release: now }, ApplyError::NothingEvictable),
            (Op::TransferEnd { key: K, release: now }, ApplyError::TransferBroken),
            (task_end(5, TaskStatus::Success, ""), ApplyError::TaskNotOpen(task_id(5))),
        ],
    );
}

#[test]
fn every_replicated_field_of_transfers_and_tasks_is_in_the_digest() {
    let digest_after = |ops: &[Op<'_>]| {
        let s = store();
        for (i, op) in ops.iter().enumerate() {
            apply(&s, i as u64 + 1, op).expect("fits");
        }
        s.digest().0
    };
    let begun = [mount(1), put(K, 0), end(K)];
    let with = |op: Op<'static>| digest_after(&[&begun[..], &[op]].concat());
    let (copy, moving) = (TransferKind::Copy, TransferKind::Move);
    let fetch = || Op::TaskFetch { tasks: vec![task_id(4)], wall: WallTime(4) };
    let after_task =
        |op: Op<'static>| digest_after(&[&begun[..], &[task(1, copy, "a", "b", 1), op]].concat());
    let late = digest_after(&[&begun[..], &[mount(2), transfer(1, copy, SOURCE, &[8])]].concat());
    let early = digest_after(&[&begun[..], &[transfer(1, copy, SOURCE, &[8]), mount(2)]].concat());
    assert_ne!(late, early, "where a transfer and its replicas began");
    let variants = [
        digest_after(&begun),
        with(transfer(1, copy, SOURCE, &[8])),
        with(transfer(2, copy, SOURCE, &[8])),
        with(transfer(1, moving, SOURCE, &[8])),
        with(transfer(1, copy, SOURCE, &[16])),
        with(transfer(1, copy, SOURCE, &[])),
        with(task(1, copy, "a", "b", 1)),
        with(task(2, copy, "a", "b", 1)),
        with(task(1, moving, "a", "b", 1)),
        with(task(1, copy, "x", "b", 1)),
        with(task(1, copy, "a", "x", 1)),
        with(task(1, copy, "a", "b", 2)),
        after_task(fetch()),
        after_task(task_end(4, TaskStatus::Failed, "")),
        after_task(task_end(4, TaskStatus::Success, "")),
        after_task(task_end(4, TaskStatus::Failed, "why")),
    ];
    let distinct: std::collections::BTreeSet<u128> = variants.into_iter().collect();
    assert_eq!(distinct.len(), variants.len(), "a change is invisible");
    let pruned = Op::TaskPrune { through: LogPos::new(Epoch(1), Seq(5)) };
    let all =
        [&begun[..], &[task(1, copy, "a", "b", 1), task_end(4, TaskStatus::Failed, ""), pruned]].concat();
    assert_eq!(digest_after(&all), digest_after(&begun), "a task that is forgotten leaves nothing");
}

/// A region that is elsewhere than its allocator knows is found home by home.
#[test]
fn one_home_is_compared_with_what_joins_it() {
    let store = store();
    for (i, op) in [mount(1), put(K, 0), put(J, 8), end(J)].iter().enumerate() {
        apply(&store, i as u64 + 1, op).expect("fits");
    }
    let homes = || (0..limits::HOMES).filter_map(HomeId::from_index);
    assert!(homes().all(|home| store.audit_home(home).is_ok()));
    let name = store.lab_corrupt(Damage::InFlight, 0).expect("a write is unfinished");
    let home = KeyHash::of(&name).home;
    assert!(matches!(store.audit_home(home), Err(AuditError::Overlap { .. })));
    assert_eq!(homes().filter(|home| store.audit_home(*home).is_err()).count(), 1);
}
