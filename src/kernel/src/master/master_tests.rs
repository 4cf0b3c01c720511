use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::api::{
    EndItem, ErrorCode, PutItem, Refusal, ReplicaDescriptor, ReplicaDescriptors, ReplicaList, ReplicaType,
    ReplicateConfig, Request, Response, SoftPinAction,
};
use crate::oplog::codec::decode;
use crate::oplog::{LimboKind, Release};
use crate::oplog::{LogLimits, Op, split_entries};
use crate::store::OffsetAllocator;
use crate::types::{
    ClientId, CopyId, DataType, HomeId, KeyHash, LogPos, MountUid, Region, ReplicaStatus, SegmentId,
    SegmentSpec, Traits, Uuid, WallTime, limits,
};

const MIB: u64 = 1 << 20;
const TTL: u64 = 200;
const DISCARD: u64 = 1_000;
const RELEASE: u64 = 5_000;
const QUARANTINE: u64 = 50;
const PIN: u64 = 10_000;
const PIN_MAX: u64 = 100_000;
const TIMES: MasterTimes = MasterTimes {
    read_ttl: Duration::from_millis(TTL),
    put_discard: Duration::from_millis(DISCARD),
    put_release: Duration::from_millis(RELEASE),
    revoke_quarantine: Duration::from_millis(QUARANTINE),
    soft_pin_ttl: Duration::from_millis(PIN),
    soft_pin_ttl_max: Duration::from_millis(PIN_MAX),
    eviction: NO_EVICTION,
    ..MasterTimes::DEFAULT
};
const NO_EVICTION: EvictionRules = EvictionRules { ratio: 0.0, high_watermark: 1.0, soft_pinned: true };

const A: ClientId = client(1);
const B: ClientId = client(2);

const fn client(n: u64) -> ClientId {
    ClientId(Uuid { first: n, second: 0 })
}

const fn ms(n: u64) -> Instant {
    Instant(n * 1_000_000)
}

fn segment(n: u64, size: u64) -> SegmentSpec {
    SegmentSpec {
        id: SegmentId(Uuid { first: n, second: 0 }),
        name: format!("host-{n}"),
        base: n << 32,
        size,
        te_endpoint: format!("host-{n}:1"),
        protocol: "tcp".into(),
        host_id: String::new(),
    }
}

/// A primary, driven one request at a time. After each the derived state is
/// compared with a rebuild and reads are seen to log nothing.
struct Bench {
    store: Arc<MetadataStore>,
    log: OpLogManager,
    master: Master,
    config: MasterConfig,
    now: Instant,
}

/// Epoch 1 with segments of 16 MiB: entry 1 is the term, entry n + 1 mounts segment n.
fn bench(segments: u64) -> Bench {
    bench_with(TIMES, segments)
}

fn bench_with(times: MasterTimes, segments: u64) -> Bench {
    bench_of(times.into(), segments)
}

fn bench_of(config: MasterConfig, segments: u64) -> Bench {
    let store = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
    let log = OpLogManager::new(LogLimits::default());
    let start =
        MasterStart { epoch: Epoch(1), since: ms(1_000), hold_until: ms(1_000), seed: 7, sabotage: None };
    let b = Bench::lead_with(config, store, log, &start);
    for n in 1..=segments {
        assert_eq!(b.mount(A, segment(n, 16 * MIB)), Ok(()));
    }
    b
}

impl Bench {
    fn lead(
        store: Arc<MetadataStore>,
        log: OpLogManager,
        epoch: Epoch,
        since: Instant,
        hold_until: Instant,
        sabotage: Option<Sabotage>,
    ) -> Self {
        let start = MasterStart { epoch, since, hold_until, seed: 7, sabotage };
        Self::lead_with(TIMES.into(), store, log, &start)
    }

    fn lead_with(
        config: MasterConfig,
        store: Arc<MetadataStore>,
        log: OpLogManager,
        start: &MasterStart,
    ) -> Self {
        let master = Master::new(Arc::clone(&store), log.clone(), config.clone(), start);
        master.begin_term(WallTime(7), "n", CopyId(1));
        Self { store, log, master, config, now: start.since }
    }

    /// The next epoch begins over the same store and log, holding for `hold` ms.
    fn takeover(self, hold: u64) -> Self {
        let epoch = Epoch(self.master.epoch().0 + 1);
        let hold_until = self.now.plus(Duration::from_millis(hold));
        let start = MasterStart { epoch, since: self.now, hold_until, seed: 7, sabotage: None };
        Self::lead_with(self.config, self.store, self.log, &start)
    }

    fn sleep(&mut self, millis: u64) {
        self.now = self.now.plus(Duration::from_millis(millis));
    }

    fn run(&self, request: &Request) -> Executed {
        let tail = self.log.tail();
        let done = self.master.execute(self.now, WallTime(7), request);
        assert_eq!(done.appended, self.log.tail() > tail, "{request:?}");
        let appended: Vec<u64> = done.entries.iter().map(|s| s.0).collect();
        assert_eq!(appended, (tail.0..self.log.tail().0).collect::<Vec<_>>(), "{request:?}");
        assert!(request.is_mutation() || !done.appended, "a read logged: {request:?}");
        assert!(done.depends_on <= self.log.tail());
        self.sound();
        done
    }

    fn sound(&self) {
        let r = self.store.recount();
        assert_eq!((r.digest, &r.damaged), (r.recount, &Vec::new()));
        self.store.audit().expect("derived equals rebuild");
    }

    fn mount(&self, client: ClientId, segment: SegmentSpec) -> Result<(), ErrorCode> {
        match self.run(&Request::MountSegment { client, segment }).response {
            Response::MountSegment(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    fn start(&self, client: ClientId, key: &str, size: u64) -> Result<ReplicaDescriptors, ErrorCode> {
        self.start_with(client, key, size, ReplicateConfig::default())
    }

    fn start_with(
        &self,
        client: ClientId,
        key: &str,
        size: u64,
        config: ReplicateConfig,
    ) -> Result<ReplicaDescriptors, ErrorCode> {
        match self.run(&start(client, key, size, config)).response {
            Response::PutStart(r) => only(r),
            other => panic!("{other:?}"),
        }
    }

    fn end(&self, client: ClientId, key: &str) -> Result<(), ErrorCode> {
        self.end_with(client, key, None)
    }

    fn end_with(&self, client: ClientId, key: &str, checksum: Option<u64>) -> Result<(), ErrorCode> {
        match self.run(&end(client, key, checksum)).response {
            Response::PutEnd(r) => only(r),
            other => panic!("{other:?}"),
        }
    }

    fn put(&self, key: &str, size: u64) -> ReplicaDescriptors {
        let replicas = self.start(A, key, size).expect("room");
        assert_eq!(self.end(A, key), Ok(()));
        replicas
    }

    fn get(&self, key: &str) -> Result<ReplicaList, ErrorCode> {
        match self.run(&get(&[key])).response {
            Response::GetReplicaList(r) => only(r),
            other => panic!("{other:?}"),
        }
    }

    fn exist(&self, key: &str) -> Result<bool, ErrorCode> {
        match self.run(&exist(&[key])).response {
            Response::ExistKey(r) => only(r),
            other => panic!("{other:?}"),
        }
    }

    fn remove(&self, key: &str, force: bool) -> Result<(), ErrorCode> {
        match self.run(&remove(&[key], force)).response {
            Response::Remove(r) => only(r),
            other => panic!("{other:?}"),
        }
    }

    /// One whole round of maintenance; how many regions it freed.
    fn maintain(&self) -> usize {
        let rounds = limits::SHARDS / limits::MAINTAIN_SHARDS_PER_STEP;
        let freed = (0..rounds).map(|_| self.master.maintain(self.now, WallTime(7))).sum();
        self.sound();
        freed
    }

    fn free_bytes(&self) -> u64 {
        self.store.allocators().lock().iter().map(|(_, a)| a.free_bytes()).sum()
    }

    fn entries_since(&self, from: Seq) -> Vec<u8> {
        let (mut at, mut all) = (from, Vec::new());
        while at < self.log.tail() {
            let batch = self.log.get_entries_since(at, 1000, MIB as usize).expect("held");
            at = batch.end();
            all.extend_from_slice(&batch.entries);
        }
        all
    }

    /// What was logged from `from` on is exactly this, in this epoch.
    fn logged(&self, from: Seq, want: &[Op<'_>]) {
        let bytes = self.entries_since(from);
        let got: Vec<_> =
            split_entries(&bytes).map(|e| decode(e.expect("whole")).expect("own bytes")).collect();
        assert_eq!(got.iter().map(|e| &e.op).collect::<Vec<_>>(), want.iter().collect::<Vec<_>>());
        assert!(got.iter().all(|e| e.pos.epoch == self.master.epoch() && e.wall == WallTime(7)));
    }

    /// How many objects each entry from `from` on names.
    fn named_since(&self, from: Seq) -> Vec<usize> {
        let bytes = self.entries_since(from);
        let named = split_entries(&bytes).map(|e| match decode(e.expect("whole")).expect("own bytes").op {
            Op::Purge { objects, .. } | Op::Clear { objects, .. } => objects.len(),
            _ => 0,
        });
        named.collect()
    }

    /// A second store that applies the log's entries ends like this one.
    fn replay_agrees(&self) {
        let copy = MetadataStore::new(&"test".parse().expect("a name"));
        for entry in split_entries(&self.entries_since(Seq::FIRST)) {
            copy.apply(&decode(entry.expect("whole")).expect("own bytes")).expect("fits");
        }
        assert_eq!(copy.recount(), self.store.recount());
        copy.audit().expect("derived equals rebuild");
        let free = |s: &MetadataStore| -> Vec<_> {
            s.allocators().lock().iter().map(|(uid, a)| (uid, a.free_extents())).collect()
        };
        assert_eq!(free(&copy), free(&self.store));
    }
}

fn code<T>(r: Result<T, Refusal>) -> Result<T, ErrorCode> {
    r.map_err(|e| e.code())
}

fn only<T>(r: Vec<Result<T, Refusal>>) -> Result<T, ErrorCode> {
    assert_eq!(r.len(), 1);
    code(r.into_iter().next().expect("one answer"))
}

fn keys(names: &[&str]) -> Vec<Bytes> {
    names.iter().map(|k| Bytes::copy_from_slice(k.as_bytes())).collect()
}

fn start(client: ClientId, key: &str, size: u64, config: ReplicateConfig) -> Request {
    Request::PutStart { client, config, items: vec![PutItem { key: keys(&[key]).remove(0), size }] }
}

fn end(client: ClientId, key: &str, checksum: Option<u64>) -> Request {
    let items = vec![EndItem { key: keys(&[key]).remove(0), checksum }];
    Request::PutEnd { client, items, replica_type: ReplicaType::All }
}

fn get(names: &[&str]) -> Request {
    Request::GetReplicaList { keys: keys(names) }
}

fn exist(names: &[&str]) -> Request {
    Request::ExistKey { keys: keys(names) }
}

fn remove(names: &[&str], force: bool) -> Request {
    Request::Remove { keys: keys(names), force }
}

fn replicas(n: u32) -> ReplicateConfig {
    ReplicateConfig { replica_num: n, ..ReplicateConfig::default() }
}

fn prefer(names: &[&str]) -> ReplicateConfig {
    let preferred_segments = names.iter().map(|n| (*n).to_owned()).collect();
    ReplicateConfig { preferred_segments, ..ReplicateConfig::default() }
}

/// Mount of segment `n` in a bench.
fn uid(n: u64) -> MountUid {
    MountUid(LogPos::new(Epoch(1), Seq(n + 1)))
}

fn regions(replicas: &[ReplicaDescriptor]) -> smallvec::SmallVec<[Region; 1]> {
    let region = |r: &ReplicaDescriptor| Region {
        mount: uid(r.segment.id.0.first),
        offset: r.address - r.segment.base,
        reserved: OffsetAllocator::reserved_for(r.size).expect("small"),
    };
    replicas.iter().map(region).collect()
}

use ErrorCode::{
    DfsServiceUnavailable, IllegalClient, InternalError, InvalidParams, InvalidWrite, NoAvailableHandle,
    ObjectAlreadyExists, ObjectHasLease, ObjectHasReplicationTask, ObjectNoReplicationTask, ObjectNotFound,
    ReplicaIsGone, ReplicaIsNotReady, ReplicaNotFound, SegmentAlreadyExists, SegmentNotFound, TaskNotFound,
    TaskPendingLimitExceeded,
};

#[path = "all_calls_tests.rs"]
mod all_calls;
#[path = "bad_input_tests.rs"]
mod bad_input;
#[path = "checklist_tests.rs"]
mod checklist;
#[path = "deaths_tests.rs"]
mod deaths;
#[path = "evict_tests.rs"]
mod eviction;
#[path = "groups_tests.rs"]
mod groups;
#[path = "hazards_tests.rs"]
mod hazards;
#[path = "lenders_tests.rs"]
mod lenders;
#[path = "lost_transfer_tests.rs"]
mod lost_transfers;
#[path = "metadata_tests.rs"]
mod metadata;
#[path = "objects_tests.rs"]
mod objects;
#[path = "objects_history_tests.rs"]
mod objects_history;
#[path = "placement_tests.rs"]
mod placement_rules;
#[path = "segments_tests.rs"]
mod segments;
#[path = "takeover_tests.rs"]
mod takeover;
#[path = "task_tests.rs"]
mod task_queue;
#[path = "transfer_tests.rs"]
mod transfers;
#[path = "upsert_tests.rs"]
mod upsert;

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let b = bench(2);
    b.put("k", 8);
    let (before, tail) = (b.store.recount(), b.log.tail());
    let long = "x".repeat(limits::KEY_BYTES_MAX + 1);
    for key in ["", &long] {
        assert_eq!(b.start(A, key, 8), Err(InvalidParams));
        assert_eq!(b.end(A, key), Err(InvalidParams));
        assert_eq!(b.get(key), Err(InvalidParams));
        assert_eq!(b.exist(key), Err(InvalidParams));
        assert_eq!(b.remove(key, true), Err(InvalidParams));
    }
    for n in [0, 65, u32::MAX] {
        assert_eq!(b.start_with(A, "new", 8, replicas(n)), Err(InvalidParams), "{n} replicas");
    }
    assert_eq!(b.start(A, "new", 0), Err(InvalidParams));
    assert_eq!(b.start_with(A, "k", 0, replicas(1)), Err(InvalidParams), "checked before the key");
    for size in [(1 << 62) + 1, u64::MAX - 7, u64::MAX] {
        assert_eq!(b.start(A, "new", size), Err(NoAvailableHandle), "size {size}");
    }
    let bad = |change: &dyn Fn(&mut SegmentSpec)| {
        let mut s = segment(9, MIB);
        change(&mut s);
        s
    };
    let wide = "x".repeat(limits::ENDPOINT_BYTES_MAX + 1);
    for s in [
        bad(&|s| s.base = 0),
        bad(&|s| s.size = 0),
        bad(&|s| s.base = u64::MAX),
        bad(&|s| s.size = u64::MAX - s.base + 1),
        bad(&|s| s.name = wide.clone()),
        bad(&|s| s.te_endpoint = wide.clone()),
        bad(&|s| s.protocol = wide.clone()),
        bad(&|s| s.name = String::new()),
    ] {
        assert_eq!(b.mount(A, s.clone()), Err(InvalidParams), "{s:?}");
    }
    assert_eq!((b.store.recount(), b.log.tail()), (before, tail));
}

#[test]
fn the_longest_key_and_the_most_replicas_fit_an_entry() {
    let b = bench(limits::REPLICAS_MAX as u64);
    let key = "x".repeat(limits::KEY_BYTES_MAX);
    let placed = b.start_with(A, &key, 8, replicas(limits::REPLICAS_MAX as u32)).expect("room");
    assert_eq!(placed.len(), limits::REPLICAS_MAX);
    let wide = "x".repeat(limits::ENDPOINT_BYTES_MAX);
    let s = SegmentSpec { name: wide.clone(), te_endpoint: wide.clone(), protocol: wide, ..segment(99, 1) };
    assert_eq!(b.mount(A, s), Ok(()));
    b.replay_agrees();
}

#[test]
fn a_refusal_names_the_value_and_what_was_expected() {
    let b = bench(1);
    let Response::PutStart(r) = b.run(&start(A, "k", 8, replicas(65))).response else { panic!() };
    let text = r[0].as_ref().map(|_| ()).expect_err("too many").to_string();
    assert_eq!(text, "replica_num is 65: expected 1 to 64");
}

#[test]
fn each_request_logs_exactly_its_op() {
    let mut b = bench(2);
    let spec = segment(2, 16 * MIB);
    b.logged(
        Seq(1),
        &[
            Op::TermStart { node: "n".into(), copy: CopyId(1) },
            Op::MountSegment { client: A, segment: Cow::Owned(segment(1, 16 * MIB)), held: false },
            Op::MountSegment { client: A, segment: Cow::Borrowed(&spec), held: false },
        ],
    );
    let (key, from) = (b"default\0k", b.log.tail());
    let put = b.start_with(A, "k", 100, replicas(2)).expect("room");
    b.logged(
        from,
        &[Op::PutStart { key, client: A, size: 100, regions: regions(&put), traits: Traits::default() }],
    );
    assert_eq!(put.iter().map(|r| r.id).collect::<Vec<_>>(), [from.0 << 8, from.0 << 8 | 1]);
    let from = b.log.tail();
    assert_eq!(b.end_with(A, "k", Some(9)), Ok(()));
    b.logged(from, &[Op::PutEnd { key, checksum: Some(9) }]);
    let from = b.log.tail();
    assert_eq!(b.remove("k", false), Ok(()));
    b.logged(from, &[Op::Remove { key, release: Release::Now }]);
    b.put("k", 8);
    b.get("k").expect("complete");
    let from = b.log.tail();
    assert_eq!(b.remove("k", true), Ok(()));
    b.sleep(2 * TTL);
    assert_eq!(b.maintain(), 1);
    let shard = KeyHash::of(key).home.index() as u16;
    b.logged(
        from,
        &[
            Op::Remove { key, release: Release::Limbo(LimboKind::Read) },
            Op::Free { shard, since: from, index: 0 },
        ],
    );
    let old = b.start(A, "k", 8).expect("room");
    b.sleep(DISCARD + 1);
    let from = b.log.tail();
    let new = b.start(B, "k", 8).expect("preempts");
    b.logged(
        from,
        &[
            Op::Abandon { key, client: A },
            Op::Preempt { key, release: Release::Limbo(LimboKind::Write) },
            Op::PutStart { key, client: B, size: 8, regions: regions(&new), traits: Traits::default() },
        ],
    );
    assert_ne!(old[0].address, new[0].address);
    b.replay_agrees();
}

#[test]
fn refusals_and_reads_log_nothing() {
    let b = bench(1);
    b.put("k", 8);
    b.start(A, "open", 8).expect("room");
    let tail = b.log.tail();
    assert_eq!(b.mount(A, segment(1, 16 * MIB)), Ok(()));
    assert_eq!(b.mount(B, segment(1, 16 * MIB)), Err(SegmentAlreadyExists));
    assert_eq!(b.start(A, "k", 8), Err(ObjectAlreadyExists));
    assert_eq!(b.start(A, "new", 17 * MIB), Err(NoAvailableHandle));
    assert_eq!(b.end(A, "k"), Ok(()));
    assert_eq!(b.end(B, "open"), Err(IllegalClient));
    assert_eq!(b.end(B, "none"), Err(ObjectNotFound));
    assert_eq!(b.remove("open", true), Err(ReplicaIsNotReady));
    assert_eq!(b.remove("none", true), Err(ObjectNotFound));
    assert!(b.get("k").is_ok() && b.get("open").is_err() && b.exist("k") == Ok(true));
    assert_eq!(b.remove("k", false), Err(ObjectHasLease));
    assert_eq!(b.maintain(), 0);
    assert_eq!(b.log.tail(), tail);
}

/// PROTOCOL G7: an answer depends on the homes that it saw, and on no others.
#[test]
fn answers_depend_on_what_they_saw() {
    let b = bench(1);
    let check = |request: Request, want: u64, critical: bool| {
        let done = b.run(&request);
        assert_eq!((done.depends_on, done.byte_critical), (Seq(want), critical), "{request:?}");
    };
    let one = ReplicateConfig::default;
    assert_eq!(b.log.tail(), Seq(3));
    check(get(&["k"]), 1, false);
    check(exist(&["k"]), 1, false);
    check(remove(&["k"], false), 1, false);
    check(start(A, "k", 8, one()), 4, true);
    check(start(A, "j", 8, one()), 5, true);
    check(end(B, "k", None), 4, false);
    check(start(B, "k", 8, one()), 4, false);
    check(get(&["k"]), 4, false);
    check(get(&["k", "j"]), 5, false);
    check(end(A, "k", None), 6, false);
    check(end(A, "k", None), 6, false);
    check(exist(&["j"]), 5, false);
    check(exist(&["k", "j"]), 6, false);
    check(end(A, "j", None), 7, false);
    check(start(A, "new", 17 * MIB, one()), 7, false);
    check(remove(&["j"], false), 8, false);
    check(remove(&["k"], true), 9, false);
    check(get(&["k"]), 9, false);
    // What others removed, and is not committed yet, is not there to be removed.
    check(Request::RemoveAll { force: true }, 9, false);
    check(Request::RemoveAll { force: false }, 9, false);
    check(Request::RemoveByRegex { pattern: Bytes::from_static(b"^k"), force: true }, 9, false);
    check(start(A, "new", 17 * MIB, one()), 9, false);
    check(get(&["", "new"]), 1, false);
    check(Request::MountSegment { client: A, segment: segment(1, 16 * MIB) }, 3, true);
    check(Request::MountSegment { client: B, segment: segment(1, 16 * MIB) }, 3, true);
    check(Request::MountSegment { client: A, segment: segment(2, 16 * MIB) }, 10, true);
}

/// A lease protects bytes longer than it shows: the reader's clock may be slow (PROTOCOL A2).
#[test]
fn bytes_removed_under_a_lease_come_back_after_the_lease_and_its_slack() {
    let mut b = bench(1);
    let all = b.free_bytes();
    b.put("k", MIB);
    let read_at = b.now;
    b.get("k").expect("complete");
    assert_eq!(b.remove("k", true), Ok(()));
    assert_eq!((b.get("k"), b.free_bytes(), b.store.recount().limbo), (Err(ObjectNotFound), all - MIB, 1));
    let due = read_at.plus(up(TIMES.read_ttl));
    assert!(due > read_at.plus(TIMES.read_ttl));
    b.now = Instant(due.0 - 1);
    assert_eq!((b.maintain(), b.free_bytes()), (0, all - MIB));
    b.now = due;
    assert_eq!((b.maintain(), b.free_bytes(), b.store.recount().limbo), (1, all, 0));
    b.replay_agrees();
}

#[test]
fn an_expired_lease_still_inside_its_slack_sends_bytes_to_limbo() {
    let mut b = bench(1);
    b.put("k", MIB);
    assert_eq!(b.exist("k"), Ok(true));
    b.sleep(TTL);
    assert_eq!(b.remove("k", false), Ok(()), "what clients see is the plain lease");
    assert_eq!(b.store.recount().limbo, 1);
    b.put("k", MIB);
    assert_eq!(b.exist("k"), Ok(true));
    b.sleep(2 * TTL);
    assert_eq!(b.remove("k", false), Ok(()));
    assert_eq!(b.store.recount().limbo, 1, "after the slack nothing waits");
}

#[test]
fn a_lease_never_moves_back() {
    let mut b = bench(1);
    b.put("k", 8);
    let read_at = b.now;
    b.get("k").expect("complete");
    b.now = Instant(read_at.0 - 5_000_000);
    b.get("k").expect("complete");
    b.now = Instant(read_at.plus(TIMES.read_ttl).0 - 1);
    assert_eq!(b.remove("k", false), Err(ObjectHasLease));
}

#[test]
fn maintenance_frees_every_region_of_an_op_in_bounded_steps() {
    let mut b = bench(4);
    let all = b.free_bytes();
    let n = limits::MAINTAIN_FREES_PER_STEP + 100;
    for i in 0..n {
        let request = start(A, &format!("k{i}"), 8, replicas(4));
        assert!(b.master.execute(b.now, WallTime(7), &request).appended);
        let _ = b.master.execute(b.now, WallTime(7), &end(A, &format!("k{i}"), None));
        let _ = b.master.execute(b.now, WallTime(7), &exist(&[&format!("k{i}")]));
        let _ = b.master.execute(b.now, WallTime(7), &remove(&[&format!("k{i}")], true));
    }
    assert_eq!((b.store.recount().limbo, b.maintain()), (4 * n as u64, 0), "each region waits");
    b.sleep(2 * TTL);
    let mut freed = 0;
    for _ in 0..100 {
        let step = b.master.maintain(b.now, WallTime(7));
        assert!(step <= limits::MAINTAIN_FREES_PER_STEP);
        freed += step;
    }
    assert_eq!((freed, b.free_bytes()), (4 * n, all));
    b.replay_agrees();
}

#[test]
fn lose_ack_acknowledges_ends_that_are_nowhere_in_the_log() {
    let store = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
    let log = OpLogManager::new(LogLimits::default());
    let b = Bench::lead(store, log, Epoch(1), ms(1), ms(1), Some(Sabotage::LoseAck));
    assert_eq!(b.mount(A, segment(1, 16 * MIB)), Ok(()));
    for i in 0..1000 {
        let key = format!("k{i}");
        let _ = b.master.execute(b.now, WallTime(7), &start(A, &key, 8, replicas(1)));
        let done = b.master.execute(b.now, WallTime(7), &end(A, &key, None));
        assert_eq!(done.response, Response::PutEnd(vec![Ok(())]));
        assert_eq!(done.appended, i != 999, "end {i}");
    }
    assert!(b.get("k999").is_ok(), "the primary shows it");
    let copy = MetadataStore::new(&"test".parse().expect("a name"));
    for entry in split_entries(&b.entries_since(Seq::FIRST)) {
        copy.apply(&decode(entry.expect("whole")).expect("own bytes")).expect("fits");
    }
    assert_ne!(copy.digest().0, b.store.digest().0, "and a standby can tell");
}
