//! Nodes that a coordinator leads: who is primary is decided by the record,
//! and nobody promotes by hand.

use std::time::Duration;

use nix::sys::signal::Signal;
use standfast::outbound::EtcdCoordinator;
use standfast::ports::Coordinator;
use standfast_kernel::coordination::{Key, Value};
use standfast_proto::v1;

use crate::coordinator::{Etcd, Server, Witness, connect};
use crate::node::{Node, PATIENCE, end, get, segment, start};

const CLUSTER: &str = "kv";
/// Pause between two looks.
const AGAIN: Duration = Duration::from_millis(10);

/// A coordinator and two nodes, the first of which leads; the second is in sync.
async fn cluster(coordinator: &str, flags: &str) -> (Node, Node) {
    let flags = format!("--cluster {CLUSTER} --coordinator {coordinator} --mooncake 127.0.0.1:0 {flags}");
    let a = Node::start(&format!("--node a {flags}"));
    a.until("the first node leads", leads).await;
    let b = Node::start(&format!("--node b {flags}"));
    b.until("the second is in sync", in_sync).await;
    (a, b)
}

fn leads(s: &v1::NodeStatus) -> bool {
    s.leadership.as_ref().is_some_and(|l| l.role() == v1::Role::Primary)
}

fn follows(s: &v1::NodeStatus) -> bool {
    s.leadership.as_ref().is_some_and(|l| l.role() == v1::Role::Standby)
}

fn in_sync(s: &v1::NodeStatus) -> bool {
    s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes)
}

fn epoch(s: &v1::NodeStatus) -> u64 {
    s.leadership.as_ref().and_then(|l| l.max_epoch).unwrap_or_default()
}

/// Writes `key`, as soon as the node serves.
async fn put(node: &Node, key: &'static str) {
    let mut master = node.master().await;
    let trying = async {
        let mut again = tokio::time::interval(AGAIN);
        loop {
            // Refused at once until the promise to the former primary is over.
            again.tick().await;
            if let Ok(started) = master.put_start(start(&[key])).await {
                assert_eq!(started.into_inner().results[0].error, None);
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, trying).await.expect("it serves");
    put_end(node, key).await;
}

/// Whether the object is there, as soon as the node serves.
async fn has(node: &Node, key: &'static str) -> bool {
    let mut master = node.master().await;
    let trying = async {
        let mut again = tokio::time::interval(AGAIN);
        loop {
            again.tick().await;
            if let Ok(answer) = master.get_replica_list(get(&[key])).await {
                return !answer.into_inner().results[0].replicas.is_empty();
            }
        }
    };
    tokio::time::timeout(PATIENCE, trying).await.expect("it serves")
}

/// What is published for Mooncake's clients.
async fn master_view(records: &EtcdCoordinator) -> Option<String> {
    let read = records.read().await.expect("the coordinator answers");
    match read.get(&Key::MasterView).map(|r| r.value.clone()) {
        Some(Value::MasterView(address)) => Some(address),
        _ => None,
    }
}

async fn a_killed_primary_is_replaced_and_returns_as_standby(server: impl Server) {
    let url = server.url();
    let records = connect(CLUSTER, &[server.address()], PATIENCE);
    let (a, b) = cluster(&url, "").await;
    a.master().await.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    put(&a, "before").await;
    until_published(&records, &a.mooncake).await;
    let first = epoch(&a.status(false).await);
    drop(a);
    let led = b.until("the standby leads", leads).await;
    assert!(epoch(&led) > first);
    until_published(&records, &b.mooncake).await;
    put(&b, "after").await;
    assert!(has(&b, "before").await, "nothing that was acknowledged is lost");
    let again = Node::start(&format!("--node a --cluster {CLUSTER} --coordinator {url}"));
    again.until("it returns as an in-sync standby", |s| follows(s) && in_sync(s)).await;
}

async fn until_published(records: &EtcdCoordinator, address: &str) {
    let waiting = async {
        let mut again = tokio::time::interval(AGAIN);
        while master_view(records).await.as_deref() != Some(address) {
            again.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("published");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_is_replaced_through_a_witness() {
    a_killed_primary_is_replaced_and_returns_as_standby(Witness::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_is_replaced_through_etcd() {
    if let Some(etcd) = Etcd::start_or_skip().await {
        a_killed_primary_is_replaced_and_returns_as_standby(etcd).await;
    }
}

/// A frozen primary finds, when it thaws, that another leads, and follows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_primary_steps_down_when_it_thaws() {
    let witness = Witness::start();
    let (a, b) = cluster(&witness.url(), "").await;
    a.signal(Signal::SIGSTOP);
    b.until("the standby leads", leads).await;
    a.signal(Signal::SIGCONT);
    a.until("the former primary follows", follows).await;
}

/// PROTOCOL 6: an outage of the coordinator is none while the nodes see each other.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_goes_on_without_its_coordinator() {
    let mut witness = Witness::start();
    // A long grant: a machine that has no time for the test is not what is tested.
    let (a, b) =
        cluster(&witness.url(), "--grant-ms 3000 --lease-ms 700 --renew-ms 100 --coordinator-timeout-ms 300")
            .await;
    a.master().await.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    witness.kill();
    let first = epoch(&a.status(false).await);
    // For several times the lease that a primary without standbys would have had.
    let mut pace = tokio::time::interval(AGAIN);
    for _ in 0..200 {
        pace.tick().await;
        let answer = a.master().await.put_start(start(&["k"])).await;
        assert!(answer.is_ok(), "no call fails: {answer:?}");
    }
    put_end(&a, "k").await;
    assert_eq!(epoch(&a.status(false).await), first);
    assert!(follows(&b.status(false).await), "nobody takes over without the record");
    drop(a);
    witness.restart().await;
    b.until("the record is asked again", leads).await;
    assert!(has(&b, "k").await);
}

async fn put_end(node: &Node, key: &'static str) {
    let ended = node.master().await.put_end(end(&[key])).await.expect("it ends").into_inner();
    assert_eq!(ended.results[0].error, None);
}
