//! How long work on the whole store locks a shard at a time, in processor time. Prints `name value`
//! lines; run by `cargo xtask bench`.
#![expect(clippy::panic, reason = "a benchmark that goes wrong has no figures")]
#![expect(clippy::disallowed_macros, reason = "it prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a test run is told from a measurement by its arguments")]

#[path = "load/cpu.rs"]
mod cpu;
mod load;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use standfast_kernel::api::{EndItem, PutItem, ReplicaType, ReplicateConfig, Request};
use standfast_kernel::master::{EvictionRules, Master, MasterTimes};
use standfast_kernel::oplog::{LogLimits, OpLogManager};
use standfast_kernel::store::{CopySession, MetadataStore};
use standfast_kernel::sync::holds;
use standfast_kernel::types::{Epoch, HomeId, Instant, KeyHash, WallTime, limits};

use load::{NOW, WRITER, key, objects, segment, store};

/// What disturbs us while we hold a lock is not ours: the quietest of so many runs counts.
const RUNS: usize = 5;
const BATCH: usize = 128;
/// Homes of a store of ten million objects that are filled: the others hold as many each.
const HOMES_FILLED: usize = 8;

fn nanos() -> u64 {
    cpu::spent().as_nanos() as u64
}

fn call(master: &Master, request: &Request) {
    let _ = master.execute(NOW, WallTime(0), request);
}

/// A primary with all objects on one segment.
fn full() -> Master {
    filled(&store(), 0..objects())
}

/// A primary with these objects on one segment.
fn filled(store: &Arc<MetadataStore>, numbers: impl Iterator<Item = u64>) -> Master {
    let log = OpLogManager::new(LogLimits { entries: 4_096, bytes: 1 << 20, ..LogLimits::default() });
    let eviction = EvictionRules { ratio: 0.05, ..EvictionRules::DEFAULT };
    let master = load::primary(store, log, MasterTimes { eviction, ..MasterTimes::default() }, 1);
    let mut keys = numbers.map(key).peekable();
    while keys.peek().is_some() {
        let keys: Vec<Bytes> = keys.by_ref().take(BATCH).collect();
        let items = keys.iter().map(|key| PutItem { key: key.clone(), size: 100 }).collect();
        call(&master, &Request::PutStart { client: WRITER, config: ReplicateConfig::default(), items });
        let items = keys.into_iter().map(|key| EndItem { key, checksum: None }).collect();
        call(&master, &Request::PutEnd { client: WRITER, items, replica_type: ReplicaType::All });
    }
    master
}

/// Every home is encoded as a full sync encodes it.
fn encode(store: &MetadataStore) {
    let session = CopySession { epoch: Epoch(1), number: 1 };
    for home in (0..limits::HOMES).filter_map(HomeId::from_index) {
        let _ = black_box(store.image(home, session));
    }
}

/// Of so many objects those whose homes are filled.
fn of_few_homes(objects: u64) -> impl Iterator<Item = u64> {
    let home = |n: u64| KeyHash::of(&[b"default\0".as_slice(), &key(n)].concat()).home;
    (0..objects).filter(move |n| home(*n).index() < HOMES_FILLED)
}

fn maintain(master: &Master, now: Instant) -> usize {
    master.maintain(now, WallTime(0))
}

fn longest(name: &str, mut run: impl FnMut()) {
    let one = |_| {
        let _ = holds::take_longest();
        run();
        holds::take_longest()
    };
    let least = (0..RUNS).map(one).min().unwrap_or(0);
    println!("{name} {:.1}", least as f64 / 1_000.0);
}

fn main() {
    holds::time_with(nanos);
    let copied = store();
    let master = filled(&copied, 0..objects());
    longest("full_sync_longest_hold_us", || encode(&copied));
    let copied = store();
    drop(filled(&copied, of_few_homes(objects() * 10)));
    longest("full_sync_longest_hold_at_10_million_us", || encode(&copied));
    let (mut later, mut passes) = (NOW, 0);
    longest("eviction_longest_hold_us", || {
        // A write that fits nowhere asks for room; the pass takes a twentieth.
        let items = vec![PutItem { key: key(u64::MAX), size: 1 << 50 }];
        call(&master, &Request::PutStart { client: WRITER, config: ReplicateConfig::default(), items });
        later = later.plus(Duration::from_secs(60));
        passes += 1;
        while master.eviction_stats().successful < passes {
            let _ = maintain(&master, later);
        }
    });
    let mut full_ones: Vec<Master> = (0..RUNS).map(|_| full()).collect();
    longest("unmount_longest_hold_us", || {
        let Some(master) = full_ones.pop() else { panic!("one a run") };
        call(&master, &Request::UnmountSegment { client: WRITER, segment: segment(1).id });
        let mut idle = 0;
        while idle < 32 {
            idle = if maintain(&master, NOW) == 0 { idle + 1 } else { 0 };
        }
    });
}
