//! What a run of criterion cannot tell: bytes an object, and what store-wide
//! work costs those who call meanwhile. Prints `name value` lines; run by
//! `cargo xtask bench`.
#![expect(clippy::panic, reason = "a benchmark that goes wrong has no figures")]
#![expect(clippy::disallowed_macros, reason = "it prints its figures")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads the clock")]

#[path = "load/cpu.rs"]
mod cpu;
mod load;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Clock};

use allocation_counter::measure;
use bytes::Bytes;
use standfast_kernel::api::{EndItem, PutItem, ReplicaType, ReplicateConfig, Request, Response};
use standfast_kernel::master::{EvictionRules, Master, MasterTimes};
use standfast_kernel::oplog::{LogLimits, OpLogManager};
use standfast_kernel::store::{MetadataStore, OffsetAllocator};
use standfast_kernel::types::{HomeId, WallTime, limits};

use load::{NOW, WRITER, key, objects, segment, store};

const BATCH: u64 = 128;
const KEY_BYTES: i64 = 60;

fn call(master: &Master, request: &Request) -> Response {
    master.execute(NOW, WallTime(0), request).response
}

/// A primary whose log ring is small, so that it is no part of what is measured.
fn primary(segments: u64) -> (Master, Arc<MetadataStore>) {
    let store = store();
    let log = OpLogManager::new(LogLimits { entries: 4_096, bytes: 1 << 20, ..LogLimits::default() });
    let eviction = EvictionRules { ratio: 1e-6, ..EvictionRules::DEFAULT };
    let times = MasterTimes { eviction, ..MasterTimes::default() };
    (load::primary(&store, log, times, segments), store)
}

fn put(master: &Master, first: u64, n: u64, host: Option<&str>) {
    let keys: Vec<Bytes> = (first..first + n).map(key).collect();
    let items = keys.iter().map(|key| PutItem { key: key.clone(), size: 100 }).collect();
    let preferred_segment = host.unwrap_or_default().to_owned();
    let config = ReplicateConfig { preferred_segment, ..ReplicateConfig::default() };
    call(master, &Request::PutStart { client: WRITER, config, items });
    let items = keys.into_iter().map(|key| EndItem { key, checksum: None }).collect();
    call(master, &Request::PutEnd { client: WRITER, items, replica_type: ReplicaType::All });
}

fn fill(master: &Master, n: u64, host: Option<&str>) {
    for first in (0..n).step_by(BATCH as usize) {
        put(master, first, BATCH.min(n - first), host);
    }
}

fn bytes_an_object() {
    let (master, store) = primary(4);
    let used = measure(|| fill(&master, objects(), None)).bytes_current;
    assert_eq!(store.objects(), objects());
    let each = used / objects() as i64;
    println!("bytes_an_object {each}");
    println!("bytes_an_object_beside_its_key {}", each - KEY_BYTES);
}

/// Ten times as many fit, cost no more each, are found, and go.
fn ten_times_as_many() {
    let all = 10 * objects();
    let (master, store) = primary(4);
    let used = measure(|| fill(&master, all, None)).bytes_current;
    assert_eq!(store.objects(), all);
    println!("bytes_an_object_at_10_million {}", used / all as i64);
    let asked = |n: u64| key(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % all);
    let mut spent = Duration::ZERO;
    for first in (0..objects() / 10).step_by(BATCH as usize) {
        let ask = Request::ExistKey { keys: (first..first + BATCH).map(asked).collect() };
        let begun = cpu::spent();
        let Response::ExistKey(found) = call(&master, &ask) else { panic!("another answer") };
        spent += cpu::spent() - begun;
        assert!(found.iter().all(|found| *found == Ok(true)), "each is found");
    }
    println!("exist_in_batches_at_10_million_ns {:.1}", spent.as_nanos() as f64 / (objects() / 10) as f64);
    let Response::RemoveAll(removed) = call(&master, &Request::RemoveAll { force: true }) else {
        panic!("another answer")
    };
    assert_eq!((removed, store.objects()), (all, 0), "all go");
}

fn bytes_an_allocation() {
    let mut space = OffsetAllocator::new(1 << 40);
    let mut live = Vec::with_capacity(objects() as usize);
    let used = measure(|| {
        for n in 0..objects() {
            let Some(reserved) = OffsetAllocator::reserved_for(4_096 << (n % 4)) else { panic!("a size") };
            let Some(offset) = space.find(reserved) else { panic!("room") };
            assert!(space.carve(offset, reserved).is_ok());
            live.push((offset, reserved));
        }
        // A twentieth is freed, without a pattern, as eviction would.
        for n in (0..live.len()).step_by(20) {
            let (offset, len) = live[n * 7 % live.len()];
            let _ = space.release(offset, len);
        }
    });
    println!("bytes_an_allocation {:.1}", used.bytes_current as f64 / objects() as f64);
}

/// A pass over all objects that evicts one: the census is what it costs.
fn census() {
    let (master, _store) = primary(4);
    fill(&master, objects(), None);
    let too_large = vec![PutItem { key: key(u64::MAX), size: 1 << 50 }];
    let config = ReplicateConfig::default();
    call(&master, &Request::PutStart { client: WRITER, config, items: too_large });
    let later = NOW.plus(Duration::from_secs(60));
    let mut steps = Vec::new();
    while master.eviction_stats().successful == 0 {
        let begun = cpu::spent();
        let _ = master.maintain(later, WallTime(0));
        steps.push(cpu::spent() - begun);
    }
    steps.sort_unstable();
    let spent: Duration = steps.iter().sum();
    let looks = master.eviction_stats().looked_at;
    println!("eviction_census_ns_an_object {:.1}", spent.as_nanos() as f64 / looks as f64);
    println!("eviction_pass_ns_an_object {:.1}", spent.as_nanos() as f64 / objects() as f64);
    println!("eviction_step_us {}", steps[steps.len() / 2].as_micros());
}

/// Counting all homes anew from what is stored, and on a standby what joins them too.
fn recount() {
    let (master, store) = primary(4);
    fill(&master, objects(), None);
    let homes = || (0..limits::HOMES).filter_map(HomeId::from_index);
    let each = |spent: Duration| spent.as_nanos() as f64 / objects() as f64;
    let begun = cpu::spent();
    for home in homes() {
        assert!(!store.sums(home).is_damaged(), "nothing is damaged");
    }
    println!("recount_ns_an_object {:.1}", each(cpu::spent() - begun));
    let begun = cpu::spent();
    for home in homes() {
        assert!(store.audit_home(home).is_ok(), "what joins the homes fits them");
    }
    println!("recount_audit_ns_an_object {:.1}", each(cpu::spent() - begun));
}

/// Latencies of single puts, in order.
fn latencies(master: &Master, first: u64, n: u64) -> Vec<Duration> {
    let mut all: Vec<Duration> = (first..first + n)
        .map(|i| {
            let begun = Clock::now();
            put(master, i, 1, Some("host-2:17000"));
            begun.elapsed()
        })
        .collect();
    all.sort_unstable();
    all
}

fn p99(sorted: &[Duration]) -> f64 {
    sorted.get(sorted.len() * 99 / 100).map_or(f64::NAN, |d| d.as_nanos() as f64 / 1_000.0)
}

/// A segment with all objects dies while somebody else puts on another one.
fn unmount() {
    let (master, store) = primary(2);
    fill(&master, objects(), Some("host-1:17000"));
    let extra = objects() / 10;
    let quiet = latencies(&master, objects(), extra);
    let begun = Clock::now();
    call(&master, &Request::UnmountSegment { client: WRITER, segment: segment(1).id });
    println!("unmount_call_us {}", begun.elapsed().as_micros());
    let swept = AtomicBool::new(false);
    let mut busy = std::thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Clock::now();
            let mut idle = 0;
            while idle < 32 {
                idle = if master.maintain(NOW, WallTime(0)) == 0 { idle + 1 } else { 0 };
            }
            println!("unmount_sweep_ms {}", begun.elapsed().as_millis());
            swept.store(true, Ordering::Relaxed);
        });
        let mut busy = Vec::new();
        let mut first = objects() + extra;
        while !swept.load(Ordering::Relaxed) && (busy.len() as u64) < 2 * extra {
            busy.extend(latencies(&master, first, 100));
            first += 100;
        }
        busy
    });
    assert!(store.objects() < objects(), "the dead are gone");
    busy.sort_unstable();
    println!("put_p99_us_before_unmount {:.1}", p99(&quiet));
    println!("put_p99_us_during_unmount {:.1}", p99(&busy));
}

fn main() {
    bytes_an_object();
    ten_times_as_many();
    bytes_an_allocation();
    census();
    recount();
    unmount();
}
