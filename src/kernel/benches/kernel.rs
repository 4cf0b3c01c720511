//! The figures of the hot paths, at 1,000,000 objects with keys of 60 bytes, in
//! processor time.
//! `cargo xtask bench` collects them into docs/figures.json.
#![expect(clippy::panic, reason = "a benchmark that goes wrong has no figures")]
#![expect(clippy::disallowed_methods, reason = "a test run is told from a measurement by its arguments")]

#[path = "load/cpu.rs"]
mod cpu;
mod load;

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime as Clock;
use criterion::{Bencher, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use standfast_kernel::api::{EndItem, PutItem, ReplicaType, ReplicateConfig, Request, Response};
use standfast_kernel::master::{Master, MasterTimes};
use standfast_kernel::oplog::codec::{Prepared, decode};
use standfast_kernel::oplog::{LogLimits, Op, OpLogManager, split_entries};
use standfast_kernel::store::{Digester, MetadataStore, OffsetAllocator};
use standfast_kernel::types::{Epoch, HomeId, KeyHash, MountUid, Region, Seq, WallTime};

use load::{NOW, WRITER, key, objects, store};

const BATCH: usize = 128;
const VALUE: u64 = 100;

/// Numbers below `n` without a pattern.
struct Shuffled(u64);

impl Shuffled {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

struct Primary {
    store: Arc<MetadataStore>,
    log: OpLogManager,
    master: Master,
    next: u64,
}

impl Primary {
    fn new(limits: LogLimits) -> Self {
        let (store, log) = (store(), OpLogManager::new(limits));
        let master = load::primary(&store, log.clone(), MasterTimes::default(), 4);
        Self { store, log, master, next: 0 }
    }

    fn full() -> Self {
        let mut primary = Self::new(LogLimits::default());
        let objects = objects();
        while primary.next < objects {
            let [start, end] = primary.pair(BATCH);
            primary.call(&start);
            primary.call(&end);
        }
        primary
    }

    fn call(&self, request: &Request) -> Response {
        self.master.execute(NOW, WallTime(0), request).response
    }

    /// The two calls that put the next `n` objects.
    fn pair(&mut self, n: usize) -> [Request; 2] {
        let keys: Vec<Bytes> = (0..n as u64).map(|i| key(self.next + i)).collect();
        self.next += n as u64;
        let items = keys.iter().map(|key| PutItem { key: key.clone(), size: VALUE }).collect();
        let config = ReplicateConfig::default();
        let start = Request::PutStart { client: WRITER, config, items };
        let items = keys.into_iter().map(|key| EndItem { key, checksum: None }).collect();
        [start, Request::PutEnd { client: WRITER, items, replica_type: ReplicaType::All }]
    }
}

/// So much processor time did `work` take, and nothing around it.
fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begun = cpu::spent();
    black_box(work());
    cpu::spent() - begun
}

/// Puts `n` at a time; the oldest are removed again, so that the store keeps its size.
fn put(b: &mut Bencher<'_>, primary: &mut Primary, n: usize) {
    let mut put: VecDeque<Bytes> = VecDeque::new();
    b.iter_custom(|rounds| {
        let mut spent = Duration::ZERO;
        for _ in 0..rounds {
            let first = primary.next;
            let pairs: Vec<[Request; 2]> = (0..BATCH / n).map(|_| primary.pair(n)).collect();
            spent += timed(|| pairs.iter().flatten().for_each(|call| drop(primary.call(call))));
            put.extend((first..primary.next).map(key));
            if put.len() > 20_000 {
                let keys = put.drain(..10_000).collect();
                primary.call(&Request::Remove { keys, force: true });
            }
        }
        spent
    });
}

/// Of all keys at random, each time others. They come with the request, so they are in the cache.
fn exist(b: &mut Bencher<'_>, primary: &Primary, n: usize) {
    let mut shuffled = Shuffled(7);
    b.iter_custom(|rounds| {
        let mut spent = Duration::ZERO;
        for _ in 0..rounds {
            let mut keys = || (0..n).map(|_| key(shuffled.below(objects()))).collect();
            let asked: Vec<Request> = (0..BATCH / n).map(|_| Request::ExistKey { keys: keys() }).collect();
            spent += timed(|| asked.iter().for_each(|ask| drop(primary.call(ask))));
        }
        spent
    });
}

fn per_element(group: &mut BenchmarkGroup<'_, Clock>) {
    group.throughput(Throughput::Elements(BATCH as u64));
}

fn master(c: &mut Criterion) {
    let mut primary = Primary::full();
    let mut group = c.benchmark_group("master");
    for n in [1, BATCH] {
        per_element(&mut group);
        group.bench_function(format!("exist_{n}"), |b| exist(b, &primary, n));
    }
    for n in [1, BATCH] {
        per_element(&mut group);
        group.bench_function(format!("put_pair_{n}"), |b| put(b, &mut primary, n));
    }
    group.finish();
}

fn regions(n: u64) -> smallvec::SmallVec<[Region; 1]> {
    let mount = MountUid(standfast_kernel::types::LogPos { epoch: Epoch(1), seq: 2 });
    [Region { mount, offset: n * 104, reserved: 104 }].into_iter().collect()
}

/// Encode, CRC-32 and append of one PUT_START.
fn append(c: &mut Criterion) {
    let log = OpLogManager::new(LogLimits::default());
    let keys: Vec<Vec<u8>> = (0..1_024).map(|n| [b"default\0", &key(n)[..]].concat()).collect();
    let mut n = 0;
    c.bench_function("log_append", |b| {
        let mut one = || {
            n += 1;
            let key = &keys[n as usize % keys.len()];
            let op = Op::PutStart {
                key,
                client: WRITER,
                size: VALUE,
                regions: regions(n),
                traits: standfast_kernel::types::Traits::default(),
            };
            let prepared = Prepared::new(Epoch(1), WallTime(0), KeyHash::of(key), &op);
            black_box(log.append(Epoch(1), prepared))
        };
        b.iter_custom(|rounds| {
            timed(|| {
                (0..rounds).for_each(|_| {
                    black_box(one());
                })
            })
        });
    });
}

/// What a standby does with each entry: CRC-32, decode, apply. The entries put a tenth of the objects.
fn apply(c: &mut Criterion) {
    let mut primary = Primary::new(LogLimits::default());
    let objects = objects() / 10;
    while primary.next < objects {
        let [start, end] = primary.pair(BATCH);
        primary.call(&start);
        primary.call(&end);
    }
    let (mut at, mut entries) = (Seq::FIRST, Vec::new());
    while at < primary.log.tail() {
        let Some(batch) = primary.log.get_entries_since(at, 4_096, 1 << 20) else { panic!("trimmed") };
        at = batch.end();
        entries.extend_from_slice(&batch.entries);
    }
    let count = split_entries(&entries).count() as u64;
    let mut group = c.benchmark_group("standby");
    group.throughput(Throughput::Elements(count)).sample_size(10);
    group.bench_function("apply", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let copy = store();
                spent += timed(|| {
                    for entry in split_entries(&entries).flatten() {
                        let applied = decode(entry).map(|entry| copy.apply(&entry));
                        assert!(matches!(applied, Ok(Ok(()))));
                    }
                });
            }
            spent
        });
    });
    group.finish();
}

/// The digest term of one object whose key is hashed already, as it is for every
/// op; a change subtracts one and adds one.
fn digest(c: &mut Criterion) {
    let mut primary = Primary::new(LogLimits::default());
    let [start, end] = primary.pair(BATCH);
    primary.call(&start);
    primary.call(&end);
    let Ok(cluster) = "bench".parse() else { panic!("a name") };
    let digester = Digester::new(&cluster);
    let homes = (0..1_024).filter_map(HomeId::from_index).map(|home| primary.store.shard(home));
    let Some(shard) = homes.into_iter().find(|shard| !shard.read().is_empty()) else { panic!("no object") };
    let shard = shard.read();
    let Some(object) = shard.objects().next() else { panic!("no object") };
    let name = KeyHash::whole(object.key());
    c.bench_function("digest_object", |b| {
        let one = |_| {
            black_box(digester.object_named(black_box(name), black_box(object)));
        };
        b.iter_custom(|rounds| timed(|| (0..rounds).for_each(one)));
    });
}

/// Allocate and free at 82 % full, mixed sizes.
fn allocator(c: &mut Criterion) {
    const SIZES: [u64; 8] = [4_096, 10_000, 16_384, 30_000, 65_536, 100_000, 131_072, 262_144];
    let mut shuffled = Shuffled(3);
    let mut space = OffsetAllocator::new(1 << 34);
    let mut live: Vec<(u64, u64)> = Vec::new();
    let take = |space: &mut OffsetAllocator, size| {
        let reserved = OffsetAllocator::reserved_for(size)?;
        let offset = space.find(reserved)?;
        space.carve(offset, reserved).ok()?;
        Some((offset, reserved))
    };
    while space.free_bytes() > space.size() / 100 * 18 {
        let Some(region) = take(&mut space, SIZES[shuffled.below(8) as usize]) else { panic!("full early") };
        live.push(region);
    }
    c.bench_function("allocator_allocate_and_free", |b| {
        let mut one = || {
            let i = shuffled.below(live.len() as u64) as usize;
            let (offset, len) = live[i];
            let freed = space.release(offset, len);
            let Some(region) = take(&mut space, SIZES[shuffled.below(8) as usize]) else { panic!("full") };
            live[i] = region;
            black_box(freed)
        };
        b.iter_custom(|rounds| {
            timed(|| {
                (0..rounds).for_each(|_| {
                    let _ = black_box(one());
                })
            })
        });
    });
}

criterion_group! {
    name = kernel;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = append, digest, allocator, apply, master
}
criterion_main!(kernel);
