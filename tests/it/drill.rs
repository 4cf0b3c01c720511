//! A drill on real processes: it strikes, measures, and is written into the history as a drill.

use std::process::Command;

use serde_json::Value;
use standfast_proto::v1;

use crate::coordinator::{Server, Witness};
use crate::leadership::leads;
use crate::node::{Node, segment};

/// The primary counts on a standby.
fn is_followed(s: &v1::NodeStatus) -> bool {
    leads(s) && s.standbys.iter().any(|peer| peer.in_sync && peer.stream() == v1::StreamState::Streaming)
}

/// What `standfast` prints with these words, and how it ends.
async fn command(words: &str) -> (bool, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
    command.args(words.split_whitespace());
    let output =
        tokio::task::spawn_blocking(move || command.output()).await.expect("it ends").expect("it runs");
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_is_measured_and_recorded() {
    let witness = Witness::start();
    let start =
        |node: &str| Node::start(&format!("--node {node} --cluster kv --coordinator {}", witness.url()));
    let a = start("a-node");
    a.until("it leads", leads).await;
    let alone = command(&format!("drill kill --yes --json --connect {}", a.addr)).await;
    assert_eq!(alone, (false, Value::Null), "it would have taken everything with it");
    let b = start("b-node");
    a.until("it is followed", is_followed).await;
    a.master().await.mount_segment(segment(1, 1 << 20)).await.expect("mounted");

    let connect = format!("--connect {},{}", a.addr, b.addr);
    let drill = format!("drill stop --for 1s --yes --json --reason rehearsal {connect}");
    let (good, line) = command(&drill).await;
    assert!(good, "{line}");
    assert_eq!((&line["node"], &line["leader"]), (&"a-node".into(), &Value::from(&*b.addr)));
    assert!(line["outage_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
    b.until("the thawed one follows", is_followed).await;

    let (_, history) = command(&format!("history --json {connect}")).await;
    let row = history["rows"].as_array().and_then(|rows| rows.last()).expect("a row").clone();
    assert_eq!((&row["id"], &row["drill"]), (&line["history_id"], &true.into()), "{row}");
    assert_eq!((&row["cause"], &row["reason"]), (&"drill_stop".into(), &"rehearsal".into()));
    assert_eq!(row["epoch"], line["epoch"]);

    // A standby that is killed brings about no role change; that is a row, too.
    let (good, line) = command(&format!("drill kill --node a-node --yes --json {connect}")).await;
    assert!(good && line["epoch"].is_null(), "{line}");
    let (_, history) = command(&format!("history --json {connect}")).await;
    let row = history["rows"].as_array().and_then(|rows| rows.last()).expect("a row").clone();
    assert_eq!((&row["id"], &row["drill"]), (&line["history_id"], &true.into()), "{row}");
}
