use smallvec::smallvec;

use super::*;
use crate::oplog::{LimboKind, Release, codec};
use crate::types::{
    ClientId, CopyId, Epoch, KeyHash, MountUid, SegmentId, SegmentSpec, Traits, Uuid, WallTime,
};

fn store() -> MetadataStore {
    MetadataStore::new(&"test".parse().expect("a name"))
}

fn apply(store: &MetadataStore, seq: u64, op: &Op<'_>) -> Result<(), ApplyError> {
    let mut bytes = Vec::new();
    codec::Prepared::new(Epoch(1), WallTime(0), op.place(), op).finish(Seq(seq), &mut bytes);
    store.apply(&codec::decode(&bytes).expect("own bytes"))
}

fn mount(id: u64) -> Op<'static> {
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

fn put(key: &'static [u8], offset: u64) -> Op<'static> {
    let region = Region { mount: MountUid(LogPos::new(Epoch(1), Seq(1))), offset, reserved: 8 };
    Op::PutStart {
        key,
        client: ClientId::default(),
        size: 8,
        regions: smallvec![region],
        traits: Traits::default(),
    }
}

const K: &[u8] = b"default\0k";
const J: &[u8] = b"default\0j";

fn end(key: &'static [u8]) -> Op<'static> {
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
    let overlap = RegionError::NotFree { offset: 4, len: 8 };
    assert_eq!(apply(&s, 9, &put(J, 4)), Err(ApplyError::Region(overlap)));
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
    assert_eq!(digest_of(&[mount(1), put(K, 0), end(K), Op::Clear { shard }]), empty);
    assert_eq!(digest_of(&[mount(1), put(K, 0), Op::Clear { shard }]), digest_of(&[mount(1), put(K, 0)]));
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
