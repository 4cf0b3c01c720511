use smallvec::smallvec;

use super::*;
use crate::types::{ClientId, CopyId, Epoch, SegmentId, SegmentSpec, Traits, Uuid};

const A: ClientId = ClientId(Uuid { first: 1, second: 0 });
const B: ClientId = ClientId(Uuid { first: 2, second: 0 });

fn spec(n: u64) -> SegmentSpec {
    SegmentSpec {
        id: SegmentId(Uuid { first: n, second: 0 }),
        name: format!("host-{n}"),
        base: 1 << 20,
        size: 1000,
        te_endpoint: format!("e{n}"),
        protocol: "tcp".into(),
        host_id: "h".into(),
    }
}

fn mount(client: ClientId, segment: SegmentSpec, held: bool) -> Op<'static> {
    Op::MountSegment { client, segment: std::borrow::Cow::Owned(segment), held }
}

/// The mount made by the op at this seq.
fn uid(seq: u64) -> MountUid {
    MountUid(LogPos { epoch: Epoch(1), seq })
}

fn ok(client: ClientId, host: &'static str) -> Op<'static> {
    Op::ClientOk { client, host: host.into() }
}

fn table() -> SegmentTable {
    SegmentTable::new(Digester::new(&"test".parse().expect("a name")))
}

/// Applies ops from seq 1 on; after each the digest equals the recount and the indexes a rebuild.
fn after(ops: &[Op<'_>]) -> SegmentTable {
    let mut t = table();
    for (op, seq) in ops.iter().zip(1..) {
        t.apply(uid(seq).0, op).expect("fits");
        assert_eq!(t.mark().digest, t.recount(), "after {op:?}");
        assert!(t.derived_agrees(), "after {op:?}");
    }
    t
}

#[test]
fn a_life_of_lenders_leaves_nothing() {
    let t = after(&[
        mount(A, spec(1), false),
        mount(A, spec(2), true),
        mount(B, spec(3), false),
        ok(A, "h"),
        Op::GracefulUnmount { mount: uid(1), grace_ms: 5 },
        Op::HoldEnd { mount: uid(2) },
        Op::SegmentGone { mount: uid(3) },
        Op::ClientExpired { client: A },
        Op::HoldEnd { mount: uid(1) },
        Op::HoldEnd { mount: uid(3) },
        Op::HoldEnd { mount: uid(2) },
    ]);
    assert_eq!((t.mark().digest, t.mounts().len(), t.clients().len(), t.departed().len()), (0, 0, 0, 0));
    assert!(t.pools().is_empty());
}

#[test]
fn every_replicated_field_is_in_the_digest() {
    let base = [mount(A, spec(1), false), mount(B, spec(2), false)];
    let with = |more: &[Op<'static>]| {
        let ops: Vec<Op<'static>> = base.iter().chain(more).cloned().collect();
        after(&ops).mark().digest
    };
    let changed = |change: &dyn Fn(&mut SegmentSpec)| {
        let mut s = spec(2);
        change(&mut s);
        after(&[base[0].clone(), mount(B, s, false)]).mark().digest
    };
    let gone = Op::SegmentGone { mount: uid(2) };
    let grace = |grace_ms| Op::GracefulUnmount { mount: uid(2), grace_ms };
    let variants = [
        with(&[]),
        with(std::slice::from_ref(&gone)),
        with(&[gone, Op::HoldEnd { mount: uid(2) }]),
        with(&[ok(B, "")]),
        with(&[ok(B, "h")]),
        with(&[ok(A, "h")]),
        with(&[ok(ClientId::default(), "h")]),
        with(&[ok(B, "h"), Op::SegmentGone { mount: uid(2) }]),
        with(&[Op::ClientExpired { client: B }, ok(B, "h")]),
        with(&[grace(0)]),
        with(&[grace(1)]),
        after(&[base[0].clone(), mount(B, spec(2), true)]).mark().digest,
        after(&[base[0].clone(), mount(A, spec(2), false)]).mark().digest,
        changed(&|s| s.host_id = "other".into()),
        changed(&|s| s.te_endpoint = "other".into()),
        changed(&|s| s.protocol = "rdma".into()),
        changed(&|s| s.base += 1),
        changed(&|s| s.size += 1),
        changed(&|s| s.name = "other".into()),
        changed(&|s| s.id = SegmentId(Uuid { first: 2, second: 1 })),
    ];
    let distinct: std::collections::BTreeSet<u128> = variants.into_iter().collect();
    assert_eq!(distinct.len(), variants.len(), "a field is invisible");
}

#[test]
fn an_op_that_does_not_fit_is_named_and_changes_nothing() {
    let mut t = after(&[
        mount(A, spec(1), false),
        mount(A, spec(2), true),
        mount(B, spec(3), false),
        Op::SegmentGone { mount: uid(3) },
        Op::GracefulUnmount { mount: uid(1), grace_ms: 5 },
    ]);
    let before = (t.mark(), format!("{t:?}"));
    let bad = [
        (mount(B, spec(1), false), ApplyError::SegmentMounted(spec(1).id)),
        (mount(B, SegmentSpec { base: 0, ..spec(9) }, false), ApplyError::BadRange { base: 0, size: 1000 }),
        (Op::SegmentGone { mount: uid(3) }, ApplyError::NoMount(uid(3).0)),
        (Op::GracefulUnmount { mount: uid(1), grace_ms: 9 }, ApplyError::AlreadyUnmounting(uid(1).0)),
        (Op::GracefulUnmount { mount: uid(9), grace_ms: 9 }, ApplyError::NoMount(uid(9).0)),
        (Op::HoldEnd { mount: uid(1) }, ApplyError::NotHeld(uid(1).0)),
        (Op::HoldEnd { mount: uid(9) }, ApplyError::NoMount(uid(9).0)),
        (Op::ClientExpired { client: B }, ApplyError::NoClient(B)),
    ];
    for (op, why) in bad {
        assert_eq!(t.apply(uid(10).0, &op), Err(why), "{op:?}");
        assert_eq!((t.mark(), format!("{t:?}")), before, "{op:?}");
    }
}

#[test]
fn a_purge_drops_replicas_and_objects_of_its_mount_only_while_that_is_dead() {
    let store = MetadataStore::new(&"test".parse().expect("a name"));
    let mut seq = 0;
    let mut apply = |op: &Op<'_>| {
        seq += 1;
        let mut bytes = Vec::new();
        crate::oplog::codec::Prepared::new(Epoch(1), crate::types::WallTime(0), op.place(), op)
            .finish(Seq(seq), &mut bytes);
        let applied = store.apply(&crate::oplog::codec::decode(&bytes).expect("own bytes"));
        let r = store.recount();
        assert_eq!((r.digest, &r.damaged), (r.recount, &Vec::new()), "after {op:?}");
        store.audit().expect("derived equals rebuild");
        applied
    };
    let region = |mount: u64, offset| Region { mount: uid(mount), offset, reserved: 8 };
    let (k, j): (&[u8], &[u8]) = (b"default\0k", b"default\0j");
    let shard = |key: &[u8]| crate::types::KeyHash::of(key).home.index() as u16;
    let ops = [
        Op::TermStart { node: "a".into(), copy: CopyId(1) },
        mount(A, spec(1), false),
        mount(A, spec(2), false),
        Op::PutStart {
            key: k,
            client: A,
            size: 8,
            regions: smallvec![region(2, 0), region(3, 0)],
            traits: Traits::default(),
        },
        Op::PutStart {
            key: j,
            client: A,
            size: 8,
            regions: smallvec![region(2, 8), region(3, 8)],
            traits: Traits::default(),
        },
        Op::Remove { key: j, release: crate::oplog::Release::Limbo(crate::oplog::LimboKind::Read) },
    ];
    for op in &ops {
        assert_eq!(apply(op), Ok(()));
    }
    let purge = |key, mount| {
        let objects = vec![crate::types::KeyHash::of(key).map];
        Op::Purge { shard: shard(key), mount: uid(mount), objects }
    };
    assert_eq!(apply(&purge(k, 2)), Err(ApplyError::MountLives(uid(2).0)));
    assert_eq!(apply(&Op::SegmentGone { mount: uid(2) }), Ok(()));
    assert_eq!((apply(&purge(k, 2)), apply(&purge(j, 2))), (Ok(()), Ok(())));
    let left = |store: &MetadataStore| (store.recount().objects, store.recount().limbo);
    assert_eq!(left(&store), (1, 2), "the other replica and all limbo stay");
    for index in [0, 1] {
        assert_eq!(
            apply(&Op::Free { shard: shard(j), since: Seq(6), index }),
            Ok(()),
            "also on a dead mount"
        );
    }
    assert_eq!(apply(&Op::SegmentGone { mount: uid(3) }), Ok(()));
    assert_eq!((apply(&purge(j, 3)), left(&store)), (Ok(()), (1, 0)), "what is not named stays");
    assert_eq!((apply(&purge(k, 3)), left(&store)), (Ok(()), (0, 0)));
    assert_eq!(apply(&purge(k, 3)), Ok(()), "nothing is left to drop");
}
