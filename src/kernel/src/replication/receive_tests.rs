use super::*;
use crate::api::{EndItem, PutItem, ReplicaType, ReplicateConfig, Request};
use crate::master::{Master, MasterStart, MasterTimes};
use crate::oplog::{LogLimits, split_entries};
use crate::replication::OpLogApplier;
use crate::replication::dump::Dump;
use crate::replication::frames::CopyFrame;
use crate::types::{ClientId, SegmentId, SegmentSpec, Uuid, WallTime};

const KEYS: u64 = 12;

/// A primary that works, and a standby that is given a copy of its state.
struct Bench {
    master: Master,
    store: Arc<MetadataStore>,
    log: OpLogManager,
    at: u64,
    mine: Arc<MetadataStore>,
    my_log: OpLogManager,
    receive: Receive,
}

fn session(number: u64) -> CopySession {
    CopySession { epoch: Epoch(1), number }
}

/// Small numbers that look random.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
    *seed >> 33
}

impl Bench {
    fn new() -> Self {
        let cluster = "test".parse().expect("a name");
        let store = Arc::new(MetadataStore::new(&cluster));
        let log = OpLogManager::new(LogLimits::default());
        let start = MasterStart {
            epoch: Epoch(1),
            since: Instant(1),
            hold_until: Instant(1),
            seed: 7,
            sabotage: None,
        };
        let master = Master::new(Arc::clone(&store), log.clone(), MasterTimes::default(), &start);
        master.begin_term(WallTime(1), "p", crate::types::CopyId(1));
        let mine = Arc::new(MetadataStore::new(&cluster));
        let my_log = OpLogManager::new(LogLimits::default());
        let mut receive = Receive::new(Arc::clone(&mine), my_log.clone());
        receive.discard(FullSyncReason::Unsealed);
        let b = Self { master, store, log, at: 1_000_000, mine, my_log, receive };
        for n in 1..=2u64 {
            let segment = SegmentSpec {
                id: SegmentId(Uuid { first: n, second: 0 }),
                name: format!("host-{n}"),
                base: 1 << 20,
                size: 64 * 10,
                te_endpoint: format!("host-{n}:1"),
                protocol: "tcp".into(),
                host_id: String::new(),
            };
            b.call(&Request::MountSegment { client: ClientId::default(), segment });
        }
        b
    }

    fn call(&self, request: &Request) {
        // Refusals are fine: what counts is what was logged.
        let _ = self.master.execute(Instant(self.at), WallTime(self.at), request);
    }

    /// One random call; the memory is small, so that regions go from key to key.
    fn work(&mut self, seed: &mut u64) {
        self.at += 1_000_000;
        let key = Bytes::from(format!("key-{}", next(seed) % KEYS));
        let client = ClientId::default();
        match next(seed) % 4 {
            0 | 1 => {
                let config = ReplicateConfig::default();
                let items = vec![PutItem { key: key.clone(), size: 64 }];
                self.call(&Request::PutStart { client, config, items });
                let items = vec![EndItem { key, checksum: Some(next(seed)) }];
                self.call(&Request::PutEnd { client, items, replica_type: ReplicaType::All });
            }
            2 => self.call(&Request::Remove { keys: vec![key], force: true }),
            _ => {
                self.at += 1_000_000_000;
                let _ = self.master.maintain(Instant(self.at), WallTime(self.at));
            }
        }
    }

    fn dump(&self, number: u64, has: &HomeSet) -> Dump {
        let (store, log) = (Arc::clone(&self.store), self.log.clone());
        Dump::new(store, log, session(number), self.log.last(), has, Arc::default())
    }

    fn take(&mut self, frame: CopyFrame) -> Result<(), CopyFault> {
        match frame {
            CopyFrame::Chunk(bytes) => self.receive.chunk(&bytes),
            CopyFrame::End(end) => self.receive.end(end),
            CopyFrame::Welcome(_) => Ok(()),
        }
    }

    /// Replays what the primary's log holds behind the own one; true once sealed.
    fn replay(&mut self, upto: Seq) -> bool {
        let mut applier = OpLogApplier::new(Arc::clone(&self.mine), self.my_log.clone(), None);
        let mut sealed = matches!(self.receive.seal(), Some(Ok(()))) || self.receive.is_sealed();
        while self.my_log.tail() < upto {
            let batch = self.log.get_entries_since(self.my_log.tail(), 1, 1 << 20).expect("held");
            for entry in split_entries(&batch.entries) {
                let entry = entry.expect("whole");
                let applied = if sealed { applier.apply(entry) } else { applier.replay(entry) };
                applied.expect("fits");
            }
            if let Some(derived) = self.receive.seal() {
                derived.expect("disjoint");
                sealed = true;
                self.mine.audit().expect("derived equals rebuild");
            }
        }
        sealed
    }

    fn assert_equal(&self) {
        assert_eq!(self.mine.recount(), self.store.recount());
        assert_eq!((self.my_log.last(), self.my_log.tail()), (self.log.last(), self.log.tail()));
        self.mine.audit().expect("derived equals rebuild");
        let free = |s: &MetadataStore| -> Vec<_> {
            s.allocators().lock().iter().map(|(uid, a)| (uid, a.free_extents())).collect()
        };
        assert_eq!(free(&self.mine), free(&self.store));
    }
}

/// Homes are copied while the primary works, at moments of their own.
#[test]
fn any_interleaving_of_copying_and_work_ends_equal() {
    let mut replayed = 0;
    for case in 1..=120u64 {
        let mut seed = case;
        let mut b = Bench::new();
        (0..40).for_each(|_| b.work(&mut seed));
        let dump = b.dump(1, &HomeSet::default());
        b.receive.begin(Instant(1), session(1)).expect("wanted");
        let pause = 1 + next(&mut seed) % 60;
        for (i, frame) in dump.enumerate() {
            b.take(frame).expect("in order");
            if (i as u64).is_multiple_of(pause) {
                b.work(&mut seed);
            }
        }
        let begun = b.my_log.tail();
        assert!(b.receive.is_replaying() && !b.receive.is_sealed());
        (0..10).for_each(|_| b.work(&mut seed));
        replayed += b.log.tail().since(begun);
        assert!(b.replay(b.log.tail()), "the latest home's position lies before the tail");
        b.assert_equal();
    }
    assert!(replayed > 120 * 20, "{replayed} entries are too few to prove anything");
}

#[test]
fn it_is_sealed_exactly_behind_the_latest_home() {
    let mut b = Bench::new();
    let mut seed = 5;
    (0..20).for_each(|_| b.work(&mut seed));
    let mut dump = b.dump(1, &HomeSet::default());
    b.receive.begin(Instant(1), session(1)).expect("wanted");
    let first: Vec<_> = dump.by_ref().take(500).collect();
    (0..20).for_each(|_| b.work(&mut seed));
    let latest = b.log.tail();
    for frame in first.into_iter().chain(dump) {
        b.take(frame).expect("in order");
    }
    let in_homes = |b: &Bench| {
        let all = (0..limits::HOMES).filter_map(HomeId::from_index).map(|h| b.mine.mark(h).applied());
        all.max().expect("homes")
    };
    let sealed_at = in_homes(&b);
    assert!(sealed_at > b.my_log.tail() && sealed_at <= latest);
    assert!(!b.replay(Seq(sealed_at.0 - 1)), "one entry is missing");
    assert!(b.receive.unsealed().is_some());
    assert!(b.replay(sealed_at) && b.receive.unsealed().is_none());
    assert_eq!(b.receive.sealed_copies(), 1);
    b.replay(latest);
    b.assert_equal();
}

/// A cut in the middle of a home: it comes again from its beginning, the homes before it do not.
#[test]
fn a_copying_goes_on_after_a_cut() {
    let mut b = Bench::new();
    let mut seed = 9;
    (0..30).for_each(|_| b.work(&mut seed));
    let resume = b.log.last();
    b.receive.begin(Instant(1), session(1)).expect("wanted");
    for frame in b.dump(1, &HomeSet::default()).take(700) {
        b.take(frame).expect("in order");
    }
    (0..30).for_each(|_| b.work(&mut seed));
    let (named, has) = b.receive.resume().expect("there is something to go on with");
    assert_eq!((named, has.len()), (session(1), 700));
    b.receive.begin(Instant(2), session(1)).expect("the same copying");
    let (store, log) = (Arc::clone(&b.store), b.log.clone());
    for frame in Dump::new(store, log, session(1), resume, &has, Arc::default()) {
        b.take(frame).expect("in order");
    }
    assert!(b.replay(b.log.tail()));
    b.assert_equal();
}

#[test]
fn what_does_not_belong_is_refused() {
    let chunk = |frame| if let CopyFrame::Chunk(bytes) = frame { bytes } else { panic!("no chunk") };
    let mut b = Bench::new();
    let frames: Vec<_> = b.dump(1, &HomeSet::default()).collect();
    assert!(matches!(b.take(frames[0].clone()), Err(CopyFault::OtherSession { .. })), "none has begun");
    b.receive.begin(Instant(1), session(1)).expect("wanted");
    let other = b.dump(2, &HomeSet::default()).next().expect("a chunk");
    assert!(matches!(b.take(other), Err(CopyFault::OtherSession { found: 2, .. })));
    assert!(matches!(b.receive.begin(Instant(1), session(2)), Err(CopyFault::OtherSession { .. })));
    b.take(frames[0].clone()).expect("in order");
    assert!(matches!(b.take(frames[0].clone()), Err(CopyFault::Order { part: 0, .. })), "twice");
    let mut damaged = chunk(frames[1].clone()).to_vec();
    damaged[50] ^= 1;
    assert!(matches!(b.receive.chunk(&damaged.into()), Err(CopyFault::Load(LoadError::Damaged(_)))));
    b.take(frames[1].clone()).expect("nothing was lost by what was refused");
    let Some(CopyFrame::End(end)) = frames.last().cloned() else { panic!("an end") };
    assert_eq!(b.receive.end(end.clone()), Err(CopyFault::Incomplete(2)));
    for frame in &frames[2..frames.len() - 1] {
        b.take(frame.clone()).expect("in order");
    }
    for epochs in [vec![], vec![(Epoch(2), Seq(1))], vec![(Epoch(1), Seq(0))], vec![(Epoch(1), Seq(99))]] {
        assert_eq!(b.receive.end(CopyEnd { epochs, ..end.clone() }), Err(CopyFault::Epochs(end.resume)));
    }
    b.receive.end(end).expect("as it was sent");
    assert!(b.replay(b.log.tail()));
    b.assert_equal();
}

#[test]
fn a_digest_that_does_not_agree_is_refused() {
    let mut b = Bench::new();
    b.receive.begin(Instant(1), session(1)).expect("wanted");
    b.store.lab_damage(HomeId::SEGMENTS, &mut |mark| mark.digest ^= 1);
    let last = b.dump(1, &HomeSet::default()).take(limits::HOMES).last().expect("the segment table");
    assert!(matches!(b.take(last), Err(CopyFault::Digest { home: HomeId::SEGMENTS, .. })));
}

#[test]
fn discarding_says_whether_there_was_anything_and_leaves_nothing() {
    let mut b = Bench::new();
    assert!(!b.receive.discard(FullSyncReason::Unsealed), "nothing has come yet");
    b.receive.begin(Instant(1), session(1)).expect("wanted");
    for frame in b.dump(1, &HomeSet::default()) {
        b.take(frame).expect("in order");
    }
    assert!(b.receive.discard(FullSyncReason::Unsealed));
    assert_eq!(b.my_log.last(), LogPos::NONE);
    assert_eq!(b.mine.recount(), MetadataStore::new(&"test".parse().expect("a name")).recount());
    assert!(b.receive.wants_homes() && b.receive.resume().is_none());
    let fresh = Receive::new(Arc::clone(&b.mine), b.my_log.clone());
    assert!(fresh.is_sealed(), "an empty copy that nobody ordered away is a prefix of every log");
}
