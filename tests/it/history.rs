//! The history: on disk, on both nodes, whatever became of the process.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use standfast_proto::v1;
use standfast_proto::v1::status_client::StatusClient;

use crate::coordinator::{Server, Witness};
use crate::leadership::{in_sync, leads};
use crate::node::{Node, PATIENCE};

/// A node of the cluster that keeps its history in that folder.
fn start(node: &str, witness: &Witness, folder: &Path) -> Node {
    let file = folder.join(node);
    let flags = format!("--node {node} --cluster kv --coordinator {}", witness.url());
    Node::start(&format!("{flags} --history {}", file.display()))
}

async fn rows(node: &Node) -> Vec<v1::RoleChange> {
    let mut client = StatusClient::connect(format!("http://{}", node.addr)).await.expect("it listens");
    let reply = client.get_history(v1::GetHistoryRequest { limit: 0 }).await.expect("answered").into_inner();
    assert!(reply.durable);
    reply.rows
}

/// Waits until the node knows rows as wanted.
async fn until_known(
    node: &Node,
    what: &str,
    wanted: impl Fn(&[v1::RoleChange]) -> bool,
) -> Vec<v1::RoleChange> {
    let waiting = async {
        let mut again = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            again.tick().await;
            let rows = rows(node).await;
            if wanted(&rows) {
                return rows;
            }
        }
    };
    let known = tokio::time::timeout(PATIENCE, waiting).await;
    known.map_err(|_| format!("never: {what}")).expect("in time")
}

/// A primary, and its standby in sync.
async fn pair(witness: &Witness, folder: &Path) -> (Node, Node) {
    let a = start("a", witness, folder);
    a.until("it leads", leads).await;
    let b = start("b", witness, folder);
    b.until("it is in sync", in_sync).await;
    (a, b)
}

/// Only an answer to a client ends an outage.
async fn answers(node: &Node) {
    let asking =
        async { while node.master().await.get_replica_list(crate::node::get(&["k"])).await.is_err() {} };
    tokio::time::timeout(PATIENCE, asking).await.expect("it answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_survives_kill_9_and_is_known_to_both_nodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let witness = Witness::start();
    let (a, b) = pair(&witness, folder.path()).await;
    until_known(&b, "the founding, from its peer", |rows| rows.len() == 1).await;
    // As kill -9.
    drop(a);
    b.until("the standby leads", leads).await;
    answers(&b).await;
    let done = |rows: &[v1::RoleChange]| rows.last().is_some_and(|row| row.outage_us.is_some());
    let takeover = until_known(&b, "a complete row", done).await.remove(1);
    let names: Vec<&str> = takeover.phases.iter().map(|p| &*p.name).collect();
    for name in ["detect", "take_over", "fence", "first_answer"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let until = names.iter().position(|name| *name == "first_answer").expect("just seen");
    let sum: u64 = takeover.phases[..=until].iter().map(|p| p.duration_us).sum();
    assert_eq!(Some(sum), takeover.outage_us);
    assert_eq!((takeover.from_node.as_deref(), &*takeover.to_node), (Some("a"), "b"));
    assert_eq!(takeover.lost.as_ref().and_then(|lost| lost.entries), Some(0));

    let a = start("a", &witness, folder.path());
    a.until("it is in sync again", in_sync).await;
    let returned = |rows: &[v1::RoleChange]| rows.len() == 2 && rows[1].rejoin_us.is_some();
    let known = until_known(&b, "the return", returned).await;
    until_known(&a, "all of it, from its peer", |rows| rows == known).await;

    // Neither goes by the other's memory: both die, one starts.
    b.signal(Signal::SIGKILL);
    a.signal(Signal::SIGKILL);
    drop((a, b));
    let b = start("b", &witness, folder.path());
    assert_eq!(rows(&b).await[..2], known[..]);

    let shown = Command::new(env!("CARGO_BIN_EXE_standfast"))
        .args(["history", "--json", "--limit", "1", "--connect", &b.addr])
        .output()
        .expect("it runs");
    assert!(shown.status.success());
    let line: Value = serde_json::from_slice(&shown.stdout).expect("one line of JSON");
    assert_eq!((&line["schema"], &line["durable"]), (&1.into(), &true.into()));
    assert_eq!(line["rows"].as_array().map(Vec::len), Some(1));
}

/// "Failover took 4 s": on the server. An outage ends when a client is answered, so one that no client
/// has ended yet has no length, and what the server did in the meantime is only a part of it.
#[tokio::test(flavor = "multi_thread")]
async fn trap_05_an_outage_ends_at_a_client_and_not_at_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let witness = Witness::start();
    let (a, b) = pair(&witness, folder.path()).await;
    drop(a);
    b.until("the standby leads", leads).await;
    let its_own = |rows: &[v1::RoleChange]| rows.last().is_some_and(|row| row.to_node == "b");
    let led = until_known(&b, "the takeover", its_own).await.pop().expect("just seen");
    assert_eq!(led.outage_us, None, "nobody was answered: {led:?}");
    let server: u64 = led.phases.iter().map(|phase| phase.duration_us).sum();

    answers(&b).await;
    let done = |rows: &[v1::RoleChange]| rows.last().is_some_and(|row| row.outage_us.is_some());
    let felt = until_known(&b, "the end of the outage", done).await.pop().expect("just seen");
    assert!(felt.phases.iter().any(|phase| phase.name == "first_answer"), "{felt:?}");
    assert!(felt.outage_us > Some(server), "a client waited longer than the server worked: {felt:?}");
}
