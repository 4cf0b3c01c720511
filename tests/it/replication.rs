//! Standbys that come, die and return while a cluster is at work. `cargo xtask
//! e2e replication` runs these with as many objects and as often as it is told.

mod degrade;
mod resets;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use standfast_proto::v1;
use standfast_proto::v1::master_client::MasterClient;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::node::{CLIENT, Node, PATIENCE, segment};

/// Objects of a batch.
const BATCH: u64 = 500;

/// What a variable asks for, if it asks for more than the least.
fn at_least(least: u64, asked: Result<String, std::env::VarError>) -> u64 {
    asked.map_or(least, |n| n.parse::<u64>().expect("a number").max(least))
}

/// Objects that the cluster holds before anything happens.
fn objects() -> u64 {
    at_least(20_000, std::env::var("STANDFAST_E2E_OBJECTS"))
}

fn runs() -> u64 {
    at_least(1, std::env::var("STANDFAST_E2E_RUNS"))
}

/// A log that holds a small part of what was written.
fn flags() -> String {
    format!("--log-mib {}", (objects() / 10_000).max(1))
}

async fn put(client: &mut MasterClient<Channel>, first: u64, count: u64) {
    let keys = || (first..first + count).map(|k| bytes::Bytes::from(format!("key-{k}")));
    let items = keys().map(|key| v1::PutStartItem { key, size: 8 }).collect();
    let start = v1::PutStartRequest { client: Some(CLIENT), config: None, items, tenant: String::new() };
    let started = client.put_start(start).await.expect("no call fails").into_inner();
    assert!(started.results.iter().all(|r| r.error.is_none()), "{:?}", started.results[0].error);
    let items = keys().map(|key| v1::PutEndItem { key, checksum: Some(1) }).collect();
    let end = v1::PutEndRequest { client: Some(CLIENT), items, tenant: String::new() };
    client.put_end(end).await.expect("no call fails");
}

/// A lender that says nothing loses what it lends.
fn keep_alive(mut client: MasterClient<Channel>) {
    tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_secs(1));
        while client.ping(v1::PingRequest { client: Some(CLIENT) }).await.is_ok() {
            every.tick().await;
        }
    });
}

async fn primary() -> Node {
    let a = Node::start(&format!("--node a --role primary {}", flags()));
    // It listens before its term begins.
    a.until("the term", |s| s.rights.as_ref().is_some_and(|r| r.may_answer)).await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 36)).await.expect("mounted");
    keep_alive(client.clone());
    for first in (0..objects()).step_by(BATCH as usize) {
        put(&mut client, first, BATCH).await;
    }
    a
}

fn standby(of: &Node) -> Node {
    Node::start(&format!("--node b --role standby --peer {} {}", of.addr, flags()))
}

async fn in_sync(node: &Node) -> v1::NodeStatus {
    node.until("in sync", |s| s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes)).await
}

/// A writer that never stops, and how long each of its calls took.
struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Vec<Duration>>,
}

impl Load {
    async fn on(node: &Node) -> Self {
        let (mut client, stop) = (node.master().await, Arc::new(AtomicBool::new(false)));
        let (stopped, calls) = (Arc::clone(&stop), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&calls);
        let task = tokio::spawn(async move {
            let mut took = Vec::new();
            let mut first = 1 << 40;
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                put(&mut client, first, 10).await;
                took.push(begun.elapsed());
                counted.fetch_add(1, Ordering::Relaxed);
                first += 10;
            }
            took
        });
        Self { stop, calls, task }
    }

    /// Waits until so many more calls were answered.
    async fn has_written(&self, more: u64) {
        let wanted = self.calls.load(Ordering::Relaxed) + more;
        let waiting = async {
            while self.calls.load(Ordering::Relaxed) < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("writes go on");
    }

    /// Ends it; how long each call took. None failed.
    async fn calls(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("no call failed")
    }

    /// Objects written, and the longest of all calls but one in a hundred.
    async fn end(self) -> (u64, Duration) {
        let mut took = self.calls().await;
        took.sort_unstable();
        (took.len() as u64 * 10, took.get(took.len() * 99 / 100).copied().unwrap_or_default())
    }
}

async fn assert_equal(a: &Node, b: &Node, objects: u64) {
    let tail = a.status(false).await.positions.expect("positions").tail;
    b.until("caught up", |s| s.positions.as_ref().is_some_and(|p| p.applied == tail)).await;
    let (a, b) = (a.status(true).await.store.expect("store"), b.status(true).await.store.expect("store"));
    assert_eq!((a.objects, &a.digest, &a.recount), (objects, &b.digest, &b.recount));
    assert_eq!((b.objects, &b.digest, b.used_bytes), (objects, &b.recount, a.used_bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_joins_while_writes_go_on() {
    for _ in 0..runs() {
        let a = primary().await;
        let load = Load::on(&a).await;
        let begun = Instant::now();
        let b = standby(&a);
        let held = a.until("homes are copied", |s| {
            s.standbys.iter().any(|p| p.progress.as_ref().is_some_and(|p| p.lock_hold_max_us.is_some()))
        });
        let held = held.await;
        let longest = held.standbys.iter().filter_map(|p| p.progress.as_ref()?.lock_hold_max_us).max();
        let status = in_sync(&b).await;
        let joined = begun.elapsed();
        assert_eq!(status.upstream.expect("upstream").full_syncs, Some(1), "by a copy of the state");
        let (written, p99) = load.end().await;
        assert!(written > 0, "writes went on");
        assert_equal(&a, &b, objects() + written).await;
        eprintln!(
            "{} objects: in sync {} ms after its start; {written} more written meanwhile, p99 of a call {} us; \
             a home was locked for {longest:?} us when looked at",
            objects(),
            joined.as_millis(),
            p99.as_micros()
        );
    }
}

/// The copy that it had half of is gone with the process; the primary gives it another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_dies_in_mid_sync_is_given_another_copy() {
    for _ in 0..runs() {
        let a = primary().await;
        let load = Load::on(&a).await;
        let b = standby(&a);
        let copying = |s: &v1::NodeStatus| {
            s.standbys.iter().any(|p| p.stream() == v1::StreamState::FullSync && !p.in_sync)
        };
        a.until("homes are copied", copying).await;
        b.signal(Signal::SIGKILL);
        drop(b);
        let b = standby(&a);
        in_sync(&b).await;
        let (written, _) = load.end().await;
        assert_equal(&a, &b, objects() + written).await;
    }
}

/// The stream of homes stands still and goes on where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_is_stopped_in_mid_sync_goes_on() {
    for _ in 0..runs() {
        let a = primary().await;
        let load = Load::on(&a).await;
        let b = standby(&a);
        a.until("it has come", |s| !s.standbys.is_empty()).await;
        b.signal(Signal::SIGSTOP);
        let before = a.status(false).await.positions.expect("positions").tail;
        let went_on = |s: &v1::NodeStatus| s.positions.as_ref().is_some_and(|p| p.tail > before + 100);
        let in_record = a.status(false).await.in_sync.expect("record").members.len() == 2;
        if !in_record {
            a.until("writes go on without it", went_on).await;
        }
        b.signal(Signal::SIGCONT);
        in_sync(&b).await;
        let (written, _) = load.end().await;
        assert_equal(&a, &b, objects() + written).await;
    }
}
