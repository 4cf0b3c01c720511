//! A standby that is lost in a cluster with a coordinator: one stall and no
//! error, or no writes at all, as `--degrade` says; and the record says who left.

use nix::sys::signal::Signal;
use standfast_proto::v1;
use tonic::Code;

use super::{Load, assert_equal, in_sync, keep_alive, put};
use crate::coordinator::{Server, Witness};
use crate::node::{Node, get, refusal, segment, start};

/// A witness and two nodes, the second of which is in sync. The node that leads is the first.
async fn cluster(witness: &Witness, flags: &str) -> (Node, Node) {
    let a = node(witness, "a", flags);
    let leads = |s: &v1::NodeStatus| s.leadership.as_ref().is_some_and(|l| l.role() == v1::Role::Primary);
    a.until("the first node leads", leads).await;
    let b = node(witness, "b", flags);
    in_sync(&b).await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 36)).await.expect("mounted");
    keep_alive(client);
    (a, b)
}

fn node(witness: &Witness, name: &str, flags: &str) -> Node {
    Node::start(&format!("--node {name} --coordinator {} {flags}", witness.url()))
}

fn members(s: &v1::NodeStatus) -> usize {
    s.in_sync.as_ref().map_or(0, |r| r.members.len())
}

fn silent(s: &v1::NodeStatus) -> bool {
    s.in_sync.as_ref().is_some_and(|r| r.members.iter().any(|m| m.silent))
}

/// Each update of a watch has the newest events only: they are asked for anew.
async fn happened(node: &Node, code: &str) {
    let events = node.status(false).await.events;
    assert!(events.iter().any(|e| e.code == code), "no {code} in {events:?}");
}

/// Loses the standby under load: no call fails, writes go on, the record says so. The
/// stalls are the calls that took more than a hundred milliseconds.
async fn a_lost_standby_leaves(signal: Signal) {
    let witness = Witness::start();
    let (a, b) = cluster(&witness, "").await;
    put(&mut a.master().await, 0, 500).await;
    let load = Load::on(&a).await;
    load.has_written(100).await;
    b.signal(signal);
    let left = a.until("it left the record", |s| members(s) == 1).await;
    happened(&a, "isr_left").await;
    assert_eq!(left.leadership.and_then(|l| l.crash_loses_all), Some(true), "and what that means is said");
    load.has_written(100).await;
    let (b, again) = if signal == Signal::SIGSTOP {
        b.signal(Signal::SIGCONT);
        (b, "it thawed")
    } else {
        drop(b);
        (node(&witness, "b", ""), "it was started again")
    };
    a.until(again, |s| members(s) == 2).await;
    let calls = load.calls().await;
    let stalls: Vec<_> = calls.iter().filter(|took| took.as_millis() > 100).collect();
    eprintln!("{signal}: {} calls, none failed; stalls of more than 100 ms: {stalls:?}", calls.len());
    assert_equal(&a, &b, 500 + calls.len() as u64 * 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_standby_costs_no_call() {
    a_lost_standby_leaves(Signal::SIGKILL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_standby_costs_no_call() {
    a_lost_standby_leaves(Signal::SIGSTOP).await;
}

/// Nobody waits for it and nothing is kept for it: it is told why, and seeded anew by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_is_stopped_for_too_long_is_trimmed_past_and_given_another_copy() {
    let witness = Witness::start();
    let (a, b) = cluster(&witness, "--log-mib 1 --window-entries 1000").await;
    let mut client = a.master().await;
    let before = b.status(false).await.identity.expect("identity").copy;
    b.signal(Signal::SIGSTOP);
    a.until("it left the record", |s| members(s) == 1).await;
    for first in (0..10_000).step_by(500) {
        put(&mut client, first, 500).await;
    }
    b.signal(Signal::SIGCONT);
    a.until("it is back", |s| members(s) == 2).await;
    in_sync(&b).await;
    let status = b.status(false).await;
    let told = status.events.iter().any(|e| e.text.contains("the entries that it lacks are trimmed away"));
    assert!(told, "{:?}", status.events);
    assert_ne!(status.identity.expect("identity").copy, before);
    assert_equal(&a, &b, 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_primary_refuses_writes_and_goes_on_reading_while_its_standby_is_stopped() {
    let witness = Witness::start();
    let (a, b) = cluster(&witness, "--degrade strict").await;
    let mut client = a.master().await;
    put(&mut client, 0, 10).await;
    b.signal(Signal::SIGSTOP);
    let status = a.until("it is silent on record", silent).await;
    assert_eq!(members(&status), 2, "and still holds everything");
    happened(&a, "isr_silent").await;
    let leadership = status.leadership.as_ref().expect("leadership");
    assert_eq!((leadership.degrade_mode(), leadership.min_insync), (v1::DegradeMode::Strict, 1));
    let rights = status.rights.as_ref().expect("rights");
    assert!(rights.may_answer && rights.reason.contains("reads only"), "{rights:?}");

    let (code, why) = refusal(client.put_start(start(&["k"])).await);
    assert_eq!((code, why.code()), (Code::Unavailable, v1::RefusalCode::Unavailable));
    assert!(why.nothing_was_done() && why.text.contains("--min-insync"), "{why:?}");
    let read = client.get_replica_list(get(&["key-3"])).await.expect("reads go on").into_inner();
    assert_eq!(read.results[0].replicas.len(), 1);

    b.signal(Signal::SIGCONT);
    a.until("it grants again", |s| !silent(s) && members(s) == 2).await;
    happened(&a, "isr_granting").await;
    put(&mut client, 10, 10).await;
    assert_equal(&a, &b, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_node_takes_no_write_before_a_standby_is_in_sync() {
    let witness = Witness::start();
    let a = node(&witness, "a", "--degrade strict");
    let reads_only = |s: &v1::NodeStatus| s.rights.as_ref().is_some_and(|r| r.reason.contains("reads only"));
    a.until("it leads alone", reads_only).await;
    let mut client = a.master().await;
    let (code, _) = refusal(client.mount_segment(segment(1, 1 << 20)).await);
    assert_eq!(code, Code::Unavailable);
    let b = node(&witness, "b", "--degrade strict");
    in_sync(&b).await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
}
