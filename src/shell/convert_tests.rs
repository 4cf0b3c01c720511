use super::*;

fn node(name: &str) -> NodeId {
    name.parse().expect("a name")
}

fn record() -> InSyncRecord {
    InSyncRecord {
        revision: 4,
        members: vec![(CopyId(1), node("a")), (CopyId(u128::MAX), node("b"))],
        ack: AckMode::Async,
        read_ttl_max: Duration::from_secs(10),
    }
}

#[test]
fn standby_frames_survive_the_wire() {
    for last in [None, Some(LogPos::NONE), Some(LogPos::new(Epoch(3), Seq(9)))] {
        let frame = StandbyFrame::Hello(Hello {
            cluster: "c".into(),
            node: node("b"),
            copy: CopyId(0x0102),
            last,
            max_epoch: Epoch(7),
            version: 1,
            shard_hash: 99,
            address: "127.0.0.1:1".into(),
        });
        assert_eq!(standby_from_wire(standby_to_wire(frame.clone())), Ok(frame));
    }
    let frame = StandbyFrame::Ack(Ack {
        copy: CopyId(5),
        epoch: Epoch(2),
        matched: Seq(10),
        token: 77,
        grant_us: 500_000,
        quarantined: 1,
    });
    assert_eq!(standby_from_wire(standby_to_wire(frame.clone())), Ok(frame));
}

#[test]
fn primary_frames_survive_the_wire() {
    let starts = [
        Start::Stream(Seq(5)),
        Start::FullSync("because".into()),
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
    for (prev, record) in [(LogPos::NONE, None), (LogPos::new(Epoch(1), Seq(4)), Some(record()))] {
        let batch = Batch { prev, count: 2, entries: bytes::Bytes::from_static(b"entries") };
        let (commit, tail, trim) = (Seq(3), Seq(8), Seq(1));
        let frame =
            PrimaryFrame::Batch(BatchFrame { epoch: Epoch(2), batch, token: 1, commit, tail, trim, record });
        assert_eq!(primary_from_wire(primary_to_wire(frame.clone())), Ok(frame));
    }
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
