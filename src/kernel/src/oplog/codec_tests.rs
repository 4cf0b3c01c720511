use proptest::prelude::*;
use smallvec::smallvec;

use super::*;
use crate::types::{ByteRange, DataType, TaskId, TaskStatus, Traits, TransferKind};

fn encode(epoch: u64, seq: u64, op: &Op<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Prepared::new(Epoch(epoch), WallTime(1_700_000_000_000_000), op.place(), op).finish(Seq(seq), &mut out);
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn region(epoch: u64, seq: u64, offset: u64, reserved: u64) -> Region {
    Region { mount: MountUid(LogPos { epoch: Epoch(epoch), seq }), offset, reserved }
}

fn task(epoch: u64, seq: u64) -> TaskId {
    TaskId(LogPos { epoch: Epoch(epoch), seq })
}

fn samples() -> Vec<Op<'static>> {
    let spec = SegmentSpec {
        id: SegmentId(Uuid { first: 3, second: 4 }),
        name: "host-a:1".into(),
        base: 0x1000,
        size: 1 << 30,
        te_endpoint: "host-a:1".into(),
        protocol: "tcp".into(),
        host_id: "host-a".into(),
    };
    let client = ClientId(Uuid { first: 1, second: 2 });
    let mount = MountUid(LogPos { epoch: Epoch(1), seq: 2 });
    vec![
        Op::TermStart { node: "a".into(), copy: CopyId(7) },
        Op::MountSegment { client, segment: Cow::Owned(spec), held: false },
        Op::PutStart {
            key: b"default\0k",
            client,
            size: 100,
            regions: smallvec![region(1, 2, 0, 104)],
            traits: Traits::default(),
        },
        Op::PutEnd { key: b"default\0k", checksum: None },
        Op::PutEnd { key: b"default\0k", checksum: Some(9) },
        Op::Remove { key: b"default\0k", release: Release::Now },
        Op::Preempt { key: b"default\0k", release: Release::Limbo(LimboKind::Write) },
        Op::Free { shard: 1023, since: Seq(5), index: 1 },
        Op::PutStart {
            key: b"default\0k",
            client,
            size: 100,
            regions: smallvec![region(1, 2, 0, 104)],
            traits: Traits {
                data_type: DataType(3),
                hard_pin: true,
                soft_pin: 7,
                pending_pin: Some(0),
                group: b"g",
            },
        },
        Op::PutRevoke { key: b"default\0k", release: Release::Now },
        Op::UpsertInPlace { key: b"default\0k", client, pending_pin: None },
        Op::UpsertInPlace { key: b"default\0k", client, pending_pin: Some(9) },
        Op::Clear { shard: 1023, objects: vec![7, 1 << 63] },
        Op::DropReplica { key: b"default\0k", id: 514, release: Release::Limbo(LimboKind::Read) },
        Op::Abandon { key: b"default\0k", client },
        Op::Resolve { key: b"default\0k", since: Seq(5) },
        Op::SegmentGone { mount },
        Op::ClientOk { client, host: "host-a".into() },
        Op::ClientExpired { client },
        Op::GracefulUnmount { mount, grace_ms: 30_000 },
        Op::HoldEnd { mount },
        Op::Grant {
            mount,
            open: vec![ByteRange { offset: 64, len: 192 }],
            quarantined: vec![ByteRange { offset: 0, len: 64 }, ByteRange { offset: 512, len: 8 }],
        },
        Op::Purge { shard: 1023, mount, objects: vec![9] },
        Op::Evict { key: b"default\0k", release: Release::Now },
        Op::Discard { key: b"default\0k", release: Release::Now },
        Op::TransferStart {
            key: b"default\0k",
            client,
            kind: TransferKind::Copy,
            source: 0x700,
            regions: smallvec![region(1, 2, 0, 104)],
        },
        Op::TransferStart {
            key: b"default\0k",
            client,
            kind: TransferKind::Move,
            source: 0x700,
            regions: smallvec![],
        },
        Op::TransferEnd { key: b"default\0k", release: Release::Limbo(LimboKind::Write) },
        Op::TransferRevoke { key: b"default\0k", release: Release::Limbo(LimboKind::Write) },
        Op::TaskCreate {
            kind: TransferKind::Copy,
            client,
            key: b"default\0k",
            source: "a:1".into(),
            targets: vec!["b:1".into(), "c:1".into()],
            wall: WallTime(11),
        },
        Op::TaskFetch { tasks: vec![task(1, 5), task(2, 6)], wall: WallTime(12) },
        Op::TaskEnd {
            task: task(1, 5),
            status: TaskStatus::Failed,
            message: "no".into(),
            wall: WallTime(13),
        },
        Op::TaskPrune { through: LogPos { epoch: Epoch(1), seq: 9 } },
        Op::MetadataPart { key: b"mooncake%2Fram%2Fa%3A1", part: 1, last: true, bytes: b"{}" },
        Op::MetadataRemove { key: b"mooncake%2Fram%2Fa%3A1" },
    ]
}

#[test]
fn every_kind_round_trips() {
    for (i, op) in samples().into_iter().enumerate() {
        let bytes = encode(3, i as u64 + 1, &op);
        let entry = decode(&bytes).expect("own bytes decode");
        assert_eq!(entry.op, op);
        assert_eq!(entry.pos, LogPos::new(Epoch(3), Seq(i as u64 + 1)));
        assert_eq!(claimed_seq(&bytes), Some(Seq(i as u64 + 1)));
    }
    let kinds: std::collections::BTreeSet<u8> = samples().iter().map(|o| o.kind() as u8).collect();
    assert_eq!(kinds.len(), OpType::ALL.len(), "a kind without a sample");
}

/// Nodes of different builds exchange these bytes: from the first release on a change needs a new version.
#[test]
fn golden_bytes() {
    let got: Vec<String> = samples().iter().map(|op| hex(&encode(2, 10, op))).collect();
    let want: Vec<&str> = include_str!("codec_golden.txt").lines().collect();
    assert_eq!(got, want);
}

#[test]
fn each_cut_and_each_flipped_bit_is_an_error() {
    for op in samples() {
        let bytes = encode(2, 10, &op);
        for n in 0..bytes.len() {
            assert!(decode(&bytes[..n]).is_err(), "cut to {n} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_err(), "bit {bit} flipped");
        }
    }
}

#[test]
fn a_good_checksum_does_not_excuse_bad_fields() {
    let resum = |mut bytes: Vec<u8>| {
        let at = bytes.len() - 4;
        let crc = crc32fast::hash(&bytes[..at]).to_le_bytes();
        bytes[at..].copy_from_slice(&crc);
        bytes
    };
    let patched = |at: usize, to: u8| {
        let mut bytes = encode(2, 10, &samples()[5]);
        bytes[at] = to;
        resum(bytes)
    };
    assert_eq!(decode(&patched(4, 9)), Err(DecodeError::Version(9)));
    assert_eq!(decode(&patched(5, 99)), Err(DecodeError::OpType(99)));
    let home = samples()[5].place().home.index() as u8;
    assert!(decode(&patched(6, home ^ 1)).is_ok(), "its object may be in a group");
    for op in [&samples()[2], &samples()[8], &samples()[12], &samples()[14], &samples()[15]] {
        let mut bytes = encode(2, 10, op);
        bytes[6] ^= 1;
        let bytes = resum(bytes);
        let why = decode(&bytes);
        assert!(matches!(why, Err(DecodeError::Field { field: "home", .. })), "{op:?} {why:?}");
    }
    let many = Op::Clear { shard: 1, objects: vec![0; limits::NAMED_MAX + 1] };
    let why = decode(&encode(2, 10, &many)).expect_err("too many");
    assert_eq!(why.to_string(), "number of objects is 1025: expected at most 1024");
    let mut bytes = encode(2, 10, &samples()[5]);
    bytes[6..8].copy_from_slice(&1024u16.to_le_bytes());
    assert!(matches!(decode(&resum(bytes)), Err(DecodeError::Field { field: "home", .. })), "no segment");
    assert!(matches!(decode(&patched(7, 5)), Err(DecodeError::Field { field: "home", .. })));
    assert!(matches!(decode(&patched(24, 1)), Err(DecodeError::Field { field: "prefix_hash", .. })));
    assert!(matches!(decode(&patched(32, 8)), Err(DecodeError::Field { .. } | DecodeError::LeftOver(_))));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        let _ = split_first(&bytes);
    }

    #[test]
    fn arbitrary_bodies_with_good_sums_never_panic(
        code in 0u8..64, body in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut bytes = vec![0, 0, 0, 0, VERSION, code, 0, 0];
        bytes.extend_from_slice(&[0; 24]);
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&1u64.to_le_bytes());
        let len = (bytes.len() + 4) as u32;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        let crc = crc32fast::hash(&bytes).to_le_bytes();
        bytes.extend_from_slice(&crc);
        let _ = decode(&bytes);
    }

    #[test]
    fn puts_round_trip(
        key in proptest::collection::vec(any::<u8>(), 1..200), size: u64, n in 1usize..=8, seq in 1u64..,
    ) {
        let regions = (0..n as u64).map(|i| region(i, i + 1, size / (i + 1), i)).collect();
        let op = Op::PutStart { key: &key, client: ClientId::default(), size, regions, traits: Traits::default() };
        let bytes = encode(9, seq, &op);
        prop_assert_eq!(decode(&bytes).expect("own bytes decode").op, op);
    }
}
