//! The keystone under real interleavings: threads on one master, scheduled by
//! shuttle. `cargo test -p standfast-kernel --features shuttle --test threads`.
//!
//! After each schedule the log is replayed into a fresh store. Log order equals
//! apply order in every home exactly when both stores are the same.

#![cfg(feature = "shuttle")]

use std::sync::Arc;

use bytes::Bytes;
use shuttle::thread;
use standfast_kernel::api::{EndItem, PutItem, Refusal, ReplicaType, ReplicateConfig, Request, Response};
use standfast_kernel::master::{EvictionRules, Master, MasterStart, MasterTimes};
use standfast_kernel::oplog::codec::decode;
use standfast_kernel::oplog::{LogLimits, Op, OpLogManager, split_entries};
use standfast_kernel::store::MetadataStore;
use standfast_kernel::types::{
    ClientId, CopyId, Epoch, Instant, SegmentId, SegmentSpec, Seq, Uuid, WallTime,
};

/// Schedules of each scenario; each is one random choice of who runs at every lock and atomic.
const SCHEDULES: usize = 100;
const NOW: Instant = Instant(1_000_000_000);

fn client(n: u64) -> ClientId {
    ClientId(Uuid { first: n, second: 0 })
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

/// A primary with one segment, shared by threads.
struct Shared {
    store: Arc<MetadataStore>,
    log: OpLogManager,
    master: Master,
}

fn name() -> Arc<MetadataStore> {
    Arc::new(MetadataStore::new(&"test".parse().expect("a name")))
}

fn shared(bytes: u64) -> Arc<Shared> {
    let (store, log) = (name(), OpLogManager::new(LogLimits::default()));
    let start = MasterStart { epoch: Epoch(1), since: NOW, hold_until: NOW, seed: 1, sabotage: None };
    let eviction = EvictionRules { ratio: 1.0, high_watermark: 0.5, soft_pinned: true };
    let times = MasterTimes { eviction, ..MasterTimes::default() };
    let master = Master::new(Arc::clone(&store), log.clone(), times, &start);
    master.begin_term(WallTime(0), "n", CopyId(1));
    let shared = Shared { store, log, master };
    shared.mount(bytes);
    Arc::new(shared)
}

impl Shared {
    fn call(&self, request: &Request) -> Response {
        self.at(NOW, request)
    }

    fn at(&self, now: Instant, request: &Request) -> Response {
        let done = self.master.execute(now, WallTime(0), request);
        // An answer depends on nothing that is not in the log yet.
        assert!(done.depends_on <= self.log.tail());
        done.response
    }

    fn mount(&self, bytes: u64) {
        let mounted = self.call(&Request::MountSegment { client: client(1), segment: segment(1, bytes) });
        assert_eq!(mounted, Response::MountSegment(Ok(())));
    }

    fn start(&self, writer: u64, key: &'static str, group: Option<&'static str>) -> bool {
        let items = vec![PutItem { key: Bytes::from_static(key.as_bytes()), size: 64 }];
        let group_ids = group.map(|g| vec![Bytes::from_static(g.as_bytes())]);
        let config = ReplicateConfig { group_ids, ..ReplicateConfig::default() };
        let started = self.call(&Request::UpsertStart { client: client(writer), config, items });
        matches!(started, Response::UpsertStart(r) if r[0].is_ok())
    }

    fn end(&self, writer: u64, key: &'static str) -> bool {
        let items = vec![EndItem { key: Bytes::from_static(key.as_bytes()), checksum: Some(writer) }];
        let replica_type = ReplicaType::All;
        let ended = self.call(&Request::PutEnd { client: client(writer), items, replica_type });
        matches!(ended, Response::PutEnd(r) if r[0].is_ok())
    }

    fn put(&self, writer: u64, key: &'static str, group: Option<&'static str>) -> bool {
        self.start(writer, key, group) && self.end(writer, key)
    }

    fn get(&self, now: Instant, key: &'static str) -> Option<Vec<u64>> {
        let keys = vec![Bytes::from_static(key.as_bytes())];
        match self.at(now, &Request::GetReplicaList { keys }) {
            Response::GetReplicaList(mut found) => match found.pop() {
                Some(Ok(list)) => Some(list.replicas.iter().map(|r| r.address).collect()),
                Some(Err(Refusal::ObjectNotFound | Refusal::ReplicaIsNotReady)) => None,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn remove(&self, key: &'static str) {
        let keys = vec![Bytes::from_static(key.as_bytes())];
        let _ = self.call(&Request::Remove { keys, force: true });
    }

    fn entries(&self) -> Vec<u8> {
        let (mut at, mut all) = (Seq::FIRST, Vec::new());
        while at < self.log.tail() {
            let batch = self.log.get_entries_since(at, 1_000, 1 << 20).expect("held");
            at = batch.end();
            all.extend_from_slice(&batch.entries);
        }
        all
    }

    /// Nobody runs any more: what was decided is what the log says.
    fn replay_equals(&self) {
        let copy = name();
        for entry in split_entries(&self.entries()) {
            let entry = decode(entry.expect("whole")).expect("own bytes");
            copy.apply(&entry).expect("each entry fits the state that it finds");
        }
        assert_eq!(copy.recount(), self.store.recount());
        self.store.audit().expect("derived equals rebuild");
    }
}

/// Runs threads under many schedules, and `after` when they have ended.
fn schedules(bytes: u64, run: fn(&Arc<Shared>) -> Vec<thread::JoinHandle<()>>, after: fn(&Shared)) {
    let once = move || {
        let shared = shared(bytes);
        for thread in run(&shared) {
            thread.join().expect("no thread panics");
        }
        after(&shared);
        shared.replay_equals();
    };
    shuttle::check_random(once, SCHEDULES);
}

fn go(shared: &Arc<Shared>, work: impl FnOnce(&Shared) + Send + 'static) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || work(&shared))
}

/// Writers, a remover and a reader of one key: log order is apply order.
#[test]
fn writers_and_removers_of_one_key() {
    let run = |s: &Arc<Shared>| {
        vec![
            go(s, |s| {
                let _ = s.put(2, "k", None);
            }),
            go(s, |s| {
                let _ = s.put(3, "k", None);
            }),
            go(s, |s| s.remove("k")),
            go(s, |s| {
                let _ = s.get(NOW, "k");
            }),
        ]
    };
    schedules(4096, run, |s| {
        let readable = s.get(NOW, "k").is_some();
        assert!(!readable || s.store.objects() == 1);
    });
}

/// A segment dies while keys are written into it: no write follows the death in
/// the log, and none of its bytes is shown after it.
#[test]
fn an_unmount_among_writes() {
    let run = |s: &Arc<Shared>| {
        vec![
            go(s, |s| {
                let _ = s.put(2, "a", None);
            }),
            go(s, |s| {
                let _ = s.put(3, "b", None);
            }),
            go(s, |s| {
                let unmount = Request::UnmountSegment { client: client(1), segment: segment(1, 1).id };
                assert_eq!(s.call(&unmount), Response::UnmountSegment(Ok(())));
            }),
        ]
    };
    schedules(4096, run, |s| {
        assert_eq!((s.get(NOW, "a"), s.get(NOW, "b")), (None, None));
        let bytes = s.entries();
        let ops = split_entries(&bytes).map(|e| decode(e.expect("whole")).expect("own bytes").op);
        let after_death = ops.skip_while(|op| !matches!(op, Op::SegmentGone { .. }));
        assert_eq!(after_death.filter(|op| matches!(op, Op::PutStart { .. })).count(), 0);
    });
}

/// One key is written into two groups and into none at once: its route names
/// the one shard that holds it.
#[test]
fn one_key_claimed_by_two_groups() {
    let run = |s: &Arc<Shared>| {
        vec![
            go(s, |s| {
                let _ = s.put(2, "k", Some("G"));
            }),
            go(s, |s| {
                let _ = s.put(3, "k", Some("H"));
            }),
            go(s, |s| {
                let _ = s.put(4, "k", Some(""));
            }),
            go(s, |s| s.remove("k")),
        ]
    };
    schedules(4096, run, |s| assert!(s.store.objects() <= 1, "one key, one object"));
}

/// Eviction runs while objects are read and written: what a reader was told
/// stays where it is for the length of its lease.
#[test]
fn eviction_among_readers() {
    let run = |s: &Arc<Shared>| {
        for key in ["a", "b", "c"] {
            assert!(s.put(2, key, None));
        }
        let later = NOW.plus(std::time::Duration::from_millis(1));
        let maintain = move |s: &Shared| {
            for _ in 0..2 {
                let _ = s.master.maintain(later, WallTime(0));
            }
        };
        let read = move |s: &Shared| {
            if let Some(told) = s.get(later, "a") {
                thread::yield_now();
                assert_eq!(s.get(later, "a"), Some(told), "a lease is live");
            }
        };
        vec![
            go(s, maintain),
            go(s, read),
            go(s, |s| {
                let _ = s.put(3, "d", None);
            }),
        ]
    };
    schedules(256, run, |_| ());
}

/// Readers of the log see whole prefixes while others append and one trims.
#[test]
fn a_log_that_is_read_while_it_grows() {
    let run = |s: &Arc<Shared>| {
        vec![
            go(s, |s| {
                let _ = s.put(2, "a", None);
            }),
            go(s, |s| {
                let _ = s.put(3, "b", None);
            }),
            go(s, |s| {
                let mut at = Seq::FIRST;
                for _ in 0..4 {
                    let tail = s.log.tail();
                    assert!(tail >= at, "the tail never falls");
                    let Some(batch) = s.log.get_entries_since(at, 3, 1 << 20) else { return };
                    assert!(batch.end() <= s.log.tail());
                    for (i, entry) in split_entries(&batch.entries).enumerate() {
                        let entry = decode(entry.expect("whole")).expect("its checksum fits");
                        assert_eq!(entry.pos.seq, at.0 + i as u64, "dense");
                    }
                    at = batch.end();
                }
            }),
        ]
    };
    schedules(4096, run, |s| assert_eq!(s.log.marks().tail, s.log.tail()));
}
