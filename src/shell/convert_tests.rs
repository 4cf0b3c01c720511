use standfast_kernel::replication::{CopyEnd, CopyFrame, CopyRequest, FullSyncReason, HomeSet};
use standfast_kernel::store::CopySession;

use super::*;

fn node(name: &str) -> NodeId {
    name.parse().expect("a name")
}

fn record() -> InSyncRecord {
    InSyncRecord {
        revision: 4,
        members: vec![(CopyId(1), node("a")), (CopyId(u128::MAX), node("b"))],
        silent: vec![CopyId(u128::MAX)],
        min_insync: 1,
        ack: AckMode::Async,
        read_ttl_max: Duration::from_secs(10),
    }
}

const SESSION: CopySession = CopySession { epoch: Epoch(7), number: 3 };

fn hello(last: Option<LogPos>, unsealed: Option<(CopySession, LogPos)>) -> Hello {
    Hello {
        cluster: "c".into(),
        node: node("b"),
        copy: CopyId(0x0102),
        last,
        quarantined: last.is_none(),
        unsealed,
        max_epoch: Epoch(7),
        version: 1,
        shard_hash: 99,
        address: "127.0.0.1:1".into(),
    }
}

#[test]
fn standby_frames_survive_the_wire() {
    let pos = LogPos::new(Epoch(3), Seq(9));
    for (last, unsealed) in [
        (None, None),
        (Some(LogPos::NONE), None),
        (Some(pos), None),
        (None, Some((SESSION, pos))),
        (None, Some((SESSION, LogPos::NONE))),
    ] {
        let frame = StandbyFrame::Hello(hello(last, unsealed));
        assert_eq!(standby_from_wire(standby_to_wire(frame.clone())), Ok(frame));
    }
    let frame = StandbyFrame::Ack(Ack {
        copy: CopyId(5),
        epoch: Epoch(2),
        matched: Seq(10),
        token: 77,
        grant_us: 500_000,
        quarantined: 1,
        sealed: false,
    });
    assert_eq!(standby_from_wire(standby_to_wire(frame.clone())), Ok(frame));
}

#[test]
fn primary_frames_survive_the_wire() {
    let starts = [
        Start::Stream(Seq(5)),
        Start::FullSync(FullSyncReason::Empty(Seq(5))),
        Start::FullSync(FullSyncReason::Unsealed),
        Start::FullSync(FullSyncReason::Diverged { epochs: vec![(Epoch(1), Seq(1))], tail: Seq(9) }),
        Start::FullSync(FullSyncReason::Trimmed(Seq(8))),
        Start::FullSync(FullSyncReason::Quarantined),
        Start::FullSync(FullSyncReason::Other("because".into())),
        Start::Copy(12),
        Start::Refused(StreamRefusal::OnRecord),
        Start::Refused(StreamRefusal::NotPrimary),
        Start::Refused(StreamRefusal::Deposed),
        Start::Refused(StreamRefusal::Detached),
        Start::Refused(StreamRefusal::Cluster("other".into())),
        Start::Refused(StreamRefusal::Version),
        Start::Refused(StreamRefusal::TooMany),
        Start::Refused(StreamRefusal::Other("a bad frame".into())),
    ];
    for start in starts {
        let frame =
            PrimaryFrame::Welcome(Welcome { epoch: Epoch(2), node: node("a"), copy: CopyId(1), start });
        assert_eq!(primary_from_wire(primary_to_wire(frame.clone())), Ok(frame));
    }
    let silent = Some(Duration::from_millis(7));
    let batches = [(LogPos::NONE, None, None), (LogPos::new(Epoch(1), Seq(4)), Some(record()), silent)];
    for (prev, record, drained) in batches {
        let batch = Batch { prev, count: 2, entries: bytes::Bytes::from_static(b"entries") };
        let (commit, tail, trim) = (Seq(3), Seq(8), Seq(1));
        let epoch = Epoch(2);
        let frame = BatchFrame { epoch, batch, token: 1, commit, tail, trim, record, drained };
        let frame = PrimaryFrame::Batch(frame);
        assert_eq!(primary_from_wire(primary_to_wire(frame.clone())), Ok(frame));
    }
}

#[test]
fn frames_of_a_full_sync_survive_the_wire() {
    let mut homes = HomeSet::default();
    homes.insert(standfast_kernel::types::HomeId::SEGMENTS);
    for resume in [None, Some((SESSION, homes))] {
        let request = CopyRequest { hello: hello(Some(LogPos::NONE), None), resume };
        assert_eq!(request_from_wire(request_to_wire(request.clone())), Ok(request));
    }
    let start = Start::Copy(3);
    let end = |resume, epochs| CopyFrame::End(CopyEnd { session: SESSION, resume, epochs });
    for frame in [
        CopyFrame::Welcome(Welcome { epoch: Epoch(7), node: node("a"), copy: CopyId(1), start }),
        CopyFrame::Chunk(bytes::Bytes::from_static(b"chunk")),
        end(LogPos::NONE, Vec::new()),
        end(LogPos::new(Epoch(2), Seq(9)), vec![(Epoch(1), Seq(1)), (Epoch(2), Seq(4))]),
    ] {
        assert_eq!(copy_from_wire(copy_to_wire(frame.clone())), Ok(frame));
    }
    let short = v1::CopyResume { session: None, homes: bytes::Bytes::from_static(b"x") };
    let request = v1::FullSyncRequest { hello: Some(hello_to_wire(hello(None, None))), resume: Some(short) };
    let error = request_from_wire(request).expect_err("one byte").to_string();
    assert!(error.contains("homes `1` is not valid: expected 129 bytes"), "{error}");
}

#[test]
fn impossible_fields_are_named() {
    let ack = |copy: &[u8], matched| v1::StandbyFrame {
        frame: Some(S::Ack(v1::Ack { copy: copy.to_vec().into(), matched, ..v1::Ack::default() })),
    };
    let cases = [
        (standby_from_wire(v1::StandbyFrame { frame: None }), "standby frame `empty`"),
        (standby_from_wire(ack(b"short", 1)), "copy `5` is not valid: expected 16 bytes"),
        (standby_from_wire(ack(&[0; 16], 0)), "matched `0` is not valid: expected a seq from 1"),
        (standby_from_wire(ack(&[0; 16], u64::MAX)), "matched `18446744073709551615`"),
    ];
    for (result, part) in cases {
        let error = result.expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
    let hello = v1::Hello { node: "no/name".into(), ..v1::Hello::default() };
    let error = standby_from_wire(v1::StandbyFrame { frame: Some(S::Hello(hello)) }).expect_err("bad name");
    assert!(error.to_string().contains("node name `no/name`"), "{error}");
}
