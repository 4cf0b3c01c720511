use smallvec::smallvec;

use super::*;
use crate::oplog::{LimboKind, Op, Release, codec};
use crate::types::{
    ClientId, DataType, KeyHash, LogPos, MountUid, Region, SegmentId, SegmentSpec, Seq, TaskId, TaskStatus,
    Traits, TransferKind, Uuid, WallTime,
};

const SESSION: CopySession = CopySession { epoch: Epoch(3), number: 7 };
const GROUP: &[u8] = b"default\0g";

fn empty() -> MetadataStore {
    MetadataStore::new(&"test".parse().expect("a name"))
}

fn client(n: u64) -> ClientId {
    ClientId(Uuid { first: n, second: 1 })
}

fn at(seq: u64) -> LogPos {
    LogPos::new(Epoch(1), Seq(seq))
}

fn mount(id: u64, held: bool) -> Op<'static> {
    let segment = SegmentSpec {
        id: SegmentId(Uuid { first: id, second: 0 }),
        name: format!("host-{id}"),
        base: 1 << 20,
        size: 10_000,
        te_endpoint: format!("host-{id}:1"),
        protocol: "tcp".into(),
        host_id: "rack".into(),
    };
    Op::MountSegment { client: client(id), segment: std::borrow::Cow::Owned(segment), held }
}

fn region(offset: u64) -> Region {
    Region { mount: MountUid(at(1)), offset, reserved: 8 }
}

fn put(key: &'static [u8], offset: u64, traits: Traits<'static>) -> Op<'static> {
    Op::PutStart { key, client: client(9), size: 8, regions: smallvec![region(offset)], traits }
}

const PLAIN: &[u8] = b"default\0plain";
const PINNED: &[u8] = b"default\0pinned";
const GROUPED: &[u8] = b"default\0grouped";
const OPEN: &[u8] = b"default\0open";
const GONE: &[u8] = b"default\0gone";

/// One of everything that a home can hold.
fn history() -> Vec<Op<'static>> {
    let pinned = Traits { data_type: DataType(3), hard_pin: true, soft_pin: 5, ..Traits::default() };
    let grouped = Traits { pending_pin: Some(70), group: GROUP, ..Traits::default() };
    let end = |key| Op::PutEnd { key, checksum: Some(99) };
    let task = |key| Op::TaskCreate {
        kind: TransferKind::Move,
        client: client(2),
        key,
        source: "host-1".into(),
        targets: vec!["host-2".into()],
        wall: WallTime(5),
    };
    vec![
        mount(1, false),
        mount(2, true),
        mount(3, false),
        Op::SegmentGone { mount: MountUid(at(3)) },
        Op::ClientOk { client: client(1), host: "rack".into() },
        put(PLAIN, 0, Traits::default()),
        end(PLAIN),
        put(PINNED, 8, pinned),
        end(PINNED),
        Op::TransferStart {
            key: PINNED,
            client: client(4),
            kind: TransferKind::Copy,
            source: 8 << 8,
            regions: smallvec![region(100)],
        },
        put(GROUPED, 16, grouped),
        put(OPEN, 24, Traits::default()),
        put(GONE, 32, Traits::default()),
        Op::Abandon { key: GONE, client: client(9) },
        Op::Preempt { key: GONE, release: Release::Limbo(LimboKind::Write) },
        put(GONE, 40, Traits::default()),
        end(GONE),
        Op::Remove { key: GONE, release: Release::Limbo(LimboKind::Read) },
        task(PLAIN),
        task(PINNED),
        Op::TaskEnd {
            task: TaskId(at(20)),
            status: TaskStatus::Failed,
            message: "no".into(),
            wall: WallTime(6),
        },
        Op::GracefulUnmount { mount: MountUid(at(1)), grace_ms: 900 },
    ]
}

fn apply(store: &MetadataStore, seq: u64, op: &Op<'_>) {
    let mut bytes = Vec::new();
    let place = match op {
        Op::PutStart { traits, .. } if !traits.group.is_empty() => {
            op.place().within(HomeId::of_group(traits.group))
        }
        _ => op.place(),
    };
    codec::Prepared::new(Epoch(1), WallTime(0), place, op).finish(Seq(seq), &mut bytes);
    store.apply(&codec::decode(&bytes).expect("own bytes")).expect("fits");
}

fn full() -> MetadataStore {
    let store = empty();
    history().iter().enumerate().for_each(|(i, op)| apply(&store, i as u64 + 1, op));
    store
}

fn homes() -> impl Iterator<Item = HomeId> {
    (0..limits::HOMES).filter_map(HomeId::from_index)
}

fn copy(from: &MetadataStore, to: &MetadataStore) {
    for home in homes() {
        let chunks = from.image(home, SESSION);
        let mut sum = 0u128;
        for (i, bytes) in chunks.iter().enumerate() {
            let chunk = Chunk::decode(bytes).expect("own bytes");
            assert_eq!((chunk.session, chunk.home, chunk.part as usize), (SESSION, home, i));
            assert_eq!(chunk.last, i + 1 == chunks.len());
            sum = sum.wrapping_add(to.load(&chunk).expect("own records"));
            assert_eq!(to.mark(home), HomeMark::default(), "not settled yet");
        }
        let mark = Chunk::decode(&chunks[0]).expect("own bytes").mark;
        assert_eq!(sum, mark.digest, "{home}");
        to.settle(home, mark);
    }
    to.derive().expect("disjoint");
}

#[test]
fn a_copy_equals_its_original_also_in_what_is_derived() {
    let (a, b) = (full(), empty());
    copy(&a, &b);
    assert_eq!(a.recount(), b.recount());
    let term = |s: &MetadataStore| s.segments().read().term();
    assert_eq!(term(&a), term(&b));
    b.audit().expect("derived equals rebuild");
    let extents = |s: &MetadataStore| -> Vec<_> {
        s.allocators().lock().iter().map(|(uid, a)| (uid, a.free_extents())).collect()
    };
    assert_eq!(extents(&a), extents(&b));
    assert_eq!(a.routes().all(), b.routes().all());
    assert_eq!(b.routes().len(), 1);
    // Both go on alike.
    for store in [&a, &b] {
        apply(store, 23, &Op::PutEnd { key: OPEN, checksum: None });
        apply(store, 24, &Op::TransferEnd { key: PINNED, release: Release::Now });
        apply(store, 25, &Op::Resolve { key: GONE, since: Seq(14) });
        store.audit().expect("derived equals rebuild");
    }
    assert_eq!(a.recount(), b.recount());
}

#[test]
fn a_cleared_store_is_as_new() {
    let store = full();
    store.clear();
    assert_eq!(store.recount(), empty().recount());
    assert!(store.routes().is_empty() && store.allocators().lock().iter().next().is_none());
    store.audit().expect("derived equals rebuild");
}

/// Nodes of different builds exchange these bytes: a change needs a new version.
#[test]
fn golden_bytes() {
    let store = full();
    let used = homes().filter(|h| store.mark(*h) != HomeMark::default());
    let hex = |bytes: &Bytes| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let got: Vec<String> = used.flat_map(|h| store.image(h, SESSION)).map(|b| hex(&b)).collect();
    let want: Vec<&str> = include_str!("snapshot_golden.txt").lines().collect();
    assert_eq!(got, want);
}

#[test]
fn a_home_of_many_objects_is_cut_and_put_together_again() {
    let (a, b) = (empty(), empty());
    apply(&a, 1, &mount(1, false));
    for i in 0..1200u64 {
        let key: &'static [u8] =
            Box::leak(format!("default\0{}{i}", "k".repeat(300)).into_bytes().into_boxed_slice());
        apply(&a, i + 2, &put(key, i * 8, Traits { group: GROUP, ..Traits::default() }));
    }
    let parts = a.image(HomeId::of_group(GROUP), SESSION);
    assert!(parts.len() > 1 && parts.iter().all(|p| p.len() <= limits::COPY_CHUNK_BYTES + HEADER + CRC));
    copy(&a, &b);
    assert_eq!(a.recount(), b.recount());
    b.audit().expect("derived equals rebuild");
}

#[test]
fn each_cut_and_each_flipped_bit_is_an_error() {
    let store = full();
    for bytes in [HomeId::SEGMENTS, HomeId::of_group(GROUP)].iter().flat_map(|h| store.image(*h, SESSION)) {
        for n in 0..bytes.len() {
            assert!(Chunk::decode(&bytes[..n]).is_err(), "cut to {n} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Chunk::decode(&bad).is_err(), "bit {bit} flipped");
        }
    }
}

/// A good checksum does not excuse bad records: they are refused, or change the
/// digest, and in no case panic.
#[test]
fn mutated_records_with_good_checksums_never_panic_and_are_noticed() {
    let store = full();
    let used: Vec<HomeId> = homes().filter(|h| store.mark(*h) != HomeMark::default()).collect();
    let mut unnoticed = 0;
    for bytes in used.iter().flat_map(|h| store.image(*h, SESSION)) {
        for at in HEADER..bytes.len() - CRC {
            for flip in [0x01, 0x80, 0xff] {
                let mut bad = bytes.to_vec();
                bad[at] ^= flip;
                let end = bad.len() - CRC;
                let crc = crc32fast::hash(&bad[..end]).to_le_bytes();
                bad[end..].copy_from_slice(&crc);
                let chunk = Chunk::decode(&bad).expect("the frame is good");
                unnoticed += u32::from(empty().load(&chunk) == Ok(chunk.mark.digest));
            }
        }
    }
    // In no digest: the term, eight bytes with three flips each, and name, protocol
    // and host of a dead mount, thirteen bytes that stay text after one flip each.
    assert_eq!(unnoticed, 24 + 13);
}

#[test]
fn records_of_another_home_and_those_that_come_twice_are_refused() {
    let store = full();
    let home = KeyHash::of(PLAIN).home;
    let image = store.image(home, SESSION);
    let chunk = Chunk::decode(&image[0]).expect("own bytes");
    let other = HomeId::from_index((home.index() + 1) % limits::SHARDS).expect("a shard");
    let misplaced = Chunk { home: other, ..chunk.clone() };
    assert_eq!(empty().load(&misplaced), Err(LoadError::Misfit(other, "belongs to another home")));
    let target = empty();
    target.load(&chunk).expect("own records");
    let again = Chunk { part: 1, ..chunk.clone() };
    assert_eq!(target.load(&again), Err(LoadError::Misfit(home, "comes twice")));
    target.load(&chunk).expect("a home that starts over is emptied first");
    let short = Chunk { records: 0, ..chunk };
    assert_eq!(empty().load(&short), Err(LoadError::Misfit(home, "is behind the last one")));
}
