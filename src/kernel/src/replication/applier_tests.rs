use super::*;
use crate::oplog::codec::Prepared;
use crate::oplog::{LogLimits, Op};
use crate::types::{
    ClientId, CopyId, Epoch, HomeId, KeyHash, MountUid, Region, SegmentId, SegmentSpec, WallTime,
};

const K: &[u8] = b"default\0k";

struct Bench {
    store: Arc<MetadataStore>,
    log: OpLogManager,
    applier: OpLogApplier,
}

fn bench(sabotage: Option<Sabotage>) -> Bench {
    let store = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
    let log = OpLogManager::new(LogLimits::default());
    Bench { applier: OpLogApplier::new(Arc::clone(&store), log.clone(), sabotage), store, log }
}

impl Bench {
    /// Applies bytes, then says what became of them and checks that nothing else did.
    fn check(&mut self, bytes: &[u8], want: Result<u64, (u64, Option<&[u8]>, QuarantineReason)>) {
        let before = (self.store.recount(), self.log.marks());
        let got = self.applier.apply(bytes);
        match want {
            Ok(applied) => {
                assert_eq!(got, Ok(()));
                assert_eq!(self.applier.applied(), Seq(applied));
            }
            Err((seq, key, reason)) => {
                let key = key.map(<[u8]>::to_vec);
                assert_eq!(got, Err(Quarantined { seq: Seq(seq), key, reason }));
                assert_eq!((self.store.recount(), self.log.marks()), before, "a bad entry changes nothing");
            }
        }
    }
}

fn entry(epoch: u64, seq: u64, op: &Op<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Prepared::new(Epoch(epoch), WallTime(0), op.place(), op).finish(Seq(seq), &mut bytes);
    bytes
}

fn term() -> Op<'static> {
    Op::TermStart { node: "p".into(), copy: CopyId(1) }
}

fn mount() -> Op<'static> {
    let segment = SegmentSpec {
        id: SegmentId::default(),
        name: "host".into(),
        base: 4096,
        size: 1 << 20,
        te_endpoint: "host:1".into(),
        protocol: "tcp".into(),
    };
    Op::MountSegment { client: ClientId::default(), segment: std::borrow::Cow::Owned(segment) }
}

fn put(key: &[u8], offset: u64) -> Op<'_> {
    let region = Region { mount: MountUid(LogPos::new(Epoch(1), Seq(2))), offset, reserved: 8 };
    Op::PutStart { key, client: ClientId::default(), size: 8, regions: smallvec::smallvec![region] }
}

#[test]
fn entries_are_applied_in_order_and_once() {
    let mut b = bench(None);
    let entries = [
        entry(1, 1, &term()),
        entry(1, 2, &mount()),
        entry(1, 3, &put(K, 0)),
        entry(1, 4, &Op::PutEnd { key: K, checksum: None }),
    ];
    for (i, bytes) in entries.iter().enumerate() {
        b.check(bytes, Ok(i as u64 + 2));
    }
    let state = b.store.recount();
    for bytes in &entries {
        b.check(bytes, Ok(5));
    }
    assert_eq!(b.store.recount(), state, "what came twice counts once");
    assert_eq!((state.objects, state.damaged.len()), (1, 0));
    let kept = b.log.get_entries_since(Seq(1), 99, 1 << 20).expect("held");
    assert_eq!(kept.entries, entries.concat(), "the log holds the bytes as they came");
    b.store.audit().expect("derived equals rebuild");
}

#[test]
fn a_later_entry_or_an_older_epoch_is_out_of_order() {
    let mut b = bench(None);
    b.check(&entry(2, 1, &term()), Ok(2));
    let late = QuarantineReason::OutOfOrder { expected: Seq(2), found: LogPos::new(Epoch(2), Seq(3)) };
    b.check(&entry(2, 3, &put(K, 0)), Err((3, Some(K), late)));
    let old = QuarantineReason::OutOfOrder { expected: Seq(2), found: LogPos::new(Epoch(1), Seq(2)) };
    b.check(&entry(1, 2, &mount()), Err((2, None, old)));
    b.check(&entry(3, 2, &term()), Ok(3));
}

#[test]
fn damaged_bytes_are_named_by_their_seq() {
    let mut b = bench(None);
    b.check(&entry(1, 1, &term()), Ok(2));
    let good = entry(1, 2, &mount());
    for at in [5, 8, 40, good.len() / 2] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let reason = decode(&bad).expect_err("damaged").into();
        b.check(&bad, Err((2, None, reason)));
    }
    let mut bad_seq = good.clone();
    let at = good.len() - 12;
    bad_seq[at..at + 8].copy_from_slice(&[0; 8]);
    let reason = decode(&bad_seq).expect_err("damaged").into();
    b.check(&bad_seq, Err((2, None, reason)));
    for bytes in [&[][..], &[1, 2, 3], &good[..good.len() - 1]] {
        let reason = decode(bytes).expect_err("cut off").into();
        let seq = claimed_seq(bytes).filter(|s| s.0 >= 2).map_or(2, |s| s.0);
        b.check(bytes, Err((seq, None, reason)));
    }
    b.check(&good, Ok(3));
}

#[test]
fn an_entry_that_does_not_fit_is_named_by_its_key() {
    let mut b = bench(None);
    b.check(&entry(1, 1, &term()), Ok(2));
    b.check(&entry(1, 2, &mount()), Ok(3));
    let absent = QuarantineReason::DoesNotFit(ApplyError::NoObject);
    b.check(
        &entry(1, 3, &Op::Remove { key: K, release: crate::oplog::Release::Now }),
        Err((3, Some(K), absent)),
    );
    let twice = QuarantineReason::DoesNotFit(ApplyError::SegmentMounted(SegmentId::default()));
    b.check(&entry(1, 3, &mount()), Err((3, None, twice.clone())));
    assert_eq!(twice.to_string(), "segment 0-0 is mounted already");
}

/// Writes that begin and end, `n` of them after the term and the mount.
fn feed(b: &mut Bench, n: u64) -> Vec<HomeId> {
    b.check(&entry(1, 1, &term()), Ok(2));
    b.check(&entry(1, 2, &mount()), Ok(3));
    (0..n)
        .map(|i| {
            let key = format!("default\0{i}");
            let key = key.as_bytes();
            b.applier.apply(&entry(1, 3 + 2 * i, &put(key, 8 * i))).expect("fits");
            b.applier.apply(&entry(1, 4 + 2 * i, &Op::PutEnd { key, checksum: None })).expect("fits");
            KeyHash::of(key).home
        })
        .collect()
}

#[test]
fn drop_entry_loses_exactly_one_and_acknowledges_it() {
    let (mut b, mut good) = (bench(Some(Sabotage::DropEntry)), bench(None));
    feed(&mut b, SABOTAGE_EVERY + 10);
    feed(&mut good, SABOTAGE_EVERY + 10);
    assert_eq!(b.applier.applied(), good.applier.applied(), "nothing shows in the position");
    assert_eq!(b.log.marks(), good.log.marks());
    assert_eq!(good.store.objects(), b.store.objects());
    let audit = b.store.recount();
    assert_eq!((audit.digest, audit.damaged), (audit.recount, Vec::new()), "the copy agrees with itself");
    assert_ne!(b.store.digest().0, good.store.digest().0);
}

#[test]
fn flip_digest_changes_one_home_s_digest_and_no_state() {
    let (mut b, mut good) = (bench(Some(Sabotage::FlipDigest)), bench(None));
    let homes = feed(&mut b, SABOTAGE_EVERY + 10);
    feed(&mut good, SABOTAGE_EVERY + 10);
    let (bad, good) = (b.store.recount(), good.store.recount());
    assert_eq!(bad.damaged, [homes[SABOTAGE_EVERY as usize - 1]], "the home of the entry that struck");
    assert_eq!((bad.recount, bad.objects), (good.recount, good.objects));
    assert_ne!(bad.digest, good.digest);
}

#[test]
fn lose_ack_is_the_primary_s_business() {
    let (mut b, mut good) = (bench(Some(Sabotage::LoseAck)), bench(None));
    feed(&mut b, SABOTAGE_EVERY + 10);
    feed(&mut good, SABOTAGE_EVERY + 10);
    assert_eq!(b.store.recount(), good.store.recount());
}
