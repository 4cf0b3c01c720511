//! Random histories of all requests: what holds after each of them, and that
//! the table of what is logged (`docs/oplog.md`) is exact.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::api::{RequestKind, SegmentKey};
use crate::oplog::OpType;
use crate::types::{TaskId, TaskStatus};

const SEGMENTS: u64 = 4;
const SEGMENT_BYTES: u64 = 4096;
const CLIENTS: ClientTimes = ClientTimes {
    ttl: Some(Duration::from_millis(20_000)),
    reconnect: Duration::from_millis(300),
    own_stall: Duration::from_millis(60_000),
};

/// Digits of one number: a history is a list of numbers, so that it can be
/// shrunk by leaving some out.
struct Digits(u64);

impl Digits {
    fn below(&mut self, n: u64) -> u64 {
        let digit = self.0 % n;
        self.0 = (self.0 / n) ^ self.0.rotate_left(29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        digit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn key(&mut self) -> Bytes {
        Bytes::from(format!("k{}", self.below(6)))
    }

    fn keys(&mut self) -> Vec<Bytes> {
        (0..1 + self.below(2)).map(|_| self.key()).collect()
    }

    fn client(&mut self) -> ClientId {
        if self.chance(80) { A } else { B }
    }

    fn host(&mut self) -> String {
        format!("host-{}", 1 + self.below(SEGMENTS + 1))
    }

    fn segment(&mut self) -> SegmentSpec {
        segment(1 + self.below(SEGMENTS), SEGMENT_BYTES)
    }

    fn config(&mut self, elements: usize) -> ReplicateConfig {
        let group = |d: &mut Self| Bytes::from(["", "G", "H"][d.below(3) as usize]);
        let group_ids = self.chance(30).then(|| (0..elements).map(|_| group(self)).collect());
        ReplicateConfig {
            replica_num: 1 + self.below(3) as u32,
            with_hard_pin: self.chance(5),
            soft_pin_action: (self.below(3) as u8).into(),
            group_ids,
            preferred_segments: vec![self.host()],
            ..ReplicateConfig::default()
        }
    }

    fn items(&mut self) -> Vec<PutItem> {
        let keys = self.keys();
        keys.into_iter()
            .map(|key| PutItem { key, size: [64, 64, 100, 1_000][self.below(4) as usize] })
            .collect()
    }

    fn metadata_key(&mut self) -> Bytes {
        Bytes::from(format!("mooncake%2Fram%2F{}", self.host()))
    }

    /// Any of the kinds, with arguments that mostly make sense.
    fn request(&mut self, kind: RequestKind, tasks: &[TaskId]) -> Request {
        let (client, force) = (self.client(), self.chance(70));
        let replica_type = ReplicaType::All;
        match kind {
            RequestKind::MountSegment => Request::MountSegment { client: A, segment: self.segment() },
            RequestKind::ReMountSegment => {
                let moved =
                    SegmentSpec { id: SegmentId(Uuid { first: 99, second: 0 }), ..segment(1, SEGMENT_BYTES) };
                let client = if self.chance(50) { client } else { ClientId(Uuid { first: 3, second: 0 }) };
                let segments = if self.chance(20) { vec![moved] } else { vec![self.segment()] };
                Request::ReMountSegment { client, segments }
            }
            RequestKind::UnmountSegment => Request::UnmountSegment { client, segment: self.segment().id },
            RequestKind::GracefulUnmountSegment => {
                let grace = Duration::from_millis(self.below(2_000));
                Request::GracefulUnmountSegment { client: A, segment: self.segment().id, grace }
            }
            RequestKind::QuerySegmentStatus => {
                Request::QuerySegmentStatus { segment: SegmentKey::Name(self.host()) }
            }
            RequestKind::Ping => Request::Ping { client },
            RequestKind::BatchQueryIp => Request::BatchQueryIp { clients: vec![client] },
            RequestKind::GetFsdir => Request::GetFsdir,
            RequestKind::GetStorageConfig => Request::GetStorageConfig,
            RequestKind::PutStart => {
                let items = self.items();
                Request::PutStart { client, config: self.config(items.len()), items }
            }
            RequestKind::UpsertStart => {
                let items = self.items();
                Request::UpsertStart { client, config: self.config(items.len()), items }
            }
            RequestKind::PutEnd => {
                let items = self.keys().into_iter().map(|key| EndItem { key, checksum: Some(7) }).collect();
                Request::PutEnd { client, items, replica_type }
            }
            RequestKind::PutRevoke => Request::PutRevoke { client, keys: self.keys(), replica_type },
            RequestKind::GetReplicaList => Request::GetReplicaList { keys: self.keys() },
            RequestKind::ExistKey => Request::ExistKey { keys: self.keys() },
            RequestKind::Remove => Request::Remove { keys: self.keys(), force },
            RequestKind::GetReplicaListByRegex => {
                Request::GetReplicaListByRegex { pattern: Bytes::from_static(b"k[0-2]") }
            }
            RequestKind::RemoveByRegex => {
                Request::RemoveByRegex { pattern: Bytes::from_static(b"k[3-9]"), force }
            }
            RequestKind::RemoveAll => Request::RemoveAll { force },
            RequestKind::BatchReplicaClear => {
                let segment = if self.chance(70) { self.host() } else { String::new() };
                Request::BatchReplicaClear { keys: self.keys(), client, segment }
            }
            RequestKind::CopyStart => {
                let (source, targets) = (self.host(), vec![self.host()]);
                Request::CopyStart { client, key: self.key(), source, targets }
            }
            RequestKind::CopyEnd => Request::CopyEnd { client, key: self.key() },
            RequestKind::CopyRevoke => Request::CopyRevoke { client, key: self.key() },
            RequestKind::MoveStart => {
                let (source, target) = (self.host(), self.host());
                Request::MoveStart { client, key: self.key(), source, target }
            }
            RequestKind::MoveEnd => Request::MoveEnd { client, key: self.key() },
            RequestKind::MoveRevoke => Request::MoveRevoke { client, key: self.key() },
            RequestKind::CreateCopyTask => {
                Request::CreateCopyTask { key: self.key(), targets: vec![self.host()] }
            }
            RequestKind::CreateMoveTask => {
                let (source, target) = (self.host(), self.host());
                Request::CreateMoveTask { key: self.key(), source, target }
            }
            RequestKind::QueryTask => Request::QueryTask { id: self.task(tasks) },
            RequestKind::FetchTasks => Request::FetchTasks { client, max: self.below(3) },
            RequestKind::MarkTaskToComplete => {
                let id = self.task(tasks);
                let status = if self.chance(50) { TaskStatus::Success } else { TaskStatus::Failed };
                Request::MarkTaskToComplete { client, id, status, message: "done".into() }
            }
            RequestKind::ListKeys => Request::ListKeys { shard: self.below(1_100) as u16 },
            RequestKind::GetMetadata => Request::GetMetadata { key: self.metadata_key() },
            RequestKind::PutMetadata => {
                let value = Bytes::from(vec![7; self.below(20_000) as usize]);
                Request::PutMetadata { key: self.metadata_key(), value }
            }
            RequestKind::RemoveMetadata => Request::RemoveMetadata { key: self.metadata_key() },
        }
    }

    fn task(&mut self, tasks: &[TaskId]) -> TaskId {
        let unknown = TaskId(LogPos { epoch: Epoch(9), seq: 9 });
        tasks.get(self.below(tasks.len() as u64 + 1) as usize).copied().unwrap_or(unknown)
    }

    /// Mostly what changes objects; now and then what takes much away.
    fn kind(&mut self) -> RequestKind {
        const COMMON: [RequestKind; 10] = [
            RequestKind::PutStart,
            RequestKind::PutStart,
            RequestKind::PutEnd,
            RequestKind::PutEnd,
            RequestKind::UpsertStart,
            RequestKind::CopyStart,
            RequestKind::CopyEnd,
            RequestKind::MoveStart,
            RequestKind::MoveEnd,
            RequestKind::MountSegment,
        ];
        if self.chance(65) {
            COMMON[self.below(COMMON.len() as u64) as usize]
        } else {
            RequestKind::ALL[self.below(RequestKind::ALL.len() as u64) as usize]
        }
    }
}

/// Which request logged which entries; maintenance is `None`.
type Seen = BTreeSet<(Option<RequestKind>, OpType)>;

struct History {
    b: Bench,
    tasks: Vec<TaskId>,
    seen: Seen,
    /// Audited after each step, not only at the end.
    careful: bool,
}

impl History {
    fn new(careful: bool) -> Self {
        let pending_timeout = Duration::from_millis(RELEASE);
        let tasks = TaskRules { ended_max: 1, pending_timeout, ..TaskRules::DEFAULT };
        let eviction = EvictionRules { ratio: 0.2, high_watermark: 0.8, soft_pinned: true };
        let times = MasterTimes { eviction, tasks, ..TIMES };
        let windows = Some(WindowRules { share: 4, every_min: 3, ..WindowRules::default() });
        let config = MasterConfig { clients: CLIENTS, metadata_cleanup: true, windows, ..times.into() };
        let store = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
        let log = OpLogManager::new(LogLimits::default());
        let start =
            MasterStart { epoch: Epoch(1), since: ms(1_000), hold_until: ms(1_000), seed: 7, sabotage: None };
        let b = Bench::lead_with(config, store, log, &start);
        for n in 1..=SEGMENTS {
            assert_eq!(b.mount(A, segment(n, SEGMENT_BYTES)), Ok(()));
        }
        Self { b, tasks: Vec::new(), seen: Seen::new(), careful }
    }

    fn step(mut self, number: u64) -> Self {
        let mut digits = Digits(number);
        let from = self.b.log.tail();
        let cause = match digits.below(100) {
            0..3 => {
                let time = [TTL + 1, DISCARD + 1, RELEASE + 1, 21_000][digits.below(4) as usize];
                self.b.sleep(time);
                None
            }
            3..18 => {
                self.b.sleep(digits.below(TTL));
                let _ = self.b.master.maintain(self.b.now, WallTime(7));
                None
            }
            18..19 => {
                self.b = self.b.takeover(TTL);
                return self;
            }
            _ => {
                let kind = digits.kind();
                let request = digits.request(kind, &self.tasks);
                self.call(&request);
                Some(kind)
            }
        };
        for op in self.logged_since(from) {
            self.seen.insert((cause, op));
        }
        if self.careful {
            self.b.sound();
            conserved(&self.b);
        }
        self
    }

    fn call(&mut self, request: &Request) {
        let done = self.b.master.execute(self.b.now, WallTime(7), request);
        assert!(request.is_mutation() || !done.appended, "a read logged: {request:?}");
        if let Response::CreateCopyTask(Ok(id)) | Response::CreateMoveTask(Ok(id)) = done.response {
            self.tasks.push(id);
        }
    }

    fn logged_since(&self, from: Seq) -> Vec<OpType> {
        let bytes = self.b.entries_since(from);
        split_entries(&bytes).map(|e| decode(e.expect("whole")).expect("own bytes").op.kind()).collect()
    }

    /// A store that applied the log: the same state, and what is replicated besides digests.
    fn replayed(&self) {
        self.b.sound();
        conserved(&self.b);
        self.b.replay_agrees();
        let copy = MetadataStore::new(&"test".parse().expect("a name"));
        for entry in split_entries(&self.b.entries_since(Seq::FIRST)) {
            copy.apply(&decode(entry.expect("whole")).expect("own bytes")).expect("fits");
        }
        assert_eq!(pins(&copy), pins(&self.b.store), "soft-pin TTLs are replicated");
        assert_eq!(tasks(&copy), tasks(&self.b.store), "tasks are replicated");
        assert_eq!(metadata(&copy), metadata(&self.b.store), "transfer metadata is replicated");
    }
}

/// Soft-pin TTLs by key, committed and pending.
fn pins(store: &MetadataStore) -> BTreeMap<Vec<u8>, (u64, Option<u64>, bool)> {
    let homes = (0..limits::SHARDS).filter_map(HomeId::from_index);
    let of = |home| {
        let shard = store.shard(home).read();
        let pin = |o: &Object| (o.key().to_vec(), (o.soft_pin(), o.pending_pin(), o.hard_pin()));
        shard.objects().map(pin).collect::<Vec<_>>()
    };
    homes.flat_map(of).collect()
}

fn tasks(store: &MetadataStore) -> Vec<String> {
    let table = store.segments().read();
    let all = TaskStatus::ALL.into_iter().flat_map(|status| table.tasks().at(status));
    all.map(|t| {
        let own = (t.id, t.kind, t.status, t.client, &t.key, &t.source, &t.targets);
        format!("{own:?} {:?} {:?} {:?} {:?}", t.created, t.updated, t.changed, t.message)
    })
    .collect()
}

fn metadata(store: &MetadataStore) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let table = store.segments().read();
    table.metadata().keys().map(|key| (key.to_vec(), table.metadata().get(key))).collect()
}

/// No two live extents overlap, none leaves its mount, and what nobody owns is
/// free: computed here, from nothing but regions.
fn conserved(b: &Bench) {
    let mut owned: BTreeMap<MountUid, Vec<(u64, u64)>> = BTreeMap::new();
    for home in (0..limits::SHARDS).filter_map(HomeId::from_index) {
        let shard = b.store.shard(home).read();
        let objects = shard.objects().flat_map(|o| o.replicas().map(|r| r.region));
        for region in objects.chain(shard.limbo().map(|(_, _, l)| l.region)) {
            owned.entry(region.mount).or_default().push((region.offset, region.reserved));
        }
    }
    let table = b.store.segments().read();
    let allocators = b.store.allocators().lock();
    for mount in table.mounts() {
        let mut extents = owned.remove(&mount.uid).unwrap_or_default();
        extents.sort_unstable();
        let taken: u64 = extents.iter().map(|(_, len)| len).sum();
        let mut end = 0;
        for (offset, len) in extents {
            assert!(offset >= end, "{:?} at {offset} begins before {end}", mount.uid);
            end = offset + len;
        }
        assert!(end <= mount.segment.size);
        let free = allocators.get(mount.uid).expect("an allocator for each mount").free_bytes();
        assert_eq!(free + taken, mount.segment.size, "{:?}", mount.uid);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_books(steps in proptest::collection::vec(any::<u64>(), 1..120)) {
        let history = steps.into_iter().fold(History::new(true), History::step);
        history.replayed();
    }
}

/// Numbers without a pattern, the same in each run.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), |x| {
        let x = x ^ (x << 13);
        let x = x ^ (x >> 7);
        Some(x ^ (x << 17))
    })
}

#[test]
fn the_table_of_what_is_logged_is_exact() {
    let mut seen = Seen::new();
    for seed in 1..=60 {
        let history = numbers(seed).skip(1).take(1_500).fold(History::new(false), History::step);
        history.replayed();
        seen.extend(history.seen);
    }
    let of = |kind: RequestKind| logged_by(kind).iter().map(move |op| (Some(kind), *op));
    let requests = RequestKind::ALL.iter().copied().flat_map(of);
    let told: Seen = requests.chain(MAINTENANCE.iter().map(|op| (None, *op))).collect();
    let undeclared: Vec<_> = seen.difference(&told).collect();
    let never: Vec<_> = told.difference(&seen).collect();
    assert!(undeclared.is_empty() && never.is_empty(), "undeclared: {undeclared:?}\nnever seen: {never:?}");
    assert!(told.iter().map(|(_, op)| op.name()).collect::<BTreeSet<_>>().len() == OpType::ALL.len() - 1);
}

/// Sound entries that do not belong here: each is refused and changes nothing,
/// or it fits and leaves the books in order. Nothing panics. What carves regions
/// is left out: a wrong region shows after its home has changed, and that copy is
/// quarantined as a whole.
#[test]
fn entries_of_another_history_change_nothing_where_they_do_not_fit() {
    let (mut refused, mut fitted) = (0, 0);
    for seed in 1..=6 {
        let run = |seed| numbers(seed).skip(1).take(300).fold(History::new(false), History::step);
        let (here, other) = (run(seed), run(seed + 100));
        let (store, tail) = (&here.b.store, here.b.log.tail().0);
        let bytes = other.b.entries_since(Seq::FIRST);
        for entry in split_entries(&bytes) {
            let mut entry = decode(entry.expect("whole")).expect("own bytes");
            if matches!(entry.op.kind(), OpType::PutStart | OpType::TransferStart | OpType::Grant) {
                continue;
            }
            entry.pos = LogPos { epoch: Epoch(1_000), seq: tail + entry.pos.seq };
            let before = store.recount();
            match store.apply(&entry) {
                Ok(()) => fitted += 1,
                Err(error) => {
                    assert_eq!(store.recount(), before, "{error}: {:?}", entry.op);
                    refused += 1;
                }
            }
        }
        here.b.sound();
        conserved(&here.b);
    }
    assert!(refused > 100 && fitted > 20, "{refused} refused, {fitted} fitted");
}

#[test]
fn the_document_is_the_table() {
    let document = include_str!("../../../../docs/oplog.md");
    assert!(document == oplog_table(), "docs/oplog.md is out of date; cure: cargo xtask codegen");
}
