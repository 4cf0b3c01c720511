//! Nodes that a coordinator leads: who is primary is decided by the record,
//! and nobody promotes by hand.

use std::time::Duration;

use nix::sys::signal::Signal;
use standfast::outbound::EtcdCoordinator;
use standfast::ports::Coordinator;
use standfast_kernel::coordination::{Key, Value};
use standfast_proto::v1;
use standfast_proto::v1::master_client::MasterClient;

use crate::coordinator::{Etcd, Server, Witness, connect};
use crate::node::{Node, PATIENCE, end, get, refusal, segment, start};

pub(crate) const CLUSTER: &str = "kv";
/// Pause between two looks.
const AGAIN: Duration = Duration::from_millis(10);

/// A coordinator and two nodes, the first of which leads; the second is in sync.
pub(crate) async fn cluster(coordinator: &str, flags: &str) -> (Node, Node) {
    let flags = format!("--cluster {CLUSTER} --coordinator {coordinator} --mooncake 127.0.0.1:0 {flags}");
    let a = Node::start(&format!("--node a {flags}"));
    a.until("the first node leads", leads).await;
    let b = Node::start(&format!("--node b {flags}"));
    b.until("the second is in sync", in_sync).await;
    (a, b)
}

pub(crate) fn leads(s: &v1::NodeStatus) -> bool {
    s.leadership.as_ref().is_some_and(|l| l.role() == v1::Role::Primary)
}

pub(crate) fn follows(s: &v1::NodeStatus) -> bool {
    s.leadership.as_ref().is_some_and(|l| l.role() == v1::Role::Standby)
}

pub(crate) fn in_sync(s: &v1::NodeStatus) -> bool {
    s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes)
}

pub(crate) fn epoch(s: &v1::NodeStatus) -> u64 {
    s.leadership.as_ref().and_then(|l| l.max_epoch).unwrap_or_default()
}

/// Writes `key`, as soon as the node serves.
pub(crate) async fn put(node: &Node, key: &'static str) {
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
pub(crate) async fn has(node: &Node, key: &'static str) -> bool {
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

/// Writes keys one after the other, to whichever node takes them, until told to stop; those that were acknowledged.
pub(crate) async fn write_on(
    nodes: [String; 2],
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
) -> Vec<&'static str> {
    use std::sync::atomic::Ordering;
    let mut acked = Vec::new();
    let mut at = 0;
    let mut n = 0;
    while !stop.load(Ordering::SeqCst) {
        let key: &'static str = format!("w{n}").leak();
        if put_on(&nodes[at], key).await {
            acked.push(key);
            n += 1;
        } else {
            // Nobody knows what became of this key: the next one is another.
            (at, n) = (1 - at, n + 1);
        }
    }
    acked
}

/// Whether this write was acknowledged.
async fn put_on(addr: &str, key: &'static str) -> bool {
    let Ok(mut master) = MasterClient::connect(format!("http://{addr}")).await else { return false };
    let Ok(started) = master.put_start(start(&[key])).await else { return false };
    if started.into_inner().results[0].error.is_some() {
        return false;
    }
    master.put_end(end(&[key])).await.is_ok_and(|ended| ended.into_inner().results[0].error.is_none())
}

pub(crate) fn cli(connect: &str, args: &str) -> (Option<i32>, serde_json::Value) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_standfast"))
        .args(args.split_whitespace())
        .env("STANDFAST_CONNECT", connect)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the binary runs");
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("one line of JSON"))
}

/// PROTOCOL T7, there and back under writes: nothing that was acknowledged is lost.
async fn a_switchover_loses_nothing(server: impl Server) {
    use std::sync::atomic::Ordering;
    let (a, b) = cluster(&server.url(), "").await;
    a.master().await.mount_segment(segment(1, 64 << 20)).await.expect("mounted");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = tokio::spawn(write_on([a.addr.clone(), b.addr.clone()], std::sync::Arc::clone(&stop)));
    let first = epoch(&a.status(false).await);
    let (code, dry) = cli(&b.addr, "switchover --dry-run --json");
    assert_eq!(
        (code, &dry["accepted"], &dry["to"], &dry["epoch"]),
        (Some(0), &true.into(), &"b".into(), &serde_json::Value::Null)
    );
    assert_eq!(epoch(&a.status(false).await), first, "a dry run changes nothing");
    let (code, map) = cli(&b.addr, "topology --json");
    assert_eq!((code, &map["primary"], &map["epoch"]), (Some(0), &"a".into(), &first.into()), "{map}");
    assert_eq!(map["in_sync"].as_array().map(Vec::len), Some(2), "{map}");
    assert_eq!(
        (&map["coordinator"]["up"], &map["nodes"][1]["in_sync"]),
        (&true.into(), &true.into()),
        "{map}"
    );
    let (code, refused) = cli(&a.addr, "switchover --to nobody --yes --json");
    assert_eq!(
        (code, &refused["accepted"], &refused["reasons"][0]["code"]),
        (Some(1), &false.into(), &"not_in_sync".into())
    );
    for (to, new, old) in [("b", &b, &a), ("a", &a, &b)] {
        let (code, done) = cli(&a.addr, &format!("switchover --to {to} --yes --json --reason test"));
        assert_eq!((code, &done["accepted"], &done["to"]), (Some(0), &true.into(), &to.into()), "{done}");
        assert!(done["phases"]["drain"].is_number() && done["phases"]["hand_over"].is_number(), "{done}");
        let led = new.until("the target leads", leads).await;
        assert_eq!(done["epoch"], epoch(&led));
        let row = led.history.iter().find(|h| h.epoch == epoch(&led)).expect("a row of the history");
        assert_eq!((row.kind(), &*row.reason), (v1::RoleChangeKind::Switchover, "test"), "{row:?}");
        let phases: Vec<&str> = row.phases.iter().map(|p| &*p.name).collect();
        assert!(phases.starts_with(&["drain", "hand_over", "take_over", "fence"]), "{row:?}");
        old.until("the former primary is an in-sync standby", |s| follows(s) && in_sync(s)).await;
        put(new, if to == "b" { "there" } else { "back" }).await;
    }
    stop.store(true, Ordering::SeqCst);
    let acked = writer.await.expect("it wrote");
    assert!(acked.len() > 20, "{} writes", acked.len());
    for key in acked {
        assert!(has(&a, key).await, "{key} was acknowledged");
    }
}

/// A removal that its client gave up may be delivered when this node leads anew, long after the key was put again. Only a
/// connection tells: what it carries was sent to the term in which it began, or later.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_to_a_former_term_is_not_executed_in_this_one() {
    let witness = Witness::start();
    let (a, b) = cluster(&witness.url(), "").await;
    a.master().await.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    put(&a, "k").await;
    let mut old = a.master().await;
    let remove = || v1::RemoveRequest { keys: vec!["k".into()], force: true, tenant: String::new() };
    for (to, new, former) in [("b", &b, &a), ("a", &a, &b)] {
        let (code, done) = cli(&a.addr, &format!("switchover --to {to} --yes --json --reason test"));
        assert_eq!(code, Some(0), "{done}");
        new.until("the target leads", leads).await;
        former.until("the former primary is an in-sync standby", |s| follows(s) && in_sync(s)).await;
    }
    let (_, refused) = refusal(old.remove(remove()).await);
    assert_eq!(refused.code(), v1::RefusalCode::NotPrimary, "{refused:?}");
    assert_eq!(refused.primary_addr.as_deref(), Some(&*a.addr), "it is to connect anew");
    assert!(has(&a, "k").await, "nothing was done");
    a.master().await.remove(remove()).await.expect("a new connection is of this term");
    assert!(!has(&a, "k").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switchover_through_a_witness_loses_nothing() {
    a_switchover_loses_nothing(Witness::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switchover_through_etcd_loses_nothing() {
    if let Some(etcd) = Etcd::start_or_skip().await {
        a_switchover_loses_nothing(etcd).await;
    }
}

/// DESIGN 3, cold start: both die, both return. While one may hold the state nobody starts empty.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_starts_empty_only_when_no_copy_is_left() {
    let witness = Witness::start();
    let flags = "--lease-ms 700 --renew-ms 100 --coordinator-timeout-ms 300";
    let (a, b) = cluster(&witness.url(), flags).await;
    a.master().await.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    put(&a, "k").await;
    let first = epoch(&a.status(false).await);
    // Frozen, not dead: it holds everything, and its node may wake at any time.
    b.signal(Signal::SIGSTOP);
    drop(a);
    let again = format!("--node a --cluster {CLUSTER} --coordinator {} {flags}", witness.url());
    let a = Node::start(&again);
    let waits = |s: &v1::NodeStatus| {
        let reason = s.coordinator.as_ref().and_then(|c| c.reason.clone());
        reason.is_some_and(|why| why.contains("may still have them"))
    };
    a.until("it says why it does not start empty", waits).await;
    let (code, refused) = cli(&a.addr, "failover --to a --force --accept-loss 10 --yes --json");
    assert_eq!((code, &refused["accepted"]), (Some(1), &false.into()), "{refused}");
    b.signal(Signal::SIGCONT);
    b.until("the copy that was left leads", leads).await;
    assert!(has(&b, "k").await, "nothing is lost");
    a.until("the other is in sync", in_sync).await;
    let (at_a, at_b) = (a.addr.clone(), b.addr.clone());
    drop((a, b));
    let a = Node::start_at(&at_a, &again);
    let b = Node::start_at(&at_b, &again.replace("--node a", "--node b"));
    let led = async {
        let mut pace = tokio::time::interval(AGAIN);
        loop {
            pace.tick().await;
            for node in [&a, &b] {
                let status = node.status(false).await;
                if leads(&status) {
                    return status;
                }
            }
        }
    };
    let led = tokio::time::timeout(PATIENCE, led).await.expect("one of them starts empty");
    assert!(epoch(&led) > first);
    let row = led.history.iter().find(|h| h.epoch == epoch(&led)).expect("a row of the history");
    assert_eq!(row.kind(), v1::RoleChangeKind::Forced, "{row:?}");
    assert_eq!(row.lost.and_then(|l| l.entries), None, "what was lost nobody knows");
}

/// PROTOCOL T4: the only copy is lost for good; an operator starts empty, once its lease is over.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_starts_empty_what_is_lost_for_good() {
    let witness = Witness::start();
    let flags = "--lease-ms 700 --renew-ms 100 --coordinator-timeout-ms 300 --cold-start ask";
    let (a, b) = cluster(&witness.url(), flags).await;
    a.master().await.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    put(&a, "k").await;
    // A whole copy is never emptied.
    let (code, line) = cli(&a.addr, "failover --to b --force --accept-loss 0 --yes --json");
    assert_eq!((code, &line["keeps_state"]), (Some(0), &true.into()), "{line}");
    b.until("it leads", leads).await;
    assert!(has(&b, "k").await, "nothing is lost");
    drop((a, b));
    let c = Node::start(&format!("--node c --cluster {CLUSTER} --coordinator {} {flags}", witness.url()));
    let mut pace = tokio::time::interval(AGAIN * 10);
    let forcing = async {
        loop {
            pace.tick().await;
            let (code, line) = cli(&c.addr, "failover --to c --force --accept-loss all --yes --json");
            if code == Some(0) {
                return line;
            }
            assert!(
                ["holder_alive", "no_record"].map(Into::into).contains(&line["reasons"][0]["code"]),
                "{line}"
            );
        }
    };
    let line = tokio::time::timeout(PATIENCE, forcing).await.expect("the lease ends");
    let led = c.until("it leads", leads).await;
    assert_eq!(line["epoch"], epoch(&led));
    assert!(!has(&c, "k").await, "empty");
}
