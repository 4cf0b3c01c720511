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
    };
    Op::MountSegment { client: ClientId::default(), segment: std::borrow::Cow::Owned(segment) }
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
